//! A transaction's branch: prepared, ended, put right, and looked at.

pub(crate) mod audit_pages;
pub(crate) mod commit;
pub(crate) mod inspect;
mod interrupt;
mod its_session;
mod named;
pub(crate) mod prepare;
mod processes;
pub mod refusal;
pub(crate) mod repair;
pub(crate) mod roll_back;
mod settle;
mod singly;
