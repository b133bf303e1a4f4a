//! What was measured, for people, programs and slides.

pub(crate) mod json;
pub(crate) mod plot;
pub(crate) mod table;
