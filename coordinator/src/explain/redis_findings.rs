//! Findings of Redis and Valkey.

use strum::VariantArray;
use tandem_redis::FindingName;

use super::{Entry, Group, Text};

pub(super) fn entries() -> Vec<Entry> {
    let names = FindingName::VARIANTS.iter();
    names
        .map(|name| Entry::new(Group::RedisFinding, name.as_ref(), text(*name)))
        .collect()
}

fn text(name: FindingName) -> Text {
    match name {
        FindingName::AofNotRewritten => AOF_NOT_REWRITTEN,
        FindingName::AppendfsyncNotAlways => APPENDFSYNC_NOT_ALWAYS,
        FindingName::Cluster => CLUSTER,
        FindingName::Eviction => EVICTION,
        FindingName::NoAof => NO_AOF,
        FindingName::NoFsyncOnRewrite => NO_FSYNC_ON_REWRITE,
        FindingName::Replica => REPLICA,
        FindingName::SettingsUnreadable => SETTINGS_UNREADABLE,
        FindingName::StockNotCounted => STOCK_NOT_COUNTED,
        FindingName::VersionTooOld => VERSION_TOO_OLD,
        FindingName::RightMissing => RIGHT_MISSING,
    }
}

const AOF_NOT_REWRITTEN: Text = Text {
    means: "a crash may have left half a transaction in the append-only file, and it can't be rewritten",
    cause: "Redis was started, and BGREWRITEAOF is not allowed, fails, or does not end.",
    act: "`ACL SETUSER USER +bgrewriteaof`, or `BGREWRITEAOF` as somebody who may; make room if the disk is full.",
};

const APPENDFSYNC_NOT_ALWAYS: Text = Text {
    means: "writes are acknowledged before they are on disk: a power cut loses holds and deductions",
    cause: "appendfsync is everysec or no.",
    act: "`CONFIG SET appendfsync always`, and the same in redis.conf. What is lost is deducted again from the log, so \
          that accepting it costs a pause at each crash.",
};

const CLUSTER: Text = Text {
    means: "the server is part of a cluster, where a purchase's keys lie in several slots",
    cause: "cluster-enabled is yes.",
    act: "Use a server of its own, or give stock_key (or stock_hash) and key_prefix one hash tag and accept it.",
};

const EVICTION: Text = Text {
    means: "at the memory limit stock, holds and memory are thrown away",
    cause: "maxmemory-policy is another than noeviction.",
    act: "`CONFIG SET maxmemory-policy noeviction`, and the same in redis.conf.",
};

const NO_AOF: Text = Text {
    means: "a crash loses every hold, deduction and memory since the last snapshot",
    cause: "appendonly is no.",
    act: "`CONFIG SET appendonly yes`, and the same in redis.conf.",
};

const NO_FSYNC_ON_REWRITE: Text = Text {
    means: "while the file is rewritten, writes are acknowledged before they are on disk",
    cause: "no-appendfsync-on-rewrite is yes.",
    act: "`CONFIG SET no-appendfsync-on-rewrite no`, and the same in redis.conf.",
};

const REPLICA: Text = Text {
    means: "the server is a replica and takes no writes",
    cause: "The url leads to it, or a failover has made it one.",
    act: "Let url name the primary.",
};

const SETTINGS_UNREADABLE: Text = Text {
    means: "whether the server keeps what it acknowledges is not known",
    cause: "tandem's user may not use INFO or CONFIG GET.",
    act: "`ACL SETUSER USER +info +config|get`; or check by hand (appendonly yes, appendfsync always, noeviction, a \
          primary) and accept it.",
};

const STOCK_NOT_COUNTED: Text = Text {
    means: "what is deducted of stock in hashes is not counted, so that no audit can tell whether it is right",
    cause: "count_in_hash is false.",
    act: "Set count_in_hash = true if whoever reads a hash may find fields of tandem's in it; else accept it.",
};

const VERSION_TOO_OLD: Text = Text {
    means: "the server's scripts can't be made to finish at the memory limit",
    cause: "It is older than version 7.0.",
    act: "Upgrade the server.",
};

const RIGHT_MISSING: Text = Text {
    means: "tandem's user may not use a command that the scripts use: a script would stop half way",
    cause: "The user's ACL lacks it, or the command was renamed. It can't be accepted.",
    act: "Grant it with the line that `tandem participants` prints.",
};
