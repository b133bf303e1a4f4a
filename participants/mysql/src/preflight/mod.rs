//! What is looked at before purchases are taken: the server's settings, the app's tables and statements,
//! and tandem's own tables.

mod behind;
pub(crate) mod describe;
mod engines;
pub(crate) mod findings;
mod folding;
pub(crate) mod layout;
pub(crate) mod rehearsal;
mod time_zone;
mod unique;
mod variables;
