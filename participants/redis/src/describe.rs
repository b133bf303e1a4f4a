//! What is unsafe about a server, read from the server itself.

use std::collections::HashMap;

use redis::cmd;
use tandem_participant::Error;

use crate::connection::Connection;

/// Names of all findings that a configuration can accept.
pub(crate) const FINDINGS: &[&str] = &[
    "AOF_NOT_REWRITTEN",
    "APPENDFSYNC_NOT_ALWAYS",
    "CLUSTER",
    "EVICTION",
    "NO_AOF",
    "NO_FSYNC_ON_REWRITE",
    "REPLICA",
    "SETTINGS_UNREADABLE",
    "STOCK_NOT_COUNTED",
    "VERSION_TOO_OLD",
];

/// Settings that are read.
const SETTINGS: [&str; 4] = [
    "appendonly",
    "appendfsync",
    "maxmemory-policy",
    "no-appendfsync-on-rewrite",
];

/// Lowest major version: scripts with a shebang came with Redis 7.0.
const MAJOR_MIN: u64 = 7;

/// The first Valkey that takes a transaction which is torn at the end of its file back whole (measured on
/// 9.1.2). No Redis does up to 8.0.6.
const VALKEY_REVERTS_FROM: u64 = 9;

/// What a server showed of itself; errors are its words.
pub(crate) struct Seen {
    info: Result<HashMap<String, String>, String>,
    settings: Result<HashMap<String, String>, String>,
}

impl Seen {
    /// Reads what the server is and how it is set; changes nothing.
    pub(crate) async fn read(connection: &Connection) -> Result<Seen, Error> {
        let what = "reading the server's settings";
        let info = connection.command_if_allowed(what, &cmd("INFO")).await?;
        let mut command = cmd("CONFIG");
        command.arg("GET").arg(&SETTINGS);
        Ok(Seen {
            info: info.map(|text: String| lines(&text)),
            settings: connection.command_if_allowed(what, &command).await?,
        })
    }

    /// Product and version, as `Redis 7.0.15`.
    pub(crate) fn server(&self) -> String {
        let (product, version) = self.product();
        format!(
            "{product} {}",
            if version.is_empty() { "?" } else { version }
        )
    }

    fn product(&self) -> (&'static str, &str) {
        let field = |name: &str| self.info_field(name).unwrap_or_default();
        match field("valkey_version") {
            "" => ("Redis", field("redis_version")),
            version => ("Valkey", version),
        }
    }

    /// Whether half a transaction may stand at the end of the append-only file, to take effect at a later
    /// start: the server loads such a file wrongly, and has begun no other since it was started.
    pub(crate) fn may_keep_torn_end(&self) -> bool {
        let (product, version) = self.product();
        let reverts = product == "Valkey" && major(version) >= Some(VALKEY_REVERTS_FROM);
        !reverts
            && self.info_field("aof_enabled") == Some("1")
            && self.info_field("aof_rewrites") == Some("0")
    }

    fn info_field(&self, name: &str) -> Option<&str> {
        self.info.as_ref().ok()?.get(name).map(String::as_str)
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.as_ref().ok()?.get(name).map(String::as_str)
    }

    /// What could not be read, and the server's words for it.
    fn unreadable(&self) -> Option<String> {
        let settings = match &self.settings {
            Err(error) => vec![format!("CONFIG GET: {error}")],
            Ok(found) => {
                let missing = SETTINGS.iter().filter(|name| !found.contains_key(**name));
                missing
                    .map(|name| format!("CONFIG GET {name}: no such setting"))
                    .collect()
            }
        };
        let info = self
            .info
            .as_ref()
            .err()
            .map(|error| format!("INFO: {error}"));
        let all: Vec<String> = settings.into_iter().chain(info).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn major(version: &str) -> Option<u64> {
    version.split('.').next()?.parse().ok()
}

fn lines(info: &str) -> HashMap<String, String> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// What is unsafe about it: names and details.
pub(crate) fn findings(seen: &Seen) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Some(unreadable) = seen.unreadable() {
        found.push((
            "SETTINGS_UNREADABLE",
            format!(
                "not allowed to see whether the server keeps what it acknowledges, nor when it was \
                 restarted, nor what a crash has left in its append-only file: {unreadable}. Allow the user INFO and CONFIG|GET \
                 (ACL SETUSER … +info +config|get), or accept this after checking by hand: \
                 appendonly yes, appendfsync always, maxmemory-policy noeviction, a primary"
            ),
        ));
    }
    let version = seen.info_field("redis_version");
    if version
        .and_then(major)
        .is_some_and(|major| major < MAJOR_MIN)
    {
        found.push((
            "VERSION_TOO_OLD",
            format!(
                "version {} is older than {MAJOR_MIN}.0, whose scripts can be made to finish at \
                 the memory limit; upgrade the server",
                version.unwrap_or_default()
            ),
        ));
    }
    if seen
        .setting("appendonly")
        .is_some_and(|value| value != "yes")
    {
        found.push((
            "NO_AOF",
            "appendonly is no: a crash loses every hold, deduction and memory since the last \
             snapshot. CONFIG SET appendonly yes, and the same in redis.conf"
                .to_owned(),
        ));
    }
    if let Some(value) = seen
        .setting("appendfsync")
        .filter(|value| *value != "always")
    {
        found.push((
            "APPENDFSYNC_NOT_ALWAYS",
            format!(
                "appendfsync is {value}: writes are acknowledged before they are on disk, and a \
                 power cut or a full disk loses them. CONFIG SET appendfsync always, and the same \
                 in redis.conf"
            ),
        ));
    }
    if seen.setting("no-appendfsync-on-rewrite") == Some("yes") {
        found.push((
            "NO_FSYNC_ON_REWRITE",
            "no-appendfsync-on-rewrite is yes: while the append-only file is rewritten or a snapshot \
             is saved, writes are acknowledged before they are on disk, whatever appendfsync says. \
             CONFIG SET no-appendfsync-on-rewrite no, and the same in redis.conf"
                .to_owned(),
        ));
    }
    // volatile-* evicts only keys with a time to live, and tandem's have none.
    if let Some(value) = seen
        .setting("maxmemory-policy")
        .filter(|value| value.starts_with("allkeys"))
    {
        found.push((
            "EVICTION",
            format!(
                "maxmemory-policy is {value}: at the memory limit stock, holds and memory are \
                 thrown away. CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
            ),
        ));
    }
    if let Some(role) = seen.info_field("role").filter(|role| *role != "master") {
        found.push((
            "REPLICA",
            format!("the server's role is {role}: it takes no writes. url must name the primary"),
        ));
    }
    if seen.info_field("cluster_enabled") == Some("1") {
        found.push((
            "CLUSTER",
            "the server is part of a cluster, where a purchase's stock keys lie in several slots; \
             this participant keeps everything in one. Accept this only if stock_key (or \
             stock_hash) and key_prefix carry the same hash tag, as {shop}stock:{sku} and \
             {shop}tandem: do, and url names the primary of that slot"
                .to_owned(),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the findings; each must be one that a configuration can accept.
    fn names(info: &str, settings: [&str; 4]) -> Vec<&'static str> {
        let seen = Seen {
            info: Ok(lines(info)),
            settings: Ok(SETTINGS
                .map(str::to_owned)
                .into_iter()
                .zip(settings.map(str::to_owned))
                .collect()),
        };
        let found = findings(&seen).into_iter().map(|(name, _)| name);
        found
            .inspect(|name| assert!(FINDINGS.contains(name)))
            .collect()
    }

    const SAFE: [&str; 4] = ["yes", "always", "noeviction", "no"];

    #[test]
    fn a_safe_primary_has_no_findings() {
        assert!(names("redis_version:7.0.15\r\nrole:master\r\n", SAFE).is_empty());
        assert!(names("role:master\r\n", ["yes", "always", "volatile-lru", "no"]).is_empty());
    }

    #[test]
    fn each_danger_is_named() {
        assert_eq!(
            names(
                "redis_version:6.2.1\r\nrole:slave\r\ncluster_enabled:1\r\n",
                ["no", "everysec", "allkeys-lru", "yes"]
            ),
            [
                "VERSION_TOO_OLD",
                "NO_AOF",
                "APPENDFSYNC_NOT_ALWAYS",
                "NO_FSYNC_ON_REWRITE",
                "EVICTION",
                "REPLICA",
                "CLUSTER"
            ]
        );
    }

    #[test]
    fn a_torn_end_is_cut_off_once_in_a_run_of_the_servers_that_keep_it() {
        let may = |info: &str| {
            let seen = Seen {
                info: Ok(lines(info)),
                settings: Ok(HashMap::new()),
            };
            seen.may_keep_torn_end()
        };
        assert!(may(
            "redis_version:8.0.6\r\naof_enabled:1\r\naof_rewrites:0\r\n"
        ));
        assert!(!may(
            "redis_version:8.0.6\r\naof_enabled:1\r\naof_rewrites:1\r\n"
        ));
        assert!(!may(
            "redis_version:8.0.6\r\naof_enabled:0\r\naof_rewrites:0\r\n"
        ));
        let valkey = "redis_version:7.2.4\r\naof_enabled:1\r\naof_rewrites:0\r\nvalkey_version:";
        assert!(may(&format!("{valkey}8.1.0\r\n")));
        assert!(!may(&format!("{valkey}9.1.2\r\n")));
    }

    #[test]
    fn what_may_not_be_read_is_a_finding() {
        let seen = Seen {
            info: Err("NOPERM".into()),
            settings: Err("NOPERM".into()),
        };
        let found = findings(&seen);
        assert_eq!(found[0].0, "SETTINGS_UNREADABLE");
        assert!(FINDINGS.contains(&found[0].0));
        assert!(found[0].1.contains("INFO: NOPERM"), "{}", found[0].1);
    }
}
