//! The MySQL and MariaDB participant: a purchase's rows as a branch of an XA transaction.
//!
//! What to know before reading on (each measured on MariaDB 10.11 and 11.8 and on MySQL 9.7):
//!
//! - The answer of `XA COMMIT` or `XA ROLLBACK` is evidence only on the session that prepared the
//!   branch. MariaDB can answer OK to another session and not commit, and 1397 (unknown xid) can
//!   mean anything. So every branch begins with a *marker row*, and a locking read of it that does
//!   not wait settles every doubt ([`records::evidence`]).
//! - MariaDB ties a prepared branch to its session. That session is kept until the decision
//!   ([`store::branches`]); when it is lost, its departure from the process list is awaited before
//!   another session finishes the branch ([`branch::settle`]).
//! - A roll back leaves a marker row of its own. Its primary key is the marker's, so it waits for,
//!   or refuses, a prepare that is still on its way, and it outlives this process.
//!
//! - The server that answers at an address may be another one than a moment ago, or one that went
//!   back in time. Each new session tells which it is ([`session::one_server`]), and each prepare lets the
//!   server prove in the same packet that it knows what it acknowledged ([`records::lives`]).
//!
//! The rooms, each of which knows those below it: [`branch`] (a transaction's), [`enlistment`]
//! (coordinators), [`preflight`] (what is looked at before purchases are taken), [`store`] (what all calls
//! share), [`records`] (tandem's own rows), [`session`] (connections), [`sql`] (statements as text).
//! Reading order: [`branch::prepare`], then [`branch::commit`] and [`branch::settle`], then the rest.

mod branch;
mod by_hand;
mod danger;
mod enlistment;
mod mysql_participant;
mod preflight;
mod records;
mod remedy;
mod rights;
mod session;
mod settings;
mod sql;
mod store;

pub use branch::refusal;
pub use by_hand::{
    commit_by_hand, commit_prepared_by_hand, end_by_hand, newest_by_hand, release_by_hand,
    take_back_by_hand,
};
pub use danger::FindingName;
pub use mysql_participant::MysqlParticipant;
pub use records::xid;
pub use session::codes;
pub use session::server::Flavour;
pub use settings::{Settings, SettingsError};
pub use sql::encode;
pub use sql::fill::Begun;
pub use sql::guard::Missed;
pub use sql::line::Line;
pub use sql::rows::Rows;
pub use sql::statement::{Per, Position, Statement};
pub use sql::statement_error::{Forbidden, StatementError, StatementsError};
pub use sql::templates::Templates;
