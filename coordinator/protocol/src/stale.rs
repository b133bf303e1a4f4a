//! Whether a log is the newest one of its coordinator, by what stores know. A pure judgement, made
//! before anything is written, in the log or at a store.

use crate::id::{Epoch, ParticipantName, TransactionId};
use crate::recovery::Recovered;

/// What a process knows of itself and its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Identity of the log.
    pub log_id: &'a str,
    /// The last epoch that was begun in it; `None` in a new one.
    pub epoch: Option<Epoch>,
    /// Identity of the process that began it, if that is known.
    pub instance_id: Option<&'a str>,
}

/// The last enlistment of a coordinator, as a store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enlistment {
    /// Identity of the log.
    pub log_id: String,
    pub epoch: Epoch,
    /// Identity of the process.
    pub instance_id: String,
}

/// Why a log must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// A store knows the coordinator by another log.
    #[error(
        "participant {participant} knows the log {known}, and this is the log {own}: it is another \
         coordinator's, or a new one in the place of the one that is gone"
    )]
    OtherLog {
        participant: ParticipantName,
        /// The log that it knows.
        known: String,
        /// The log that was judged.
        own: String,
    },
    /// A store knows an epoch that is not in the log.
    #[error(
        "the decision log is stale: participant {participant} knows epoch {known}, and the last one \
         in this log is {}", text(.own)
    )]
    LaterEpoch {
        participant: ParticipantName,
        /// The epoch that it knows.
        known: Epoch,
        /// The log's last one.
        own: Option<Epoch>,
    },
    /// Two copies of a log have begun the same epoch.
    #[error(
        "participant {participant} knows epoch {epoch} by another process ({known}) than the one \
         that began it in this log: two copies of the log have been started"
    )]
    OtherProcess {
        participant: ParticipantName,
        epoch: Epoch,
        /// The process that the store knows.
        known: String,
    },
    /// A store has committed what the log does not know.
    #[error(
        "the decision log is stale: participant {participant} has committed transaction \
         {transaction}, which this log does not know. Acting on this log could roll back purchases \
         that were reported as committed. If {transaction} was committed at the store by hand, \
         without the coordinator, see \"A stale or damaged log\" in the operator's manual"
    )]
    UnknownCommit {
        participant: ParticipantName,
        /// What it has committed.
        transaction: TransactionId,
    },
}

impl Claim<'_> {
    /// What in a store's memory of an enlistment contradicts the claim.
    pub fn contradiction(
        &self,
        participant: &ParticipantName,
        known: &Enlistment,
    ) -> Option<Stale> {
        let participant = participant.clone();
        if known.log_id != self.log_id {
            return Some(Stale::OtherLog {
                participant,
                known: known.log_id.clone(),
                own: self.log_id.to_owned(),
            });
        }
        if Some(known.epoch) > self.epoch {
            return Some(Stale::LaterEpoch {
                participant,
                known: known.epoch,
                own: self.epoch,
            });
        }
        let is_other = self.instance_id.is_some_and(|own| own != known.instance_id);
        (Some(known.epoch) == self.epoch && is_other).then(|| Stale::OtherProcess {
            participant,
            epoch: known.epoch,
            known: known.instance_id.clone(),
        })
    }
}

impl Recovered {
    /// Why the log must not be used, by what a store knows of its coordinator: its last enlistment
    /// and its newest commits.
    pub fn contradiction(
        &self,
        log_id: &str,
        participant: &ParticipantName,
        known: Option<&Enlistment>,
        newest_committed: &[TransactionId],
    ) -> Option<Stale> {
        let claim = Claim {
            log_id,
            epoch: self.epoch,
            instance_id: self.instance_id.as_deref(),
        };
        let known = known.and_then(|known| claim.contradiction(participant, known));
        known.or_else(|| {
            let unknown = newest_committed.iter().find(|id| !self.knows(id))?;
            Some(Stale::UnknownCommit {
                participant: participant.clone(),
                transaction: unknown.clone(),
            })
        })
    }

    /// Whether the log holds something about a transaction, or has held and forgotten it.
    fn knows(&self, id: &TransactionId) -> bool {
        let is_forgotten = self.floor.as_ref().is_some_and(|floor| id < floor);
        is_forgotten || self.history.transaction(id).is_some()
    }
}

fn text(epoch: &Option<Epoch>) -> String {
    epoch.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Claim = Claim {
        log_id: "log-1",
        epoch: Some(Epoch(3)),
        instance_id: Some("run-3"),
    };

    fn judged(own: &Claim, log_id: &str, epoch: u64, instance_id: &str) -> Option<Stale> {
        let known = Enlistment {
            log_id: log_id.into(),
            epoch: Epoch(epoch),
            instance_id: instance_id.into(),
        };
        own.contradiction(&"stock".parse().expect("well formed"), &known)
    }

    #[test]
    fn log_of_what_the_store_knows_is_believed() {
        assert_eq!(judged(&OWN, "log-1", 3, "run-3"), None);
        // Epochs that never reached the store.
        assert_eq!(judged(&OWN, "log-1", 1, "run-1"), None);
        // The record of who began the epoch was released.
        let forgetful = Claim {
            instance_id: None,
            ..OWN
        };
        assert_eq!(judged(&forgetful, "log-1", 3, "run-3"), None);
    }

    #[test]
    fn log_that_the_store_knows_better_is_not() {
        let new = Claim {
            log_id: "log-2",
            epoch: None,
            instance_id: None,
        };
        assert!(matches!(
            judged(&new, "log-1", 3, "run-3"),
            Some(Stale::OtherLog { .. })
        ));
        assert!(matches!(
            judged(&OWN, "log-1", 4, "run-4"),
            Some(Stale::LaterEpoch { .. })
        ));
        assert!(matches!(
            judged(&OWN, "log-1", 3, "run-3-of-a-copy"),
            Some(Stale::OtherProcess { .. })
        ));
    }
}
