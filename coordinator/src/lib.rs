//! tandem: the coordinator's daemon and its command line.

pub mod audit;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod dev;
pub mod logging;
pub mod services;
mod words;
