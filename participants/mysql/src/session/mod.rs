//! Sessions at a server: connecting, what became of what was sent, and who is in whose way. Nothing here
//! knows a branch.

pub(crate) mod answer;
pub mod codes;
pub(crate) mod connection;
pub(crate) mod dial;
pub(crate) mod failure;
mod joined;
pub(crate) mod one_server;
pub(crate) mod script;
pub(crate) mod server;
pub(crate) mod sessions;
mod setup;
pub(crate) mod watch;
