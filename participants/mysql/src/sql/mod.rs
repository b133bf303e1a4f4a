//! The app's statements and tandem's own as text: what they are made of, what they must not hold, how a
//! purchase is written into them. Nothing here knows a session.

pub mod encode;
pub(crate) mod fill;
mod forbidden;
pub(crate) mod guard;
pub(crate) mod kept;
pub(crate) mod kept_by_server;
pub(crate) mod line;
pub(crate) mod names;
pub(crate) mod param;
pub(crate) mod rows;
mod source;
pub(crate) mod statement;
pub(crate) mod statement_error;
pub(crate) mod tables;
pub(crate) mod template;
pub(crate) mod templates;
pub(crate) mod tokens;
mod written;
