//! What is unsafe about a server, read from the server itself.

use std::collections::HashMap;

use redis::cmd;
use tandem_participant::{Description, Error, Finding};

use crate::connection::Connection;

/// Names of all findings.
pub(crate) const FINDINGS: &[&str] = &[
    "APPENDFSYNC_NOT_ALWAYS",
    "CLUSTER",
    "EVICTION",
    "NO_AOF",
    "REPLICA",
    "SETTINGS_UNREADABLE",
    "VERSION_TOO_OLD",
];

/// Lowest major version: scripts with a shebang came with Redis 7.0.
const MAJOR_MIN: u64 = 7;

/// Reads what the server is and how it is set.
pub(crate) async fn describe(
    connection: &Connection,
    accept: &[String],
) -> Result<Description, Error> {
    let what = "reading the server's settings";
    let info = connection.command_if_allowed(what, &cmd("INFO")).await?;
    let mut settings = HashMap::new();
    for name in ["appendonly", "appendfsync", "maxmemory-policy"] {
        let mut command = cmd("CONFIG");
        command.arg("GET").arg(name);
        let answer: Result<HashMap<String, String>, String> =
            connection.command_if_allowed(what, &command).await?;
        settings.insert(name, answer.map(|mut found| found.remove(name)));
    }
    let seen = Seen {
        info: info.map(|text: String| lines(&text)),
        settings,
    };
    let field = |name: &str| seen.info_field(name).unwrap_or_default();
    let (product, version) = match field("valkey_version") {
        "" => ("Redis", field("redis_version")),
        version => ("Valkey", version),
    };
    Ok(Description {
        kind: "redis".to_owned(),
        server: format!(
            "{product} {}",
            if version.is_empty() { "?" } else { version }
        ),
        address: connection.address().to_owned(),
        incarnation: field("master_replid").to_owned(),
        findings: findings(&seen)
            .into_iter()
            .map(|(name, detail)| Finding {
                accepted: accept.iter().any(|accepted| accepted == name),
                name: name.to_owned(),
                detail,
            })
            .collect(),
    })
}

/// What a server showed of itself; errors are its words.
struct Seen {
    info: Result<HashMap<String, String>, String>,
    settings: HashMap<&'static str, Result<Option<String>, String>>,
}

impl Seen {
    fn info_field(&self, name: &str) -> Option<&str> {
        self.info.as_ref().ok()?.get(name).map(String::as_str)
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.as_ref().ok()?.as_deref()
    }

    /// What could not be read, and the server's words for it.
    fn unreadable(&self) -> Option<String> {
        let settings = self
            .settings
            .iter()
            .filter_map(|(name, answer)| match answer {
                Ok(Some(_)) => None,
                Ok(None) => Some(format!("CONFIG GET {name}: no such setting")),
                Err(error) => Some(format!("CONFIG GET {name}: {error}")),
            });
        let info = self
            .info
            .as_ref()
            .err()
            .map(|error| format!("INFO: {error}"));
        let mut all: Vec<String> = info.into_iter().chain(settings).collect();
        all.sort();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn lines(info: &str) -> HashMap<String, String> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn findings(seen: &Seen) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Some(unreadable) = seen.unreadable() {
        found.push((
            "SETTINGS_UNREADABLE",
            format!(
                "not allowed to see whether the server keeps what it acknowledges, nor when it was \
                 restarted from elsewhere: {unreadable}. Allow the user INFO and CONFIG|GET \
                 (ACL SETUSER … +info +config|get), or accept this after checking by hand: \
                 appendonly yes, appendfsync always, maxmemory-policy noeviction, a primary"
            ),
        ));
    }
    let version = seen.info_field("redis_version");
    let major = version.and_then(|v| v.split('.').next()?.parse::<u64>().ok());
    if major.is_some_and(|major| major < MAJOR_MIN) {
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
    fn names(info: &str, settings: [&str; 3]) -> Vec<&'static str> {
        let names = ["appendonly", "appendfsync", "maxmemory-policy"];
        let seen = Seen {
            info: Ok(lines(info)),
            settings: names
                .into_iter()
                .zip(settings.map(|value| Ok(Some(value.to_owned()))))
                .collect(),
        };
        let found = findings(&seen).into_iter().map(|(name, _)| name);
        found
            .inspect(|name| assert!(FINDINGS.contains(name)))
            .collect()
    }

    const SAFE: [&str; 3] = ["yes", "always", "noeviction"];

    #[test]
    fn a_safe_primary_has_no_findings() {
        assert!(names("redis_version:7.0.15\r\nrole:master\r\n", SAFE).is_empty());
        assert!(names("role:master\r\n", ["yes", "always", "volatile-lru"]).is_empty());
    }

    #[test]
    fn each_danger_is_named() {
        assert_eq!(
            names(
                "redis_version:6.2.1\r\nrole:slave\r\ncluster_enabled:1\r\n",
                ["no", "everysec", "allkeys-lru"]
            ),
            [
                "VERSION_TOO_OLD",
                "NO_AOF",
                "APPENDFSYNC_NOT_ALWAYS",
                "EVICTION",
                "REPLICA",
                "CLUSTER"
            ]
        );
    }

    #[test]
    fn what_may_not_be_read_is_a_finding() {
        let seen = Seen {
            info: Err("NOPERM".into()),
            settings: HashMap::from([("appendonly", Err("NOPERM".into()))]),
        };
        let found = findings(&seen);
        assert_eq!(found[0].0, "SETTINGS_UNREADABLE");
        assert!(FINDINGS.contains(&found[0].0));
        assert!(found[0].1.contains("INFO: NOPERM"), "{}", found[0].1);
    }
}
