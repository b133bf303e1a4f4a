//! What is unsafe about a server, read from the server itself.

use std::collections::HashMap;

use redis::cmd;
use tandem_participant::Error;

use crate::connection::Connection;
use crate::danger::{Danger, MAJOR_MIN};

/// Settings that are read.
const SETTINGS: [&str; 4] = [
    "appendonly",
    "appendfsync",
    "maxmemory-policy",
    "no-appendfsync-on-rewrite",
];

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

/// What is unsafe about it.
pub(crate) fn dangers(seen: &Seen) -> Vec<Danger> {
    let mut found = Vec::new();
    found.extend(seen.unreadable().map(Danger::SettingsUnreadable));
    let version = seen.info_field("redis_version").unwrap_or_default();
    if major(version).is_some_and(|major| major < MAJOR_MIN) {
        found.push(Danger::VersionTooOld(version.to_owned()));
    }
    let other_than = |name, safe: &str| seen.setting(name).filter(|value| *value != safe);
    if other_than("appendonly", "yes").is_some() {
        found.push(Danger::NoAof);
    }
    let sync = other_than("appendfsync", "always").map(str::to_owned);
    found.extend(sync.map(Danger::AppendfsyncNotAlways));
    if seen.setting("no-appendfsync-on-rewrite") == Some("yes") {
        found.push(Danger::NoFsyncOnRewrite);
    }
    // volatile-* evicts only keys with a time to live, and tandem's have none.
    let policy = seen.setting("maxmemory-policy").map(str::to_owned);
    let policy = policy.filter(|policy| policy.starts_with("allkeys"));
    found.extend(policy.map(Danger::Eviction));
    let role = seen.info_field("role").filter(|role| *role != "master");
    found.extend(role.map(|role| Danger::Replica(role.to_owned())));
    if seen.info_field("cluster_enabled") == Some("1") {
        found.push(Danger::Cluster);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(info: &str, settings: [&str; 4]) -> Vec<String> {
        let seen = Seen {
            info: Ok(lines(info)),
            settings: Ok(SETTINGS
                .map(str::to_owned)
                .into_iter()
                .zip(settings.map(str::to_owned))
                .collect()),
        };
        let found = dangers(&seen).into_iter();
        found.map(|danger| danger.as_ref().to_owned()).collect()
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
        let found = dangers(&seen);
        let [unreadable @ Danger::SettingsUnreadable(_)] = &found[..] else {
            panic!("{found:?}");
        };
        let detail = unreadable.clone().into_finding(&[]).detail;
        assert!(detail.contains("INFO: NOPERM"), "{detail}");
    }
}
