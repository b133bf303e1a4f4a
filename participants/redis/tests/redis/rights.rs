//! A user who may not do all that the scripts do: named before anything is entrusted to the store, and
//! harmless where a right is lost while a script needs it.

use std::collections::BTreeSet;

use tandem_participant::{Error, Participant};
use tandem_redis::RedisParticipant;

use crate::place::Place;
use crate::stage::{
    Stage, commit, deducted, enlist, has_field_expiries, id, on_each_server, on_each_server_with,
    prepare, roll_back,
};

/// Commands on fields of a stock hash alone, and only where the server has them.
const OF_FIELDS: [&str; 2] = ["HPEXPIREAT", "HPEXPIRETIME"];

/// All commands that a script about stock keys gives, read from the scripts.
fn commands() -> BTreeSet<String> {
    let scripts = [
        include_str!("../../src/scripts/common.lua"),
        include_str!("../../src/scripts/stock.lua"),
        include_str!("../../src/scripts/prepare.lua"),
        include_str!("../../src/scripts/commit.lua"),
        include_str!("../../src/scripts/roll_back.lua"),
        include_str!("../../src/scripts/forget.lua"),
        include_str!("../../src/scripts/enlist.lua"),
        include_str!("../../src/scripts/recall.lua"),
        include_str!("../../src/scripts/inspect.lua"),
        include_str!("../../src/scripts/holdings.lua"),
        include_str!("../../src/scripts/migrate.lua"),
    ];
    let called = scripts
        .iter()
        .flat_map(|text| text.split("redis.call('").skip(1));
    called
        .map(|rest| rest.split('\'').next().unwrap().to_owned())
        .filter(|command| !OF_FIELDS.contains(&command.as_str()))
        .collect()
}

/// A participant as a user of its own, who may do everything until somebody says otherwise.
async fn clerk(stage: &Stage, place: Place) -> RedisParticipant {
    let () = stage.cli("ACL SETUSER clerk reset on >pw ~* +@all").await;
    let port = stage.server.port();
    stage.participant(|settings| {
        place.say(settings);
        settings.url = format!("redis://clerk:pw@127.0.0.1:{port}/").into();
    })
}

#[tokio::test]
async fn each_command_that_the_user_may_not_use_is_named_with_what_grants_it() {
    on_each_server(async |stage| {
        let clerk = clerk(stage, Place::Keys).await;
        let shop = enlist("shop", "log-a", 1, "i");
        clerk.enlist(&shop).await.unwrap();
        let before = stage.keys("").await;
        let commands = commands();
        assert!(commands.len() > 25, "{commands:?}");
        for command in &commands {
            let lower = command.to_lowercase();
            let () = stage.cli(&format!("ACL SETUSER clerk -{lower}")).await;
            let refused = clerk.enlist(&shop).await;
            let Err(Error::Unsafe { findings }) = &refused else {
                panic!("{command}: {refused:?}");
            };
            let found = findings.iter().find(|f| f.name == "RIGHT_MISSING");
            let detail = &found
                .unwrap_or_else(|| panic!("{command}: {findings:?}"))
                .detail;
            let grant = format!("ACL SETUSER clerk +{lower} ~tandem:*");
            assert!(detail.contains(&grant), "{command}: {detail}");
            let () = stage.cli(&format!("ACL SETUSER clerk +{lower}")).await;
        }
        clerk.enlist(&shop).await.unwrap();
        assert_eq!(stage.keys("").await, before);
        // Keys too: the app's alone, tandem's alone.
        for keys in [
            "~stock:* ~witness:*",
            "~tandem:* ~stock:*",
            "~tandem:* ~witness:*",
        ] {
            let () = stage
                .cli(&format!("ACL SETUSER clerk resetkeys {keys}"))
                .await;
            let refused = clerk.enlist(&shop).await;
            let Err(Error::Unsafe { findings }) = &refused else {
                panic!("{keys}: {refused:?}");
            };
            assert_eq!(findings[0].name, "RIGHT_MISSING", "{keys}");
        }
        let rights = "resetkeys ~tandem:* ~witness:tandem:* ~stock:*";
        let () = stage.cli(&format!("ACL SETUSER clerk {rights}")).await;
        clerk.enlist(&shop).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn commands_on_fields_of_the_stock_hash_are_tried_where_the_server_has_them() {
    on_each_server(async |stage| {
        if !has_field_expiries(stage).await {
            return;
        }
        let () = stage.cli("ACL SETUSER clerk reset on >pw ~* +@all").await;
        let _: i64 = stage.cli("HSET stock tea 9").await;
        let port = stage.server.port();
        let clerk = stage.participant(|settings| {
            settings.url = format!("redis://clerk:pw@127.0.0.1:{port}/").into();
            settings.stock_hash = Some("stock".into());
        });
        let shop = enlist("shop", "log-a", 1, "i");
        clerk.enlist(&shop).await.unwrap();
        for command in OF_FIELDS.map(str::to_lowercase) {
            let () = stage.cli(&format!("ACL SETUSER clerk -{command}")).await;
            let refused = clerk.enlist(&shop).await;
            let Err(Error::Unsafe { findings }) = &refused else {
                panic!("{command}: {refused:?}");
            };
            assert_eq!(findings[0].name, "RIGHT_MISSING");
            let grant = format!("ACL SETUSER clerk +{command} ~tandem:*");
            assert!(findings[0].detail.contains(&grant), "{findings:?}");
            let () = stage.cli(&format!("ACL SETUSER clerk +{command}")).await;
        }
        clerk.enlist(&shop).await.unwrap();
        let fields: Vec<String> = stage.cli("HKEYS stock").await;
        assert_eq!(fields, ["tea"]);
    })
    .await;
}

#[tokio::test]
async fn a_command_that_the_server_has_renamed_is_named() {
    for command in ["HGETALL", "ZREM", "DEL", "MSET", "PEXPIRETIME"] {
        let args = ["--rename-command", command, "\"\""];
        on_each_server_with(&args, async |stage| {
            let refused = stage.enlist(1, "i").await;
            let Err(Error::Unsafe { findings }) = &refused else {
                panic!("{command}: {refused:?}");
            };
            let detail = &findings[0].detail;
            assert_eq!(findings[0].name, "RIGHT_MISSING");
            assert!(detail.contains(&format!("{command}: ")), "{detail}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_right_that_is_lost_while_scripts_run_deducts_nothing_twice_and_holds_for_nobody() {
    on_each_server(async |stage| {
        for (number, place) in [Place::Keys, Place::Products].into_iter().enumerate() {
            lose_each_right(stage, place, 1_000 * number).await;
        }
    })
    .await;
}

async fn lose_each_right(stage: &Stage, place: Place, base: usize) {
    let clerk = clerk(stage, place).await;
    let shop = enlist("shop", "log-a", 1, "i");
    clerk.enlist(&shop).await.unwrap();
    let cart: &[&[(&str, u32)]] = &[&[("tea", 2)], &[("tea", 1), ("jam", 1)]];
    for (round, command) in commands().iter().enumerate() {
        for sku in ["tea", "jam"] {
            let _: redis::Value = stage.cli(&place.set(sku, "100")).await;
        }
        let sold_before = (
            deducted(&clerk, "shop", "tea").await,
            deducted(&clerk, "shop", "jam").await,
        );
        let number = |n: usize| format!("shop.1.{}", base + 10 * round + n);
        for n in [1, 2] {
            clerk.prepare(&prepare(&number(n), cart)).await.unwrap();
        }
        let lower = command.to_lowercase();
        let () = stage.cli(&format!("ACL SETUSER clerk -{lower}")).await;
        // What was promised is committed and rolled back, and more is asked for, again and again.
        for _ in 0..3 {
            let _ = clerk.commit(&commit(&number(1), cart)).await;
            let _ = clerk.roll_back(&roll_back(&number(2))).await;
            let _ = clerk.prepare(&prepare(&number(3), cart)).await;
            let _ = clerk.commit(&commit(&number(4), cart)).await;
        }
        let () = stage.cli(&format!("ACL SETUSER clerk +{lower}")).await;
        clerk.enlist(&shop).await.unwrap();
        clerk.commit(&commit(&number(1), cart)).await.unwrap();
        clerk.commit(&commit(&number(4), cart)).await.unwrap();
        for n in [2, 3] {
            clerk.roll_back(&roll_back(&number(n))).await.unwrap();
        }
        let values: (i64, i64) = (
            stage.cli(&place.read("tea")).await,
            stage.cli(&place.read("jam")).await,
        );
        assert_eq!(values, (94, 98), "{command}");
        let sold = (
            deducted(&clerk, "shop", "tea").await,
            deducted(&clerk, "shop", "jam").await,
        );
        assert_eq!(
            sold,
            (sold_before.0 + 6, sold_before.1 + 2),
            "{place:?} {command}"
        );
        stage.assert_quiet().await;
        let truth = clerk.inspect(&id(&number(1))).await.unwrap();
        assert_eq!(truth.state, tandem_participant::BranchState::Committed);
    }
}
