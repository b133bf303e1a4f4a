//! What is sent to the log, and what follows from its being there.

use super::Coordinator;
use crate::action::Action;
use crate::id::{Position, Ticket};
use crate::record::Record;
use crate::tail::Storing;
use crate::time::Timestamp;

impl Coordinator {
    pub(super) fn stored(&mut self, now: Timestamp, ticket: Ticket, position: Position) {
        let Some(storing) = self.tail.store(ticket, position) else {
            // It was told before.
            return;
        };
        match storing {
            Storing::Decision(id) => self.decision_stored(&id, position),
            Storing::Refusals {
                transaction,
                time,
                refused,
            } => self.refusals_stored(&transaction, time, refused, position),
            Storing::Settlement {
                request,
                settlement,
            } => self.settlement_stored(now, request, settlement, position),
            Storing::Repair { request, repair } => {
                self.repair_stored(now, request, repair, position);
            }
            Storing::Keep(id) => self.transactions.place(&id, position),
            Storing::Carried(id, names) => {
                self.transactions.place_decision(&id, &names, position);
            }
            Storing::Forgotten { release, before } => self.forgotten_stored(release, before),
            Storing::Totals(stocks) => self.totals.stored(&stocks, position),
            Storing::Nothing => {}
        }
    }

    pub(super) fn store(&mut self, record: Record, forced: bool, then: Storing) {
        let ticket = self.tail.send(then);
        self.actions.push(Action::Store {
            ticket,
            record,
            forced,
        });
    }
}
