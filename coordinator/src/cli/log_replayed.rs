//! What the records of a log say together, and what is left to be done by them.

use std::collections::BTreeSet;

use tandem_log::Inspection;
use tandem_protocol::{
    CoordinatorId, ParticipantName, Record, Recovered, ReplayError, TransactionId, TransactionView,
};

use super::log_work;
use crate::config::Participants;

/// What the records say together.
pub(super) struct Replayed {
    pub(super) coordinator: CoordinatorId,
    pub(super) epoch: Option<u64>,
    pub(super) purchases: usize,
    pub(super) newest: Option<TransactionId>,
    /// The first transaction that the log still speaks about, if it has forgotten any.
    pub(super) first: Option<TransactionId>,
    pub(super) unfinished: Vec<Unfinished>,
    /// Who has carried out decisions of it.
    pub(super) stores: BTreeSet<ParticipantName>,
}

/// A decision that has not been carried out everywhere.
pub(super) struct Unfinished {
    pub(super) view: TransactionView,
    /// What is to be done at each of its participants.
    pub(super) work: Vec<(ParticipantName, String)>,
}

impl Replayed {
    /// Without participants it is not known what kind of store each is.
    ///
    /// # Errors
    /// If the records contradict each other, or one can't be read.
    pub(super) fn of(
        found: &Inspection,
        coordinator: &CoordinatorId,
        participants: Option<&Participants>,
    ) -> Result<Replayed, ReplayError> {
        let records = || found.records.iter().map(|(at, bytes)| (at.0, &bytes[..]));
        let recovered = Recovered::replay(coordinator, records())?;
        let mut first = None;
        let mut stores = BTreeSet::new();
        for (_, bytes) in records() {
            match Record::decode(bytes) {
                Ok(Record::Forgotten { before, .. }) => first = first.max(Some(before)),
                Ok(Record::Decided(decision)) => stores.extend(decision.participants),
                _ => {}
            }
        }
        Ok(Replayed {
            coordinator: coordinator.clone(),
            epoch: recovered.epoch.map(|epoch| epoch.0),
            purchases: recovered.purchases(),
            newest: recovered.newest().cloned(),
            first,
            stores,
            unfinished: recovered
                .unfinished()
                .map(|view| Unfinished {
                    work: log_work::of(&view, participants),
                    view,
                })
                .collect(),
        })
    }
}
