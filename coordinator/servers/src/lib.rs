//! Private database servers on loopback: MariaDB, MySQL, Redis and Valkey.
//!
//! `tandem dev` and every test that needs a server start their own through
//! this crate, on a port and in a folder of their own, and leave nothing
//! behind. The crate knows nothing of the rest of tandem.
//!
//! ```no_run
//! use tandem_servers::{LaunchOptions, MysqlOptions, MysqlServer, RedisServer};
//!
//! # fn main() -> anyhow::Result<()> {
//! let mysql = MysqlServer::start(
//!     &tandem_servers::installed_mysql()?,
//!     MysqlOptions::default(),
//! )?;
//! let redis = RedisServer::start(
//!     &tandem_servers::installed_redis()?,
//!     LaunchOptions::default(),
//! )?;
//! println!("{} at {}", mysql.binary(), mysql.url());
//! redis.kill9()?;
//! redis.restart()?; // the same port, the same folder
//! # Ok(())
//! # }
//! ```
//!
//! **Where binaries come from.** [`find_installed`] looks at what the machine
//! has; [`fetch`] brings servers of Debian's unstable suite into a cache
//! folder without touching the machine's own packages; [`install_with_apt`]
//! installs what is missing, when the user agreed to that.
//!
//! **Durable by default.** Every acknowledged write survives `kill -9` and, as
//! far as the disk is honest, a power cut: `innodb_flush_log_at_trx_commit=1`,
//! `sync_binlog=1` with the binary log on, `appendfsync always`, `noeviction`.
//!
//! **Nothing is left behind.** Dropping a server kills its process and removes
//! its temporary folder. Where util-linux's `setpriv` exists, the kernel also
//! kills the servers of a process that died without unwinding, and the next
//! process that starts a server sweeps the folders that such a death left.
//! Servers are in process groups of their own, so Ctrl-C on a terminal reaches
//! only the caller, who then stops them in the order it wants.
//!
//! All calls block the calling thread; asynchronous code wraps them in its
//! runtime's blocking call.

mod binary;
mod cache;
mod command;
pub mod fetch;

mod folder;
mod install;
mod lock;
mod mysql;
mod port;
mod process;
mod redis;
mod search;
mod server;
mod sources;

mod spawner;
mod template;

pub use binary::{
    Flavor, MissingServer, ServerBinary, find_installed, installed_mysql, installed_redis,
};
pub use cache::cache_folder;
pub use folder::Folder;
pub use install::{install_with_apt, missing_packages};
pub use mysql::{MysqlOptions, MysqlServer};
pub use port::PortLease;
pub use process::Process;
pub use redis::RedisServer;
pub use server::{LaunchOptions, Server};
pub use spawner::{guarded, spawn};
