//! The daemon's and the sidecars' configuration files: TOML, every key known, every value in range.
//!
//! `tandem.example.toml` beside this crate explains each key. A file that breaks a rule is refused
//! with its line, its column and what was expected.

mod access;
mod limits;
mod listener;
pub mod missing;
mod outside;
mod overrides;
mod participants;
mod positions;
pub(crate) mod print;
mod rules;
mod settings;
mod shown;
mod source;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use tandem_participant::attributes::Attributes;
use tandem_protocol::{CoordinatorId, ParticipantName};

use crate::store_kind::StoreKind;
pub use access::{Access, Tls};
pub use limits::{Limits, Retention};
pub use listener::{Address, Listener, Socket};
use missing::{Missing, missing};
pub use overrides::Override;
pub use participants::{
    MysqlSettings, ParticipantSettings, Participants, RedisSettings, SidecarEndpoint,
};
use source::Source;

/// Where each coordinator has a folder of its own for what lives as long as its process.
pub const RUN_FOLDER: &str = "/run/tandem";

/// The name of the socket of operators where the configuration says nothing of it.
pub const SOCKET: &str = "admin.sock";

/// The file of `tandem serve --config FILE`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who the coordinator is and where it listens.
    #[serde(deserialize_with = "coordinator")]
    pub coordinator: Coordinator,
    /// Bounds and deadlines.
    #[serde(default, deserialize_with = "limits::consistent")]
    pub limits: Limits,
    /// How long what has ended is remembered.
    #[serde(default)]
    pub retention: Retention,
    /// What purchases may carry besides.
    #[serde(default)]
    pub attributes: Attributes,
    /// How connections are encrypted; plain text without it.
    pub tls: Option<Tls>,
    /// Who may do what; everybody everything without it.
    pub access: Option<Access>,
    /// Who takes part, by name; at least one.
    #[serde(deserialize_with = "participants::at_least_one")]
    pub participants: Participants,
    /// What is unsafe about the file's secrets, for a person.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// The section `[coordinator]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinator {
    /// Its name, unique among the coordinators that share a store.
    #[serde(deserialize_with = "rules::parsed")]
    pub id: CoordinatorId,
    /// The decision log's folder; a relative path starts at the configuration file's folder.
    #[serde(deserialize_with = "rules::folder")]
    pub data_dir: PathBuf,
    /// Where clients connect.
    pub listen: Listener,
    /// Where operators connect; a socket of [`Config::admin_sockets`] where nothing is said.
    pub admin_listen: Option<Listener>,
    /// What the participants need not keep.
    #[serde(default)]
    pub accept: Vec<Missing>,
}

/// The file of `tandem participant mysql --config FILE`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MysqlSidecar {
    /// Who the sidecar is and where it listens.
    pub sidecar: Sidecar,
    /// How connections are encrypted; plain text without it.
    pub tls: Option<Tls>,
    /// Who may call; everybody without it.
    pub access: Option<Access>,
    /// What purchases may carry besides, as the coordinator's file declares it.
    #[serde(default)]
    pub attributes: Attributes,
    /// The store, as in `[participants.NAME.mysql]`.
    #[serde(deserialize_with = "participants::mysql")]
    pub mysql: MysqlSettings,
    /// What is unsafe about the file's secrets, for a person.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// The file of `tandem participant redis --config FILE`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSidecar {
    /// Who the sidecar is and where it listens.
    pub sidecar: Sidecar,
    /// How connections are encrypted; plain text without it.
    pub tls: Option<Tls>,
    /// Who may call; everybody without it.
    pub access: Option<Access>,
    /// The store, as in `[participants.NAME.redis]`.
    #[serde(deserialize_with = "participants::redis")]
    pub redis: RedisSettings,
    /// What is unsafe about the file's secrets, for a person.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// The section `[sidecar]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// The name that the coordinator's configuration gives this participant.
    #[serde(deserialize_with = "rules::parsed")]
    pub name: ParticipantName,
    /// Where the coordinator connects.
    pub listen: Listener,
}

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The participants do not keep all that a purchase has.
    #[error("the configuration file {}: {missing}", path.display())]
    Lacking {
        /// The file.
        path: PathBuf,
        /// What nobody keeps.
        missing: Missing,
    },
    /// The file breaks a rule.
    #[error("the configuration file {} is malformed: {}", path.display(), report.trim_end())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column, the line itself and what was expected.
        report: String,
    },
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`], for a person.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, &[])
    }

    /// The same, with these settings in place of the file's and of the environment's.
    ///
    /// # Errors
    /// [`ConfigError`], for a person.
    pub fn load_with(path: &Path, set: &[Override]) -> Result<Self, ConfigError> {
        let mut config: Config = load(path, set, Self::read_with)?;
        if let Some(folder) = path.parent() {
            config.coordinator.data_dir = folder.join(&config.coordinator.data_dir);
            config.coordinator.listen.resolve(folder);
            if let Some(listener) = &mut config.coordinator.admin_listen {
                listener.resolve(folder);
            }
            access::resolve(folder, config.tls.as_mut(), config.access.as_mut());
            for settings in config.participants.values_mut() {
                if let ParticipantSettings::Sidecar(sidecar) = settings {
                    sidecar.resolve(folder);
                }
            }
        }
        Ok(config)
    }

    /// Checks the text of a file; `path` is for the error.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] or [`ConfigError::Lacking`], for a person.
    pub fn read(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::read_with(path, text, &[])
    }

    fn read_with(path: &Path, text: &str, set: &[Override]) -> Result<Self, ConfigError> {
        let source = Source::parse(path, text, set)?;
        let mut config: Config = source.read()?;
        let positions: positions::OfDaemon = source.read()?;
        config.warnings = source.warnings;
        config.check_access(path)?;
        for (name, settings) in &mut config.participants {
            if let ParticipantSettings::Mysql(settings) = settings {
                positions.note(text, name.as_str(), settings);
                declare(&config.attributes, settings, path)?;
            }
        }
        let kinds = config.participants.values().map(ParticipantSettings::kind);
        match config.lacks(kinds) {
            None => Ok(config),
            Some(missing) => Err(ConfigError::Lacking {
                path: path.into(),
                missing,
            }),
        }
    }

    /// Its listeners that the file names, each with its key.
    pub fn listeners(&self) -> Vec<(&'static str, &Listener)> {
        let admin = self.coordinator.admin_listen.as_ref();
        let admin = admin.map(|listener| ("admin_listen", listener));
        let clients = ("listen", &self.coordinator.listen);
        std::iter::once(clients).chain(admin).collect()
    }

    /// Where operators connect if the file does not say it: in the first folder that can be made.
    pub fn admin_sockets(&self) -> [Socket; 2] {
        let run = Path::new(RUN_FOLDER).join(self.coordinator.id.as_str());
        [run, self.coordinator.data_dir.clone()].map(|folder| Socket::new(folder.join(SOCKET)))
    }

    /// The URL at which operators connect: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:PATH` of a socket that
    /// is there.
    ///
    /// # Errors
    /// That no socket is there, as the end of a sentence about the file.
    pub fn operators_url(&self) -> Result<String, String> {
        let unix = |path: &Path| format!("unix:{}", path.display());
        let Some(listener) = &self.coordinator.admin_listen else {
            let places = self.admin_sockets().map(|socket| socket.path);
            let there = places.iter().find(|path| path.exists());
            return there.map(|path| unix(path)).ok_or_else(|| {
                let [first, second] = places.each_ref().map(|path| path.display());
                format!(
                    "names no admin_listen, and there is no socket {first} or {second}: the coordinator does not run"
                )
            });
        };
        Ok(match &listener.address {
            Address::Unix(socket) => unix(&socket.path),
            Address::Tcp(address) if listener.is_encrypted(self.tls.is_some()) => {
                format!("https://{address}")
            }
            Address::Tcp(address) => format!("http://{address}"),
        })
    }

    fn check_access(&self, path: &Path) -> Result<(), ConfigError> {
        check_access(
            path,
            self.tls.as_ref(),
            self.access.as_ref(),
            &self.listeners(),
        )
    }

    /// What participants of these kinds do not keep, if that is not accepted.
    pub fn lacks(&self, kinds: impl IntoIterator<Item = Option<StoreKind>>) -> Option<Missing> {
        missing(kinds).filter(|missing| !self.coordinator.accept.contains(missing))
    }
}

impl MysqlSidecar {
    /// Reads and checks the file at `path`, with these settings in place of its own.
    ///
    /// # Errors
    /// [`ConfigError`], for a person.
    pub fn load_with(path: &Path, set: &[Override]) -> Result<Self, ConfigError> {
        let mut file: Self = load(path, set, Self::read_with)?;
        if let Some(folder) = path.parent() {
            file.sidecar.listen.resolve(folder);
            access::resolve(folder, file.tls.as_mut(), file.access.as_mut());
        }
        Ok(file)
    }

    /// Checks the text of a file; `path` is for the error.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`], for a person.
    pub fn read(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::read_with(path, text, &[])
    }

    fn read_with(path: &Path, text: &str, set: &[Override]) -> Result<Self, ConfigError> {
        let source = Source::parse(path, text, set)?;
        let mut sidecar: MysqlSidecar = source.read()?;
        let positions: positions::OfSidecar = source.read()?;
        sidecar.warnings = source.warnings;
        positions.note(text, &mut sidecar.mysql);
        declare(&sidecar.attributes, &mut sidecar.mysql, path)?;
        let (tls, access) = (sidecar.tls.as_ref(), sidecar.access.as_ref());
        check_access(path, tls, access, &sidecar.sidecar.listeners())?;
        Ok(sidecar)
    }
}

impl RedisSidecar {
    /// Reads and checks the file at `path`, with these settings in place of its own.
    ///
    /// # Errors
    /// [`ConfigError`], for a person.
    pub fn load_with(path: &Path, set: &[Override]) -> Result<Self, ConfigError> {
        let mut file: Self = load(path, set, Self::read_with)?;
        if let Some(folder) = path.parent() {
            file.sidecar.listen.resolve(folder);
            access::resolve(folder, file.tls.as_mut(), file.access.as_mut());
        }
        Ok(file)
    }

    /// Checks the text of a file; `path` is for the error.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`], for a person.
    pub fn read(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::read_with(path, text, &[])
    }

    fn read_with(path: &Path, text: &str, set: &[Override]) -> Result<Self, ConfigError> {
        let source = Source::parse(path, text, set)?;
        let mut sidecar: RedisSidecar = source.read()?;
        sidecar.warnings = source.warnings;
        let (tls, access) = (sidecar.tls.as_ref(), sidecar.access.as_ref());
        check_access(path, tls, access, &sidecar.sidecar.listeners())?;
        Ok(sidecar)
    }
}

impl Sidecar {
    /// Its only listener, with its key.
    pub fn listeners(&self) -> [(&'static str, &Listener); 1] {
        [("listen", &self.listen)]
    }
}

fn check_access(
    path: &Path,
    tls: Option<&Tls>,
    access: Option<&Access>,
    listeners: &[(&str, &Listener)],
) -> Result<(), ConfigError> {
    match access::refusal(tls, access, listeners) {
        None => Ok(()),
        Some(report) => Err(ConfigError::Malformed {
            path: path.into(),
            report,
        }),
    }
}

/// A [`Coordinator`] whose values agree with each other.
fn coordinator<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Coordinator, D::Error> {
    let coordinator = Coordinator::deserialize(deserializer)?;
    let admin = coordinator.admin_listen.as_ref();
    if admin.is_some_and(|admin| admin.address == coordinator.listen.address) {
        return Err(D::Error::custom(format!(
            "listen and admin_listen are both {}; operators need an address of their own",
            coordinator.listen
        )));
    }
    Ok(coordinator)
}

fn load<T>(
    path: &Path,
    set: &[Override],
    read: fn(&Path, &str, &[Override]) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.into(),
        source,
    })?;
    let set = [&Override::of_environment()[..], set].concat();
    read(path, &text, &set)
}

/// Gives the statements the attributes that the file declares; one that they use and that is not declared is
/// refused where the statement stands.
fn declare(
    attributes: &Attributes,
    mysql: &mut MysqlSettings,
    path: &Path,
) -> Result<(), ConfigError> {
    mysql.attributes = attributes.clone();
    let Some((undeclared, position)) = mysql.undeclared_attribute() else {
        return Ok(());
    };
    let place = position.map(|at| format!("{at}: ")).unwrap_or_default();
    Err(ConfigError::Malformed {
        path: path.into(),
        report: format!(
            "{place}:attr.{undeclared} is not declared; add [attributes.{undeclared}] with its type, outside \
             the participants"
        ),
    })
}

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod before;
#[cfg(test)]
mod tests;
