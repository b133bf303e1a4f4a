//! What is found of a server that people must know: each with its name and its text. Adding one without
//! them does not compile; its name is in the operator's manual besides.

use strum::{AsRefStr, EnumDiscriminants, VariantArray, VariantNames};
use tandem_participant::Finding;

/// Lowest major version: scripts with a shebang came with Redis 7.0.
pub(crate) const MAJOR_MIN: u64 = 7;

/// One thing that was found, with what the server has said. Its name, for `accept` and for people, is the
/// variant's in capitals.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, VariantNames, EnumDiscriminants)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[strum_discriminants(
    name(FindingName),
    vis(pub),
    doc = "Every finding of a Redis participant. What each means is in the runbook.",
    allow(missing_docs),
    derive(AsRefStr, VariantArray),
    strum(serialize_all = "SCREAMING_SNAKE_CASE")
)]
pub(crate) enum Danger {
    /// Why a torn end of the append-only file can't be cut off, and what mends it.
    AofNotRewritten(String),
    AppendfsyncNotAlways(String),
    Cluster,
    Eviction(String),
    NoAof,
    NoFsyncOnRewrite,
    Replica(String),
    SettingsUnreadable(String),
    /// What `count_in_hash` gives up.
    StockNotCounted,
    VersionTooOld(String),
    /// Which commands failed, and how they are granted. It can't be accepted: it stops a script half way.
    RightMissing(String),
}

impl Danger {
    /// Names of those that a configuration can accept.
    pub(crate) fn acceptable() -> Vec<&'static str> {
        let names = Danger::VARIANTS.iter().copied();
        names.filter(|name| *name != "RIGHT_MISSING").collect()
    }

    /// It for people, where these names are accepted.
    pub(crate) fn into_finding(self, accept: &[String]) -> Finding {
        let name = self.as_ref();
        Finding {
            accepted: accept.iter().any(|accepted| accepted == name),
            told: false,
            name: name.into(),
            detail: self.detail(),
        }
    }

    /// What it can do, and what mends it.
    fn detail(self) -> String {
        match self {
            Danger::AofNotRewritten(detail) | Danger::RightMissing(detail) => detail,
            Danger::AppendfsyncNotAlways(value) => format!(
                "appendfsync is {value}: writes are acknowledged before they are on disk, and a \
                 power cut or a full disk loses them. CONFIG SET appendfsync always, and the same \
                 in redis.conf"
            ),
            Danger::Cluster => {
                "the server is part of a cluster, where a purchase's stock keys lie in several slots; \
                 this participant keeps everything in one. Accept this only if stock_key (or \
                 stock_hash) and key_prefix carry the same hash tag, as {shop}stock:{sku} and \
                 {shop}tandem: do, and url names the primary of that slot"
                    .to_owned()
            }
            Danger::Eviction(policy) => format!(
                "maxmemory-policy is {policy}: at the memory limit stock, holds and memory are \
                 thrown away. CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
            ),
            Danger::NoAof => {
                "appendonly is no: a crash loses every hold, deduction and memory since the last \
                 snapshot. CONFIG SET appendonly yes, and the same in redis.conf"
                    .to_owned()
            }
            Danger::NoFsyncOnRewrite => {
                "no-appendfsync-on-rewrite is yes: while the append-only file is rewritten or a snapshot \
                 is saved, writes are acknowledged before they are on disk, whatever appendfsync says. \
                 CONFIG SET no-appendfsync-on-rewrite no, and the same in redis.conf"
                    .to_owned()
            }
            Danger::Replica(role) => {
                format!("the server's role is {role}: it takes no writes. url must name the primary")
            }
            Danger::SettingsUnreadable(unreadable) => format!(
                "not allowed to see whether the server keeps what it acknowledges, nor when it was \
                 restarted, nor what a crash has left in its append-only file: {unreadable}. Allow the user INFO and CONFIG|GET \
                 (ACL SETUSER … +info +config|get), or accept this after checking by hand: \
                 appendonly yes, appendfsync always, maxmemory-policy noeviction, a primary"
            ),
            Danger::StockNotCounted => {
                "count_in_hash is false: what is deducted of stock in hashes is not counted, so \
                 that an audit can't tell whether its values are right, and where all of it is in one stock_hash, a \
                 script that is stopped half way (by a lost right) may deduct twice. Set count_in_hash = true if \
                 whoever reads a hash may find fields of tandem's in it, or accept this"
                    .to_owned()
            }
            Danger::VersionTooOld(version) => format!(
                "version {version} is older than {MAJOR_MIN}.0, whose scripts can be made to finish at \
                 the memory limit; upgrade the server"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_these_and_no_others() {
        let manual = include_str!("../../../coordinator/docs/operator.md");
        let (list, _) = manual.split_once("(Redis);").expect("Redis's are first");
        let (_, list) = list
            .rsplit_once("accept = [")
            .expect("behind how they are accepted");
        let (_, list) = list.split_once(':').expect("a list");
        let mut listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        let mut names = Danger::VARIANTS.to_vec();
        listed.sort_unstable();
        names.sort_unstable();
        assert_eq!(listed, names);
    }
}
