//! What no way to make purchases can pass on this machine.

pub(crate) mod call;
pub(crate) mod force_rate;
pub(crate) mod insert;
