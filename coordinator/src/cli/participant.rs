//! `tandem participant mysql|redis`.

use super::config_file::ConfigArgs;
use crate::logging::LogArgs;

/// Which store the sidecar stands beside.
#[derive(Debug, clap::Subcommand)]
pub enum SidecarKind {
    /// Beside MySQL or MariaDB
    Mysql(Args),
    /// Beside Redis or Valkey
    Redis(Args),
}

/// Arguments of both kinds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[command(flatten)]
    pub file: ConfigArgs,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
}
