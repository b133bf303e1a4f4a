//! `tandem serve`.

use super::config_file::ConfigArgs;
use crate::logging::LogArgs;

/// Arguments of `tandem serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[command(flatten)]
    pub file: ConfigArgs,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
}
