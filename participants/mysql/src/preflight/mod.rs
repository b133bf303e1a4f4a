//! What is looked at before purchases are taken: the server's settings, the app's tables and statements,
//! and tandem's own tables.

pub(crate) mod audited;
mod behind;
pub(crate) mod check;
mod columns;
pub(crate) mod describe;
mod engines;
pub(crate) mod examine;
pub(crate) mod findings;
mod folding;
pub(crate) mod layout;
pub(crate) mod rehearsal;
mod rights;
mod small;
mod time_zone;
mod trial;
mod unique;
mod variables;
