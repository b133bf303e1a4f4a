//! The tables `[participants.NAME.KIND]`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use tandem_protocol::ParticipantName;
use tonic::transport::Uri;

use super::rules;

/// Settings of the MySQL participant.
pub use tandem_mysql::Settings as MysqlSettings;
/// Settings of the Redis participant.
pub use tandem_redis::Settings as RedisSettings;

/// Who takes part, by name.
pub type Participants = BTreeMap<ParticipantName, ParticipantSettings>;

/// How one participant is reached.
#[derive(Debug, Clone)]
pub enum ParticipantSettings {
    /// MySQL or MariaDB, in the daemon's process.
    Mysql(MysqlSettings),
    /// Redis or Valkey, in the daemon's process.
    Redis(RedisSettings),
    /// Any participant that is served by another process.
    Sidecar(SidecarEndpoint),
}

/// The table `[participants.NAME.sidecar]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidecarEndpoint {
    /// Where it listens: `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`.
    #[serde(deserialize_with = "endpoint")]
    pub endpoint: String,
    /// For https: the CAs of its certificate.
    pub ca_file: Option<PathBuf>,
    /// The certificate that it is shown; that of `[tls]` where there is none.
    pub certificate_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The token that it is shown.
    pub token_file: Option<PathBuf>,
}

impl SidecarEndpoint {
    /// Whether it is reached through TLS.
    pub fn is_encrypted(&self) -> bool {
        self.endpoint.starts_with("https://")
    }

    /// Makes relative paths start at `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let files = [
            &mut self.ca_file,
            &mut self.certificate_file,
            &mut self.key_file,
            &mut self.token_file,
        ];
        for path in files.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }
}

/// Participants, of which there is at least one.
pub(super) fn at_least_one<'de, D>(deserializer: D) -> Result<Participants, D::Error>
where
    D: Deserializer<'de>,
{
    let named: BTreeMap<Name, ParticipantSettings> = BTreeMap::deserialize(deserializer)?;
    if named.is_empty() {
        return Err(D::Error::custom(
            "there are no participants; add a table such as [participants.purchases.mysql]",
        ));
    }
    let participants = named
        .into_iter()
        .map(|(Name(name), settings)| (name, settings));
    Ok(participants.collect())
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(ParticipantName);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        rules::parsed(deserializer).map(Self)
    }
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum ParticipantKind {
    Mysql,
    Redis,
    Sidecar,
}

/// By hand, since a derived enum says "wanted exactly 1 element" where a person forgot the kind.
impl<'de> Deserialize<'de> for ParticipantSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneKind)
    }
}

struct OneKind;

impl<'de> Visitor<'de> for OneKind {
    type Value = ParticipantSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "one table that names the participant's kind: [participants.NAME.mysql], \
             [participants.NAME.redis] or [participants.NAME.sidecar]",
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut tables: A) -> Result<Self::Value, A::Error> {
        let Some(kind) = tables.next_key::<ParticipantKind>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        let settings = match kind {
            ParticipantKind::Mysql => {
                let Mysql(settings) = tables.next_value()?;
                ParticipantSettings::Mysql(settings)
            }
            ParticipantKind::Redis => {
                let Redis(settings) = tables.next_value()?;
                ParticipantSettings::Redis(settings)
            }
            ParticipantKind::Sidecar => ParticipantSettings::Sidecar(tables.next_value()?),
        };
        match tables.next_key::<ParticipantKind>()? {
            None => Ok(settings),
            Some(_) => Err(A::Error::invalid_length(2, &self)),
        }
    }
}

/// Settings that are refused at their table where they can't work together.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Mysql(#[serde(deserialize_with = "mysql")] MysqlSettings);

/// The same of Redis.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Redis(#[serde(deserialize_with = "redis")] RedisSettings);

pub(super) fn mysql<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MysqlSettings, D::Error> {
    let settings = MysqlSettings::deserialize(deserializer)?;
    settings.check().map_err(D::Error::custom)?;
    Ok(settings)
}

pub(super) fn redis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RedisSettings, D::Error> {
    let settings = RedisSettings::deserialize(deserializer)?;
    settings.check().map_err(D::Error::custom)?;
    Ok(settings)
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.starts_with("unix:/") {
        return Ok(text);
    }
    let uri = text.parse::<Uri>().ok();
    let usable = uri.filter(|uri| {
        let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
        is_known && uri.port_u16().is_some() && uri.path() == "/"
    });
    usable.map(|uri| uri.to_string()).ok_or_else(|| {
        D::Error::invalid_value(
            Unexpected::Str(&text),
            &"an endpoint, as in \"http://127.0.0.1:7660\", \"https://stock.example:7660\" or \"unix:/PATH\"",
        )
    })
}
