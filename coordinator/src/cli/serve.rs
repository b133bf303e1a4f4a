//! `tandem serve`.

use std::path::PathBuf;

use crate::logging::LogArgs;

/// Arguments of `tandem serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; tandem.example.toml explains each key
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
}
