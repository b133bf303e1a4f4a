//! tandem: the coordinator's daemon, and the verbs of its command line.

pub mod audit;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod logging;
pub mod services;
mod words;
