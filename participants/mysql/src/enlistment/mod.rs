//! Coordinators at the server: making one known, checking that it is, and what is remembered for it.

pub(crate) mod enlist;
pub(crate) mod enlisted;
pub(crate) mod forget;
mod life;
pub(crate) mod look;
pub(crate) mod recall;
