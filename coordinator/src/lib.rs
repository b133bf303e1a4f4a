//! tandem: the coordinator's daemon, and the verbs of its command line.

pub mod access;
pub mod audit;
pub mod cli;
pub mod config;
pub mod daemon;
mod doctor;
mod error_reason;
mod explain;
mod hex;
pub mod logging;
#[cfg(test)]
mod manual;
mod plural;
mod recover;
pub mod services;
pub mod store_kind;
mod xid;
