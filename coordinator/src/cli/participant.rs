//! `tandem participant mysql|redis`.

use std::path::PathBuf;

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
    /// The configuration file: a section [sidecar] with name and listen, and one for the store
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
}
