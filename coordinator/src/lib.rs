//! tandem: the coordinator's daemon and its command line.

pub mod config;
pub mod logging;
