//! Why a log can't be replayed.

use crate::id::{CoordinatorId, Position, TransactionId};
use crate::record::RecordError;

/// A log whose records do not make sense together.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A record can't be read.
    #[error("record {position} of the decision log can't be read")]
    Record {
        position: Position,
        #[source]
        source: RecordError,
    },
    /// A record belongs to another coordinator.
    #[error(
        "record {position} of the decision log belongs to coordinator {found}, not to {expected}: \
         each coordinator needs a log folder of its own"
    )]
    OtherCoordinator {
        position: Position,
        /// Whose it is.
        found: CoordinatorId,
        /// Whose it should be.
        expected: CoordinatorId,
    },
    /// There is no epoch after the one that a record names.
    #[error(
        "record {position} of the decision log names the last epoch that there can be: no \
         coordinator has written it. Start the coordinator on a log folder that only it has written"
    )]
    NoEpochLeft { position: Position },
    /// A transaction is both decided and refused.
    #[error(
        "record {position} of the decision log contradicts an earlier record about transaction \
         {transaction}: two processes have written to this log, or it was put together by hand. \
         Start the coordinator on a log folder that only it has written"
    )]
    Contradiction {
        position: Position,
        /// Of which transaction.
        transaction: TransactionId,
    },
}
