//! What an audit suspects, and what a look at it says.

use tandem_proto::v1;
use tandem_protocol::{ParticipantName, TransactionId};

/// What is suspected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A branch that the coordinator itself knows to be damaged.
    Damage {
        participant: ParticipantName,
        transaction: TransactionId,
    },
    /// A decided purchase's row.
    Purchase {
        participant: ParticipantName,
        transaction: TransactionId,
        purchase_id: String,
    },
    /// A store's memory of a transaction.
    Memory {
        participant: ParticipantName,
        transaction: TransactionId,
    },
    /// A row of a purchase that the log does not know.
    Row {
        participant: ParticipantName,
        purchase_id: String,
    },
    /// Units that are held.
    Hold {
        participant: ParticipantName,
        transaction: String,
    },
    /// A sum of what is held.
    Held {
        participant: ParticipantName,
        stock: String,
    },
    Debt {
        participant: ParticipantName,
        stock: String,
    },
    /// What a store has counted as deducted.
    Deducted {
        participant: ParticipantName,
        sku: String,
    },
    /// A prepared branch.
    Branch {
        participant: ParticipantName,
        id: String,
    },
}

/// What a look at it says.
pub(super) enum Look {
    Agrees,
    /// It may agree when its transaction has ended.
    UnderWay,
    Differs(Box<v1::Disagreement>),
    /// Somebody could not be asked.
    Unknown,
}
