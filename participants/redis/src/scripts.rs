//! The Lua scripts. Each begins with a shebang: without one Redis does not refuse keys that were
//! not declared, and at the memory limit stops a script in its middle (measured on Redis 7.0 and
//! 8.0 and Valkey 9.1).

use std::sync::LazyLock;

use redis::Script;

/// Without allow-oom, alone of those that write: new promises are refused at the memory limit.
pub(crate) static PREPARE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua\n",
        include_str!("scripts/common.lua"),
        include_str!("scripts/stock.lua"),
        include_str!("scripts/prepare.lua"),
    ))
});

pub(crate) static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=allow-oom\n",
        "local IS_REPAIR = false\n",
        include_str!("scripts/common.lua"),
        include_str!("scripts/stock.lua"),
        include_str!("scripts/server.lua"),
        include_str!("scripts/commit.lua"),
    ))
});

pub(crate) static REPAIR: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=allow-oom\n",
        "local IS_REPAIR = true\n",
        include_str!("scripts/common.lua"),
        include_str!("scripts/stock.lua"),
        include_str!("scripts/server.lua"),
        include_str!("scripts/commit.lua"),
    ))
});

pub(crate) static HOLDINGS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=no-writes,allow-oom\n",
        include_str!("scripts/holdings.lua"),
    ))
});

pub(crate) static ROLL_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=allow-oom\n",
        include_str!("scripts/common.lua"),
        include_str!("scripts/roll_back.lua"),
    ))
});

pub(crate) static FORGET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=allow-oom\n",
        include_str!("scripts/common.lua"),
        include_str!("scripts/forget.lua"),
    ))
});

pub(crate) static INSPECT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=no-writes,allow-oom\n",
        include_str!("scripts/common.lua"),
        include_str!("scripts/inspect.lua"),
    ))
});

pub(crate) static RECALL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=no-writes,allow-oom\n",
        include_str!("scripts/recall.lua"),
    ))
});

pub(crate) static ENLIST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=allow-oom\n",
        include_str!("scripts/common.lua"),
        include_str!("scripts/enlist.lua"),
    ))
});

pub(crate) static MIGRATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=allow-oom\n",
        include_str!("scripts/migrate.lua"),
    ))
});

pub(crate) static RIGHTS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=no-writes,allow-oom\n",
        include_str!("scripts/rights.lua"),
    ))
});

pub(crate) static TRIAL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "#!lua flags=allow-oom\n",
        include_str!("scripts/server.lua"),
        include_str!("scripts/trial.lua"),
    ))
});
