//! How an attempt to prepare ends.

use tandem_participant::RefusedEntry;

use crate::session::failure::PacketFailure;

/// How an attempt to prepare ended; nothing of it is left active in the session.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Prepared, but for these.
    Prepared(Vec<RefusedEntry>),
    /// Every entry was refused; nothing is prepared.
    AllRefused(Vec<RefusedEntry>),
    /// The transaction was here before.
    Before(&'static str),
    /// A statement of the app's failed; nothing is prepared.
    Failed(PacketFailure),
    /// It was interrupted, since its time was over or its transaction is rolled back; nothing is
    /// prepared.
    GivenUp,
}
