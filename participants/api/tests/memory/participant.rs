//! The participant over the store in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    BranchState, BranchTruth, Commit, Committed, Description, Enlist, Enlisted, Error, Forget,
    Hold, Look, Looked, Participant, Prepare, PreparedBranch, PreparedId, Recall, Recalled,
    Repaired, RollBack, RolledBack, Stock, Voted,
};
use tandem_protocol::TransactionId;

use crate::Bug;
use crate::store::{MemoryStore, State, Verdict};

/// How many times a call waits on its way to the store, and as often on its way back: the moments
/// at which another call can overtake it or its caller can drop it.
const WAITS: usize = 3;

/// A participant over a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryParticipant {
    store: Arc<MemoryStore>,
    /// Tells this object from others over the same store.
    pub(crate) object: u64,
}

impl MemoryParticipant {
    /// A new object over the store.
    pub fn new(store: Arc<MemoryStore>) -> Self {
        static OBJECTS: AtomicU64 = AtomicU64::new(0);
        Self {
            store,
            object: OBJECTS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// One step at the store: it happens whole or not at all.
    async fn step<T>(&self, step: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        wait().await;
        while self.has(Bug::HangsWhenDead) && self.store.state().dead {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let answer = {
            let mut state = self.store.state();
            if state.dead {
                return Err(Error::Unavailable {
                    detail: "the store in memory was killed".into(),
                });
            }
            step(&mut state)
        };
        wait().await;
        answer
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.store.has(bug)
    }
}

#[async_trait]
impl Participant for MemoryParticipant {
    async fn look(&self, look: &Look) -> Result<Looked, Error> {
        self.step(|state| Ok(self.look_in(state, look))).await
    }

    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        self.step(|state| {
            if let Some(known) = state.coordinators.get(&enlist.coordinator)
                && let Err(why) = self.known_enlist(known, enlist)
            {
                if self.has(Bug::LearnsFromRefusedEnlists) {
                    let coordinator = enlist.coordinator.clone();
                    state.coordinators.insert(coordinator, enlist.clone());
                }
                return Err(Error::Fenced {
                    detail: format!("coordinator {}: {why}", enlist.coordinator),
                });
            }
            let coordinator = enlist.coordinator.clone();
            if self.has(Bug::SweepsOthers) {
                state.prepared.retain(|id, _| id.coordinator == coordinator);
            }
            let newest_committed = self.newest_committed(state, &coordinator);
            state.coordinators.insert(coordinator, enlist.clone());
            let is_lacking = self.lacks(state, &enlist.acknowledged).is_some();
            if is_lacking && !self.has(Bug::KeepsItsLife) {
                state.lives += 1;
            }
            Ok(Enlisted {
                incarnation: state.incarnation(),
                changes: state.changes,
                newest_committed,
                refuses_singly: true,
            })
        })
        .await
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        self.step(|state| {
            let vote = self.prepare_in(state, prepare)?;
            let changes = state.changes;
            Ok(Voted { vote, changes })
        })
        .await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, Error> {
        let id = &commit.transaction;
        let fence = |state: &State| self.fence(state, &id.coordinator, commit.caller_epoch);
        let remember = |state: &mut State| {
            state.verdicts.insert(id.clone(), Verdict::Committed);
        };
        if self.has(Bug::CommitsAfterACheckInTheOpen) || self.has(Bug::CommitsInTwoSteps) {
            let before = self
                .step(|state| {
                    fence(state)?;
                    self.committed_before(state, id)
                })
                .await?;
            if let Some(before) = before {
                return Ok(before);
            }
            let apply = |state: &mut State| self.commit_in(state, commit);
            let committed = self.step(apply).await?;
            self.step(|state| {
                remember(state);
                Ok(committed)
            })
            .await
        } else {
            self.step(|state| {
                fence(state)?;
                if let Some(before) = self.committed_before(state, id)? {
                    return Ok(before);
                }
                let committed = self.commit_in(state, commit)?;
                remember(state);
                Ok(committed)
            })
            .await
        }
    }

    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        self.step(|state| self.repair_in(state, commit)).await
    }

    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error> {
        self.step(|state| self.roll_back_in(state, roll_back)).await
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        self.step(|state| {
            let seen = state.prepared.iter().filter(|(_, b)| self.sees(b));
            let branches = seen.map(|(id, branch)| PreparedBranch {
                id: PreparedId::Transaction(id.clone()),
                prepare_time: Some(branch.prepare_time),
            });
            let ended = state.verdicts.keys().map(|id| PreparedBranch {
                id: PreparedId::Transaction(id.clone()),
                prepare_time: None,
            });
            let ended = ended.filter(|_| self.has(Bug::ListsWhatHasEnded));
            Ok(branches.chain(ended).collect())
        })
        .await
    }

    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error> {
        self.step(|state| {
            let prepared = state.prepared.get(transaction);
            let truth = match (state.verdicts.get(transaction), prepared) {
                (Some(Verdict::Committed), _) => BranchState::Committed,
                (Some(Verdict::RolledBack(_)), _) => BranchState::RolledBack,
                (None, Some(_)) => BranchState::Prepared,
                (None, None) => BranchState::Absent,
            };
            if truth == BranchState::Prepared && self.has(Bug::InspectCommits) {
                let id = transaction.clone();
                state.verdicts.insert(id, Verdict::Committed);
            }
            Ok(BranchTruth {
                state: truth,
                detail: "read from memory".into(),
            })
        })
        .await
    }

    async fn forget(&self, forget: &Forget) -> Result<(), Error> {
        self.step(|state| {
            let coordinator = &forget.before.coordinator;
            self.fence(state, coordinator, forget.caller_epoch)?;
            self.close(state, forget);
            state.verdicts.retain(|id, _| {
                let theirs = id.coordinator != *coordinator && !self.has(Bug::ForgetsOthers);
                let excepted = forget.except.contains(id) && !self.has(Bug::ForgetsTheExcepted);
                let later = id.coordinator == *coordinator && *id >= forget.before;
                theirs || excepted || later
            });
            Ok(())
        })
        .await
    }

    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error> {
        self.step(|state| {
            self.fence(state, &recall.coordinator, recall.caller_epoch)?;
            let remembers = |id: &&TransactionId| match state.verdicts.get(*id) {
                Some(Verdict::Committed) => true,
                Some(Verdict::RolledBack(_)) => self.has(Bug::RecallsWhatWasRolledBack),
                None => false,
            };
            let forgotten = recall.transactions.iter().filter(|id| !remembers(id));
            Ok(Recalled {
                forgotten: forgotten.cloned().collect(),
                remembers_from: None,
                incarnation: state.incarnation(),
                changes: state.changes,
            })
        })
        .await
    }

    async fn describe(&self) -> Result<Description, Error> {
        self.step(|state| {
            Ok(Description {
                kind: "memory".into(),
                server: "memory".into(),
                address: "this process".into(),
                incarnation: state.incarnation(),
                findings: Vec::new(),
            })
        })
        .await
    }

    async fn stock(&self, sku: &str) -> Result<Option<Stock>, Error> {
        self.step(|state| {
            let mut holds: Vec<Hold> = state.holds(sku).collect();
            holds.sort_by_key(|hold| hold.since);
            let value = state.stock.get(sku).copied();
            Ok(Some(Stock {
                value,
                holds,
                debt: state.debts.get(sku).copied().unwrap_or_default(),
                debt_remedy: String::new(),
                detail: if value.is_none() {
                    "there is no such sku".into()
                } else {
                    String::new()
                },
            }))
        })
        .await
    }

    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        self.step(|state| Ok(state.audit(question))).await
    }
}

async fn wait() {
    for _ in 0..WAITS {
        tokio::task::yield_now().await;
    }
}
