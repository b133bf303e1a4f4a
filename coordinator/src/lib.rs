//! tandem: the coordinator's daemon and its command line.

pub mod cli;
pub mod config;
pub mod logging;
