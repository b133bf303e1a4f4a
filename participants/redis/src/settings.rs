//! What a user configures.

use std::time::Duration;

use redis::IntoConnectionInfo;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tandem_participant::rules;

use crate::danger::Danger;
use crate::entrance::Entrance;
use crate::place::{POOL, Pattern, StockPlace};

/// How to reach a Redis or Valkey and where the app keeps its stock there.
///
/// ```toml
/// url = "redis://tandem:secret@10.0.0.5:6379/0"
/// stock_key = "stock:{sku}"
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the server is: `redis://[user:password@]host[:port][/database]`, `rediss://…` for
    /// TLS, or `redis+unix:///path/to/socket`. It must be the primary.
    pub url: SecretString,
    /// The user's password, where the url has none: as it is, not percent-encoded.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// The key that holds the stock of one sku as an integer; `{sku}` stands for the sku.
    /// Default `stock:{sku}`. With `stock_field` the hash of one product (`product:{sku}`), of whose fields
    /// the stock is one. Not together with `stock_hash`.
    #[serde(default)]
    pub stock_key: Option<String>,
    /// The one hash that holds the stock of all skus, each in a field. Not together with
    /// `stock_key`.
    #[serde(default)]
    pub stock_hash: Option<String>,
    /// The field of `stock_hash` that holds the stock of one sku; default `{sku}`. Or the field of the
    /// hashes that `stock_key` names, such as `stock`: exactly one of the two has `{sku}`.
    #[serde(default)]
    pub stock_field: Option<String>,
    /// The pool, or warehouse, of items that name none: 1 to 64 characters of A-Z a-z 0-9 - _ . ; `{pool}` in
    /// `stock_key` or `stock_field` stands for an item's. Needed where `{pool}` is there; empty where it is no
    /// place for a pool but a text of its own.
    #[serde(default)]
    pub default_pool: Option<String>,
    /// Whether tandem keeps fields of its own in `stock_hash`, or in the products' hashes: how much it has
    /// deducted of each stock and, in `stock_hash`, which transactions did. One command must change them with
    /// the stock. Default true; with false that evidence is given up, which is the finding
    /// `STOCK_NOT_COUNTED`.
    #[serde(default = "default_count_in_hash")]
    pub count_in_hash: bool,
    /// What all keys of tandem's own begin with. Default `tandem:`. Coordinators that sell the
    /// same stock must use the same prefix, or they don't see each other's holds.
    #[serde(default = "default_key_prefix")]
    pub key_prefix: String,
    /// Names of findings that are accepted though they can lose or block decided purchases, for
    /// example `["APPENDFSYNC_NOT_ALWAYS"]`.
    #[serde(default)]
    pub accept: Vec<String>,
    /// Longest time to wait for a connection, in milliseconds, 1 to 60000. Default 2000.
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// Longest time to wait for an answer, in milliseconds, 1 to 60000. Default 5000. What was
    /// asked may still take effect after it.
    #[serde(default = "default_response_timeout_ms")]
    pub response_timeout_ms: u64,
    /// Replicas that must have a promise or a commit before it counts, 0 to 16 (`WAIT`). Default 0.
    /// With 1 or more a primary that was cut off from its replicas promises nothing: after a
    /// failover it is not believed.
    #[serde(default)]
    pub wait_replicas: u32,
    /// Whether those replicas must have it on their disks (`WAITAOF`, from Redis 7.2 on), of which
    /// they may tell up to a second late. Default false.
    #[serde(default)]
    pub wait_aof: bool,
    /// Longest time to wait for them, in milliseconds, 1 to 60000. Default 2000. After it a prepare
    /// is given up and a commit is asked for again.
    #[serde(default = "default_wait_timeout_ms")]
    pub wait_timeout_ms: u64,
}

/// Settings that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not a Redis URL. The URL is not repeated: it may hold a password.
    #[error("url is not a Redis URL such as redis://127.0.0.1:6379/0: {0}")]
    Url(String),
    /// The URL ends its password early.
    #[error("url: {0}")]
    Unencoded(&'static str),
    /// Two passwords for one user.
    #[error("the url has a password, and password or password_file gives another: leave one out")]
    TwoPasswords,
    /// Both ways to keep stock.
    #[error(
        "stock_key and stock_hash exclude each other: the stock is in one key a sku, or in one hash"
    )]
    TwoStocks,
    /// A word on fields without a hash.
    #[error("count_in_hash is for stock in hashes, and neither stock_hash nor stock_field is set")]
    CountWithoutHash,
    /// A field pattern without a hash.
    #[error(
        "stock_field is for stock_hash, or for a stock_key that names a hash, and neither is set"
    )]
    FieldWithoutHash,
    /// Hashes that are one.
    #[error(
        "stock_key {0:?} is one hash for all skus: write it as stock_hash, or with {{sku}} in it as the hash \
         of one product, or with {{pool}} as that of one pool"
    )]
    OneHash(String),
    /// A sku in both, or in neither.
    #[error("{{sku}} must be in stock_key {key:?} or in stock_field {field:?}, once in all")]
    TwoPatterns {
        /// `stock_key`.
        key: String,
        /// `stock_field`.
        field: String,
    },
    /// A pattern that is not one.
    #[error("{field} {pattern:?} must contain {{sku}} exactly once")]
    Pattern {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        pattern: String,
    },
    /// Pools, and none for items that name none.
    #[error(
        "{field} {pattern:?} has a place for a pool: say with default_pool of which pool an item is that names \
         none (with default_pool = \"\" {{pool}} is no place for one, but stands for itself)"
    )]
    NoDefaultPool {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        pattern: String,
    },
    /// More than one place for a pool, or none.
    #[error("with default_pool {{pool}} must be in stock_key or in stock_field, once in all")]
    Pools,
    /// A name that no pool can have.
    #[error("default_pool {0:?} {rule}", rule = rules::POOL_RULE)]
    PoolName(String),
    /// Stock under tandem's own prefix.
    #[error("{field} {value:?} lies under key_prefix {prefix:?}, which is for tandem's own keys")]
    Reserved {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// The prefix.
        prefix: String,
    },
    /// An empty text.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// More replicas than are waited for.
    #[error("wait_replicas {0} must be 0 to {WAIT_REPLICAS_MAX}")]
    Replicas(u32),
    /// No replica whose disk could be waited for.
    #[error("wait_aof is for wait_replicas of 1 or more")]
    AofWithoutReplicas,
    /// A time out of bounds.
    #[error("{field} {value} must be 1 to {TIMEOUT_MS_MAX}")]
    Timeout {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A name in `accept` that no finding has.
    #[error("accept names {name:?}, which is no finding; there are {}", Danger::acceptable().join(", "))]
    UnknownFinding {
        /// The name.
        name: String,
    },
}

/// Where the stock of a sku is if the settings don't say.
pub(crate) const DEFAULT_KEY: &str = "stock:{sku}";

/// The same in a stock hash.
const DEFAULT_FIELD: &str = "{sku}";

/// Longest time-out that can be configured, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 60_000;

/// Most replicas that can be waited for.
const WAIT_REPLICAS_MAX: u32 = 16;

impl Settings {
    /// Settings for the server at `url`, with all defaults.
    pub fn at(url: impl Into<String>) -> Settings {
        Settings {
            url: SecretString::from(url.into()),
            password: None,
            stock_key: None,
            stock_hash: None,
            stock_field: None,
            default_pool: None,
            count_in_hash: default_count_in_hash(),
            key_prefix: default_key_prefix(),
            accept: Vec::new(),
            connect_timeout_ms: default_connect_timeout_ms(),
            response_timeout_ms: default_response_timeout_ms(),
            wait_replicas: 0,
            wait_aof: false,
            wait_timeout_ms: default_wait_timeout_ms(),
        }
    }

    /// Whether they can work, as far as can be said without the server.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.stock_place()?;
        self.entrance().map(drop)
    }

    /// The replicas to wait for, if any.
    pub(crate) fn wait(&self) -> Option<Wait> {
        (self.wait_replicas > 0).then(|| Wait {
            replicas: self.wait_replicas,
            aof: self.wait_aof,
            time: Duration::from_millis(self.wait_timeout_ms),
        })
    }

    pub(crate) fn entrance(&self) -> Result<Entrance, SettingsError> {
        let url = self.url.expose_secret();
        if let Some(what) = tandem_participant::address::unencoded(url) {
            return Err(SettingsError::Unencoded(what));
        }
        let unusable = |error: redis::RedisError| SettingsError::Url(error.category().to_owned());
        let mut server = url.into_connection_info().map_err(unusable)?;
        if let Some(password) = &self.password {
            let user = server.redis_settings().clone();
            if user.password().is_some() {
                return Err(SettingsError::TwoPasswords);
            }
            server = server.set_redis_settings(user.set_password(password.expose_secret()));
        }
        let client = redis::Client::open(server).map_err(unusable)?;
        Entrance::new(&client).map_err(unusable)
    }

    /// Checks everything but the URL.
    pub(crate) fn stock_place(&self) -> Result<StockPlace, SettingsError> {
        self.check_bounds()?;
        let place = self.place()?;
        self.check_pools(&place)?;
        Ok(place)
    }

    fn place(&self) -> Result<StockPlace, SettingsError> {
        match (&self.stock_key, &self.stock_hash, &self.stock_field) {
            (Some(_), Some(_), _) => Err(SettingsError::TwoStocks),
            (None, None, Some(_)) => Err(SettingsError::FieldWithoutHash),
            (_, None, None) if !self.count_in_hash => Err(SettingsError::CountWithoutHash),
            (None, None, None) => self.keys(DEFAULT_KEY),
            (Some(key), None, None) => self.keys(key),
            (Some(key), None, Some(field)) => self.hashes(key, field),
            (None, Some(hash), field) => self.hash(hash, field.as_deref().unwrap_or(DEFAULT_FIELD)),
        }
    }

    fn keys(&self, key: &str) -> Result<StockPlace, SettingsError> {
        self.check_unreserved("stock_key", key)?;
        Ok(StockPlace::Keys(self.one_sku("stock_key", key)?))
    }

    fn hash(&self, key: &str, field: &str) -> Result<StockPlace, SettingsError> {
        if key.is_empty() {
            return Err(SettingsError::Empty("stock_hash"));
        }
        self.check_unreserved("stock_hash", key)?;
        Ok(StockPlace::Hash {
            key: key.to_owned(),
            field: self.one_sku("stock_field", field)?,
            counts: self.count_in_hash,
        })
    }

    fn hashes(&self, key: &str, field: &str) -> Result<StockPlace, SettingsError> {
        for (name, text) in [("stock_key", key), ("stock_field", field)] {
            if text.is_empty() {
                return Err(SettingsError::Empty(name));
            }
        }
        self.check_unreserved("stock_key", key)?;
        let hash = self.pattern("stock_key", key)?;
        let within = self.pattern("stock_field", field)?;
        if hash.skus() + within.skus() != 1 {
            return Err(SettingsError::TwoPatterns {
                key: key.to_owned(),
                field: field.to_owned(),
            });
        }
        if hash.skus() + hash.pools() == 0 {
            return Err(SettingsError::OneHash(key.to_owned()));
        }
        Ok(StockPlace::Hashes {
            key: hash,
            field: within,
            counts: self.count_in_hash,
        })
    }

    fn pattern(&self, field: &'static str, text: &str) -> Result<Pattern, SettingsError> {
        if self.default_pool.is_none() && text.contains(POOL) {
            return Err(SettingsError::NoDefaultPool {
                field,
                pattern: text.to_owned(),
            });
        }
        let default = self.default_pool.as_deref().filter(|pool| !pool.is_empty());
        Ok(Pattern::parse(text, default))
    }

    /// A pattern of which each sku is another text.
    fn one_sku(&self, field: &'static str, text: &str) -> Result<Pattern, SettingsError> {
        let pattern = self.pattern(field, text)?;
        match pattern.skus() {
            1 => Ok(pattern),
            _ => Err(SettingsError::Pattern {
                field,
                pattern: text.to_owned(),
            }),
        }
    }

    fn check_pools(&self, place: &StockPlace) -> Result<(), SettingsError> {
        match self.default_pool.as_deref() {
            None | Some("") => Ok(()),
            Some(pool) if !rules::is_pool(pool) => Err(SettingsError::PoolName(pool.to_owned())),
            Some(_) if place.pools() != 1 => Err(SettingsError::Pools),
            Some(_) => Ok(()),
        }
    }

    fn check_bounds(&self) -> Result<(), SettingsError> {
        if self.key_prefix.is_empty() {
            return Err(SettingsError::Empty("key_prefix"));
        }
        for (field, value) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("response_timeout_ms", self.response_timeout_ms),
            ("wait_timeout_ms", self.wait_timeout_ms),
        ] {
            if !(1..=TIMEOUT_MS_MAX).contains(&value) {
                return Err(SettingsError::Timeout { field, value });
            }
        }
        if self.wait_replicas > WAIT_REPLICAS_MAX {
            return Err(SettingsError::Replicas(self.wait_replicas));
        }
        if self.wait_aof && self.wait_replicas == 0 {
            return Err(SettingsError::AofWithoutReplicas);
        }
        let acceptable = Danger::acceptable();
        match self
            .accept
            .iter()
            .find(|name| !acceptable.contains(&name.as_str()))
        {
            Some(name) => Err(SettingsError::UnknownFinding { name: name.clone() }),
            None => Ok(()),
        }
    }

    fn check_unreserved(&self, field: &'static str, value: &str) -> Result<(), SettingsError> {
        if value.starts_with(&self.key_prefix) {
            return Err(SettingsError::Reserved {
                field,
                value: value.to_owned(),
                prefix: self.key_prefix.clone(),
            });
        }
        Ok(())
    }
}

pub(crate) fn default_key_prefix() -> String {
    "tandem:".to_owned()
}

fn default_count_in_hash() -> bool {
    true
}

fn default_connect_timeout_ms() -> u64 {
    2_000
}

fn default_response_timeout_ms() -> u64 {
    5_000
}

fn default_wait_timeout_ms() -> u64 {
    2_000
}

/// Replicas that must have what was written before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) replicas: u32,
    pub(crate) aof: bool,
    pub(crate) time: Duration,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn refusal(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::at("redis://127.0.0.1");
        change(&mut settings);
        settings.stock_place().unwrap_err().to_string()
    }

    #[test]
    fn stock_is_a_key_by_default_and_a_field_on_demand() {
        let mut settings = Settings::at("redis://127.0.0.1");
        let StockPlace::Keys(key) = settings.stock_place().unwrap() else {
            panic!("not a key");
        };
        let place = StockPlace::Keys(key);
        assert_eq!(place.name_of("tea", ""), "stock:tea");

        settings.stock_hash = Some("warehouse".into());
        settings.stock_field = Some("sku-{sku}-units".into());
        let place = settings.stock_place().unwrap();
        assert_eq!(
            place.key_and_field("tea", ""),
            ("warehouse".into(), Some("sku-tea-units".into()))
        );

        settings.stock_hash = None;
        settings.stock_key = Some("product:{sku}".into());
        settings.stock_field = Some("stock".into());
        let place = settings.stock_place().unwrap();
        assert_eq!(
            place.key_and_field("tea", ""),
            ("product:tea".into(), Some("stock".into()))
        );
    }

    #[test]
    fn pools_have_a_place_and_a_default() {
        let place = |key: &str, field: Option<&str>, pool: Option<&str>| {
            let mut settings = Settings::at("redis://127.0.0.1");
            settings.stock_key = Some(key.into());
            settings.stock_field = field.map(str::to_owned);
            settings.default_pool = pool.map(str::to_owned);
            settings.stock_place()
        };
        for (key, field, name) in [
            ("stock:{pool}:{sku}", None, "stock:paris:tea"),
            ("product:{sku}", Some("in-{pool}"), "product:tea#in-paris"),
            ("pool:{pool}", Some("{sku}"), "pool:paris#tea"),
            ("stock:{pool}:{sku}", Some("units"), "stock:paris:tea#units"),
        ] {
            let place = place(key, field, Some("main")).unwrap();
            assert_eq!(place.name_of("tea", "paris"), name);
            assert_eq!(place.name_of("tea", ""), name.replace("paris", "main"));
        }
        // A hash tag that happens to be called so.
        let tagged = place("{pool}stock:{sku}", None, Some("")).unwrap();
        assert_eq!(tagged.name_of("tea", ""), "{pool}stock:tea");
        for (key, field, pool, said) in [
            ("stock:{pool}:{sku}", None, None, "say with default_pool"),
            ("stock:{sku}", None, Some("main"), "once in all"),
            ("{pool}:{pool}:{sku}", None, Some("main"), "once in all"),
            ("{pool}:{sku}", Some("{pool}"), Some("main"), "once in all"),
            ("{pool}:{sku}", None, Some("two words"), "must be 1 to 64"),
        ] {
            let error = place(key, field, pool).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn unusable_settings_name_the_field_and_the_rule() {
        assert!(refusal(|s| s.stock_key = Some("stock".into())).contains("stock_key \"stock\""));
        assert!(refusal(|s| s.stock_key = Some("{sku}{sku}".into())).contains("exactly once"));
        assert!(refusal(|s| s.stock_key = Some("tandem:{sku}".into())).contains("key_prefix"));
        assert!(refusal(|s| s.stock_field = Some("{sku}".into())).contains("stock_hash"));
        assert!(refusal(|s| s.count_in_hash = false).contains("stock_hash"));
        assert!(refusal(|s| s.key_prefix = String::new()).contains("key_prefix"));
        assert!(refusal(|s| s.response_timeout_ms = 0).contains("response_timeout_ms 0"));
        assert!(refusal(|s| s.wait_replicas = 17).contains("wait_replicas 17"));
        assert!(refusal(|s| s.wait_aof = true).contains("wait_aof"));
        assert!(refusal(|s| s.wait_timeout_ms = 0).contains("wait_timeout_ms 0"));
        assert!(refusal(|s| s.accept = vec!["NO_AOFF".into()]).contains("NO_AOF,"));
        assert!(
            refusal(|s| {
                s.stock_key = Some("{sku}".into());
                s.stock_hash = Some("stock".into());
            })
            .contains("exclude")
        );
        for (key, field, said) in [
            ("product", "{sku}", "stock_hash"),
            ("product", "stock", "once in all"),
            ("product:{sku}", "{sku}", "once in all"),
            ("product:{sku}", "", "stock_field must not be empty"),
            ("tandem:{sku}", "stock", "key_prefix"),
        ] {
            let said_of = refusal(|s| {
                s.stock_key = Some(key.into());
                s.stock_field = Some(field.into());
            });
            assert!(said_of.contains(said), "{said_of}");
        }
    }

    #[test]
    fn password_stands_in_the_url_or_beside_it() {
        let beside = |url: &str| {
            let mut settings = Settings::at(url);
            settings.password = Some("h#n/t@r:2".to_owned().into());
            settings
                .entrance()
                .map(|entrance| entrance.user().to_owned())
        };
        assert_eq!(beside("redis://me@h").as_deref(), Ok("me"));
        assert_eq!(beside("redis://h/3").as_deref(), Ok("default"));
        for two in ["redis://me:other@h", "redis+unix:///s?pass=other"] {
            assert_eq!(beside(two), Err(SettingsError::TwoPasswords));
        }
    }

    #[test]
    fn a_bad_url_is_refused_without_showing_its_password() {
        let error = Settings::at("redis://tandem:hunter2@:bad")
            .entrance()
            .map(drop)
            .unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let early = Settings::at("redis://tandem:31#72@h").entrance().map(drop);
        let early = early.unwrap_err();
        assert!(early.to_string().contains("percent-encoded"), "{early}");
        assert!(!early.to_string().contains("31"), "{early}");
    }
}
