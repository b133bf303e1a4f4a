//! Taking up what the log has left.

use crate::coordinator::Coordinator;
use crate::id::TransactionId;
use crate::in_flight::{InFlight, Place};
use crate::record::fingerprint;
use crate::transaction::{Committing, State, Transaction};

impl Coordinator {
    /// Takes an unfinished decision over from the log: every branch is asked again.
    pub(crate) fn adopt(&mut self, transaction: Transaction) {
        let id = transaction.id.clone();
        match &transaction.state {
            State::Committing(committing) => self.adopt_purchases(&id, committing),
            State::Aborting(_) => {}
            State::Preparing(_) | State::Deciding(_) => {
                return debug_assert!(false, "{id} comes from the log without an outcome");
            }
        }
        for (name, branch) in transaction.branches().into_iter().flatten() {
            if let Some(retry_time) = branch.retry_time() {
                self.participants.wait(&id.at(name), retry_time);
            }
        }
        self.transactions.take_up(transaction);
        self.end_if_done(&id);
    }

    fn adopt_purchases(&mut self, id: &TransactionId, committing: &Committing) {
        for entry in &committing.entries {
            let purchase = entry.purchase.clone();
            self.in_flight.insert(
                purchase.purchase_id.clone(),
                InFlight {
                    fingerprint: fingerprint(&purchase),
                    purchase,
                    place: Place::In(id.clone()),
                    waiters: Vec::new(),
                },
            );
        }
        let participants = committing.branches.keys();
        self.totals.begin(participants, &committing.entries);
    }
}
