//! What the store in memory knows of coordinators and of what it has acknowledged to them.

use tandem_participant::{
    Acknowledged, Enlist, Error, Forget, KnownCoordinator, Look, Looked, Prepare,
};
use tandem_protocol::TransactionId;

use crate::Bug;
use crate::participant::MemoryParticipant;
use crate::store::{State, Verdict};

impl MemoryParticipant {
    pub(crate) fn look_in(&self, state: &mut State, look: &Look) -> Looked {
        if self.has(Bug::LookEnlists) {
            let enlist = Enlist {
                coordinator: look.coordinator.clone(),
                log_id: String::new(),
                epoch: tandem_protocol::Epoch(0),
                instance_id: String::new(),
                acknowledged: Acknowledged::default(),
            };
            let coordinator = look.coordinator.clone();
            state.coordinators.entry(coordinator).or_insert(enlist);
        }
        if self.has(Bug::LookBeginsAnotherLife) {
            state.lives += 1;
        }
        if self.has(Bug::LookTellsNothing) {
            return Looked::default();
        }
        let known = state.coordinators.get(&look.coordinator);
        Looked {
            known: known.map(|known| KnownCoordinator {
                log_id: known.log_id.clone(),
                epoch: known.epoch,
                instance_id: known.instance_id.clone(),
            }),
            newest_committed: self.newest_committed(state, &look.coordinator),
        }
    }

    /// That the store is the one that acknowledged, in the life in which the caller has enlisted; a
    /// caller that names none can't know.
    pub(crate) fn is_the_same(&self, state: &State, prepare: &Prepare) -> Result<(), Error> {
        let life = &prepare.incarnation;
        let is_other = !life.is_empty() && *life != state.incarnation();
        let detail = if is_other && !self.has(Bug::IgnoresLives) {
            format!("{life} is over")
        } else if let Some(what) = self.lacks(state, &prepare.acknowledged) {
            what
        } else {
            return Ok(());
        };
        Err(Error::NotEnlisted { detail })
    }

    /// What the store lacks of what it is said to have acknowledged.
    pub(crate) fn lacks(&self, state: &State, acknowledged: &Acknowledged) -> Option<String> {
        if acknowledged.changes > state.changes && !self.has(Bug::IgnoresChanges) {
            return Some(format!("only {} changes were made", state.changes));
        }
        let is_unknown = |id: &&TransactionId| match state.verdicts.get(*id) {
            Some(Verdict::Committed) => self.has(Bug::DeniesWhatItCommitted),
            Some(Verdict::RolledBack(_)) => true,
            None => state
                .forgotten
                .get(&id.coordinator)
                .is_none_or(|before| *id >= before),
        };
        let unknown = acknowledged.committed.iter().find(is_unknown);
        let unknown = unknown.filter(|_| !self.has(Bug::IgnoresAcknowledgedCommits));
        unknown.map(|id| format!("{id} is not committed here"))
    }

    /// Whether a transaction will not be prepared any more, by its coordinator's word.
    pub(crate) fn is_closed(&self, state: &State, id: &TransactionId) -> bool {
        let closed = state.closed.get(&id.coordinator);
        closed.is_some_and(|closed| id < closed) && !self.has(Bug::IgnoresClosing)
    }

    /// Takes note of what is closed and of what may be forgotten.
    pub(crate) fn close(&self, state: &mut State, forget: &Forget) {
        let coordinator = &forget.before.coordinator;
        let mark = |marks: &mut std::collections::BTreeMap<_, TransactionId>,
                    id: &TransactionId| {
            let mark = marks
                .entry(coordinator.clone())
                .or_insert_with(|| id.clone());
            *mark = mark.clone().max(id.clone());
        };
        mark(&mut state.forgotten, &forget.before);
        let Some(closed) = &forget.closed else {
            return;
        };
        mark(&mut state.closed, closed);
        state.verdicts.retain(|id, verdict| {
            let is_closed = id.coordinator == *coordinator && id < closed;
            let is_needed = matches!(verdict, Verdict::Committed);
            !is_closed || is_needed && !self.has(Bug::ClosingForgetsCommits)
        });
    }
}
