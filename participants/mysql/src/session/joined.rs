//! When a session joined the others at its server.

/// When a session joined the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(super) term: u64,
    /// How many had joined before it.
    pub(super) ordinal: u64,
}

impl Joined {
    /// The term of [`OneServer`](crate::session::one_server::OneServer) in which it joined.
    pub(crate) fn term(self) -> u64 {
        self.term
    }
}
