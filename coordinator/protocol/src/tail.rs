//! The log's tail: records that are on their way to it.

use std::collections::BTreeMap;

use crate::by_hand::{Repair, Settlement};
use crate::id::{ParticipantName, Position, RequestId, Ticket, TransactionId};
use crate::record::RefusedPurchase;
use crate::time::Timestamp;
use crate::totals::StockId;

/// A record on its way to the log, and what follows from its being there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Storing {
    Decision(TransactionId),
    Refusals {
        transaction: TransactionId,
        time: Timestamp,
        refused: Vec<RefusedPurchase>,
    },
    Settlement {
        request: RequestId,
        settlement: Settlement,
    },
    Repair {
        request: RequestId,
        repair: Repair,
    },
    /// A record of an unfinished transaction, written for the first time or again.
    Keep(TransactionId),
    /// A decision that is written again; who carries it out.
    Carried(TransactionId, Vec<ParticipantName>),
    Forgotten {
        /// Records before this position are needed no more.
        release: Position,
        before: TransactionId,
    },
    /// Totals that are written again.
    Totals(Vec<StockId>),
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tail {
    /// Every record of which nobody has said yet that it is stored stands here or later.
    next_position: Position,
    storing: BTreeMap<Ticket, Storing>,
    next_ticket: Ticket,
}

impl Tail {
    /// A log that goes on here.
    pub(crate) fn new(next_position: Position) -> Tail {
        Tail {
            next_position,
            storing: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// See the field.
    pub(crate) fn next_position(&self) -> Position {
        self.next_position
    }

    /// What is on its way, as it was sent.
    pub(crate) fn storing(&self) -> impl ExactSizeIterator<Item = &Storing> {
        self.storing.values()
    }

    /// Whether a person's word about a transaction is on its way to the log.
    pub(crate) fn is_settling(&self, id: &TransactionId) -> bool {
        self.storing().any(|storing| {
            matches!(storing, Storing::Settlement { settlement, .. } if settlement.transaction == *id)
        })
    }

    /// Sends a record on its way; gives the ticket by which it is stored.
    pub(crate) fn send(&mut self, then: Storing) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.storing.insert(ticket, then);
        ticket
    }

    /// Takes a record for stored; gives what follows from that, the first time.
    pub(crate) fn store(&mut self, ticket: Ticket, position: Position) -> Option<Storing> {
        let storing = self.storing.remove(&ticket)?;
        self.next_position = self.next_position.max(position.saturating_add(1));
        Some(storing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_stored_once() {
        let mut tail = Tail::new(7);
        let (first, second) = (tail.send(Storing::Nothing), tail.send(Storing::Nothing));
        assert_eq!(tail.store(second, 8), Some(Storing::Nothing));
        assert_eq!(tail.store(second, 9), None);
        assert_eq!((tail.next_position(), tail.storing().len()), (9, 1));
        // One that stands before it is told later.
        assert_eq!(tail.store(first, 7), Some(Storing::Nothing));
        assert_eq!(tail.next_position(), 9);
    }
}
