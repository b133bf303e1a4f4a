//! The MySQL and MariaDB participant: a purchase's rows as a branch of an XA transaction.
//!
//! What to know before reading on (each measured on MariaDB 10.11 and 11.8 and on MySQL 9.7):
//!
//! - The answer of `XA COMMIT` or `XA ROLLBACK` is evidence only on the session that prepared the
//!   branch. MariaDB can answer OK to another session and not commit, and 1397 (unknown xid) can
//!   mean anything. So every branch begins with a *marker row*, and a locking read of it that does
//!   not wait settles every doubt ([`evidence`]).
//! - MariaDB ties a prepared branch to its session. That session is kept until the decision
//!   ([`branches`]); when it is lost, its departure from the process list is awaited before
//!   another session finishes the branch ([`settle`]).
//! - A roll back leaves a marker row of its own. Its primary key is the marker's, so it waits for,
//!   or refuses, a prepare that is still on its way, and it outlives this process.
//!
//! - The server that answers at an address may be another one than a moment ago, or one that went
//!   back in time. Each new session tells which it is ([`one_server`]), and each prepare lets the
//!   server prove in the same packet that it knows what it acknowledged ([`lives`]).
//!
//! Reading order: [`prepare`] and [`isolate`], then [`finish`] and [`settle`], then the rest.

mod alarm;
mod audit;
mod branches;
mod by_hand;
pub mod codes;
mod coordinators;
pub mod encode;
mod enlist;
mod evidence;
mod finish;
mod folding;
mod forbidden;
mod forget;
mod guard;
mod isolate;
mod kept;
mod layout;
mod lives;
mod look;
mod one_server;
mod param;
mod participant;
mod plain;
mod preflight;
mod prepare;
mod processes;
mod recall;
mod recover;
pub mod refusal;
mod rehearsal;
mod repair;
mod rows;
mod script;
mod server;
mod session;
mod sessions;
mod settings;
mod settle;
mod setup;
pub mod statements;
mod tables;
mod template;
mod tokens;
mod unique;
mod unproven;
mod watch;
mod watched;
pub mod xid;

pub use by_hand::{commit_by_hand, end_by_hand, newest_by_hand, take_back_by_hand};
pub use guard::Missed;
pub use participant::MysqlParticipant;
pub use rows::Rows;
pub use script::Line;
pub use server::Flavour;
pub use settings::{Per, Settings, SettingsError, Statement};
