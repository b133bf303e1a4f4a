//! The process itself: what it does when its log can't be written, when descriptors run out, when it
//! is signalled, and when what it receives can't be read. No store answers here; none is needed.

#![allow(clippy::unwrap_used)]

mod descriptors;
mod role;
mod secured;
mod signals;
mod socket;
mod stderr;
mod unread;
