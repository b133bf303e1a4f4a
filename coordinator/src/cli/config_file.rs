//! A configuration file of one of the kinds that there are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tandem_mysql::MysqlParticipant;
use tandem_participant::Participant;
use tandem_protocol::ParticipantName;
use tandem_redis::RedisParticipant;

use crate::config::{
    Config, ConfigError, MysqlSettings, MysqlSidecar, Override, ParticipantSettings, RedisSettings,
    RedisSidecar,
};
use crate::daemon;

pub(super) type Participants = BTreeMap<ParticipantName, Arc<dyn Participant>>;

/// Which file, and what is said in its place.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    /// The configuration file; tandem.example.toml explains each key
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// A setting in place of the file's, as limits.sweep_interval_s=10; TANDEM_LIMITS__SWEEP_INTERVAL_S in the
    /// environment does the same
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
}

/// The file of a coordinator or of a sidecar.
pub(super) enum ConfigFile {
    Daemon(Box<Config>),
    Mysql(Box<MysqlSidecar>),
    Redis(Box<RedisSidecar>),
}

/// A store that the file itself knows how to reach.
pub(super) enum StoreSettings<'a> {
    Mysql(&'a MysqlSettings),
    Redis(&'a RedisSettings),
}

impl ConfigFile {
    /// Reads it as what it has sections of.
    pub(super) fn load(args: &ConfigArgs) -> Result<ConfigFile, ConfigError> {
        let (path, set) = (&args.config, &args.set);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let sections: toml::Table = text.parse().unwrap_or_default();
        Ok(match sections.contains_key("sidecar") {
            false => ConfigFile::Daemon(Box::new(Config::load_with(path, set)?)),
            true if sections.contains_key("redis") => {
                ConfigFile::Redis(Box::new(RedisSidecar::load_with(path, set)?))
            }
            true => ConfigFile::Mysql(Box::new(MysqlSidecar::load_with(path, set)?)),
        })
    }

    /// What is unsafe about its secrets.
    pub(super) fn warnings(&self) -> &[String] {
        match self {
            ConfigFile::Daemon(config) => &config.warnings,
            ConfigFile::Mysql(file) => &file.warnings,
            ConfigFile::Redis(file) => &file.warnings,
        }
    }

    /// Each store by its name, but for those behind a sidecar.
    pub(super) fn stores(&self) -> Vec<(&ParticipantName, StoreSettings<'_>)> {
        match self {
            ConfigFile::Daemon(config) => {
                let named = config.participants.iter();
                let stores = named.filter_map(|(name, settings)| match settings {
                    ParticipantSettings::Mysql(one) => Some((name, StoreSettings::Mysql(one))),
                    ParticipantSettings::Redis(one) => Some((name, StoreSettings::Redis(one))),
                    ParticipantSettings::Sidecar(_) => None,
                });
                stores.collect()
            }
            ConfigFile::Mysql(file) => {
                vec![(&file.sidecar.name, StoreSettings::Mysql(&file.mysql))]
            }
            ConfigFile::Redis(file) => {
                vec![(&file.sidecar.name, StoreSettings::Redis(&file.redis))]
            }
        }
    }

    /// Each participant, not connected yet.
    pub(super) fn participants(&self) -> anyhow::Result<Participants> {
        if let ConfigFile::Daemon(config) = self {
            return daemon::participants(config);
        }
        let stores = self.stores().into_iter().map(|(name, settings)| {
            let one: Arc<dyn Participant> = match settings {
                StoreSettings::Mysql(settings) => {
                    Arc::new(MysqlParticipant::new(name.clone(), settings.clone())?)
                }
                StoreSettings::Redis(settings) => {
                    Arc::new(RedisParticipant::new(name.clone(), settings.clone())?)
                }
            };
            Ok((name.clone(), one))
        });
        stores.collect()
    }
}
