//! The participant over the store in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    BranchState, BranchTruth, Commit, CommitEvidence, Committed, Debt, Description, Enlist,
    Enlisted, Error, Forget, HeuristicKind, Hold, Look, Looked, Participant, Prepare,
    PreparedBranch, PreparedId, Recall, Recalled, RefusedEntry, Repaired, RollBack, RolledBack,
    Stock, Vote, Voted,
};
use tandem_protocol::{CoordinatorId, Epoch, Timestamp, TransactionId};

use crate::Bug;
use crate::store::{Branch, MemoryStore, State, Verdict};

/// How many times a call waits on its way to the store, and as often on its way back: the moments
/// at which another call can overtake it or its caller can drop it.
const WAITS: usize = 3;

/// A participant over a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryParticipant {
    store: Arc<MemoryStore>,
    /// Tells this object from others over the same store.
    object: u64,
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

    fn fence(&self, state: &State, coordinator: &CoordinatorId, epoch: Epoch) -> Result<(), Error> {
        if self.has(Bug::FencesOnlyEnlist) {
            return Ok(());
        }
        match state.coordinators.get(coordinator) {
            Some(known) if known.epoch > epoch => Err(Error::Fenced {
                detail: format!("coordinator {coordinator} is in epoch {} now", known.epoch),
            }),
            _ => Ok(()),
        }
    }

    /// Whether a branch is there for this object.
    fn sees(&self, branch: &Branch) -> bool {
        !self.has(Bug::KeepsPreparedInTheObject) || branch.object == self.object
    }

    fn yes(&self, state: &State, refused: Vec<RefusedEntry>) -> Vote {
        let incarnation = if self.has(Bug::VotesWithoutIncarnation) {
            String::new()
        } else {
            state.incarnation()
        };
        Vote::Yes {
            refused,
            incarnation,
        }
    }

    fn known_enlist(&self, known: &Enlist, enlist: &Enlist) -> Result<(), String> {
        if known.log_id != enlist.log_id && !self.has(Bug::IgnoresLogs) {
            return Err(format!("the log {} is known", known.log_id));
        }
        if known.epoch > enlist.epoch && !self.has(Bug::IgnoresEpochs) {
            return Err(format!("epoch {} is known", known.epoch));
        }
        if known.epoch == enlist.epoch
            && known.instance_id != enlist.instance_id
            && !self.has(Bug::IgnoresInstances)
        {
            return Err(format!(
                "the process {} is known in epoch {}",
                known.instance_id, known.epoch
            ));
        }
        if self.has(Bug::RefusesTheSameInstance) && known == enlist {
            return Err("it has enlisted before".into());
        }
        if self.has(Bug::RefusesEpochGaps) && enlist.epoch.0 > known.epoch.0 + 1 {
            return Err(format!("epoch {} is the last that is known", known.epoch));
        }
        Ok(())
    }

    pub(crate) fn newest_committed(
        &self,
        state: &State,
        coordinator: &CoordinatorId,
    ) -> Vec<TransactionId> {
        let committed = state.verdicts.iter().filter(|(id, verdict)| {
            let ours = id.coordinator == *coordinator || self.has(Bug::NamesOthersCommits);
            ours && (matches!(verdict, Verdict::Committed) || self.has(Bug::NamesWhatWasRolledBack))
        });
        let committed = committed.map(|(id, _)| id.clone());
        if self.has(Bug::NamesTheOldestCommits) {
            committed.take(Enlisted::NEWEST_COMMITTED_MAX).collect()
        } else {
            let newest = committed.rev();
            newest.take(Enlisted::NEWEST_COMMITTED_MAX).collect()
        }
    }

    fn prepare_in(&self, state: &mut State, prepare: &Prepare) -> Result<Vote, Error> {
        let id = &prepare.transaction;
        self.fence(state, &id.coordinator, id.epoch)?;
        self.is_the_same(state, prepare)?;
        let late = match state.verdicts.get(id) {
            Some(Verdict::Committed) => !self.has(Bug::PreparesWhatWasCommitted),
            Some(Verdict::RolledBack(_)) => !self.has(Bug::ForgetsRollBacks),
            None => self.is_closed(state, id) && !state.prepared.contains_key(id),
        };
        if late {
            return Ok(Vote::No {
                detail: format!("{id} has ended"),
            });
        }
        let before = state.prepared.get(id).cloned();
        if let Some(branch) = &before
            && !self.has(Bug::HoldsAgain)
        {
            return Ok(self.yes(state, branch.refused.clone()));
        }
        let mut branch = Branch {
            entries: Vec::new(),
            refused: Vec::new(),
            prepare_time: now(),
            object: self.object,
        };
        let entries_max = if self.has(Bug::DropsEntriesBeyondAHundred) {
            100
        } else {
            usize::MAX
        };
        for entry in prepare.entries.iter().take(entries_max) {
            match state.refusal(entry) {
                None => {
                    if !self.has(Bug::CountsNoHolds) {
                        state.hold(entry, 1);
                    }
                    branch.entries.push(entry.clone());
                }
                Some(refusal) => branch.refused.push(RefusedEntry {
                    number: entry.number,
                    refusal,
                }),
            }
        }
        if self.has(Bug::RefusesAllForOne) && !branch.refused.is_empty() {
            return Ok(Vote::No {
                detail: "an entry can't be promised".into(),
            });
        }
        let refused = branch.refused.clone();
        if !branch.entries.is_empty() || self.has(Bug::KeepsEmptyBranches) {
            if self.has(Bug::ShowsBeforeCommit) {
                state.deduct(&id.coordinator, &branch.entries);
            }
            if self.has(Bug::CountsAtPrepare) {
                state.count(&id.coordinator, &branch.entries);
            }
            branch
                .entries
                .splice(0..0, before.into_iter().flat_map(|b| b.entries));
            state.prepared.insert(id.clone(), branch);
            state.changes += 1;
        }
        Ok(self.yes(state, refused))
    }

    fn commit_in(&self, state: &mut State, commit: &Commit) -> Result<Committed, Error> {
        let id = &commit.transaction;
        let seen = state.prepared.get(id).is_some_and(|b| self.sees(b));
        let branch = if seen {
            state.prepared.remove(id)
        } else {
            None
        };
        if branch.is_none() && self.has(Bug::TakesUnknownForCommitted) {
            return Ok(done(CommitEvidence::AlreadyApplied, Vec::new()));
        }
        let entries = match &branch {
            Some(branch)
                if self.has(Bug::CommitsAllPrepared)
                    || self.has(Bug::HoldsAgain)
                    || self.has(Bug::DropsEntriesBeyondAHundred) =>
            {
                branch.entries.clone()
            }
            _ => commit.entries.clone(),
        };
        if let Some(branch) = &branch
            && !self.has(Bug::CountsNoHolds)
        {
            branch
                .entries
                .iter()
                .for_each(|entry| state.hold(entry, -1));
        }
        let debts = if branch.is_some() && self.has(Bug::ShowsBeforeCommit) {
            Vec::new()
        } else {
            state.deduct(&id.coordinator, &entries)
        };
        let evidence = match branch {
            Some(_) if !self.has(Bug::AlwaysSaysRedone) => CommitEvidence::Applied,
            _ => CommitEvidence::Redone,
        };
        state.last_commit = Some((id.clone(), entries));
        state.changes += 1;
        Ok(Committed {
            changes: state.changes,
            ..done(evidence, debts)
        })
    }

    /// What the store remembers of a transaction, as an answer to its commit.
    fn committed_before(
        &self,
        state: &State,
        id: &TransactionId,
    ) -> Result<Option<Committed>, Error> {
        match state.verdicts.get(id) {
            Some(Verdict::Committed) if !self.has(Bug::CommitsAgain) => {
                Ok(Some(done(CommitEvidence::AlreadyApplied, Vec::new())))
            }
            Some(Verdict::RolledBack(_)) if self.has(Bug::TakesRolledBackForCommitted) => {
                Ok(Some(done(CommitEvidence::AlreadyApplied, Vec::new())))
            }
            Some(Verdict::RolledBack(_)) => Err(Error::Heuristic {
                kind: HeuristicKind::RolledBack,
                detail: format!("{id} was rolled back before"),
            }),
            _ => Ok(None),
        }
    }

    fn repair_in(&self, state: &mut State, commit: &Commit) -> Result<Repaired, Error> {
        let id = &commit.transaction;
        self.fence(state, &id.coordinator, commit.caller_epoch)?;
        let is_committed = matches!(state.verdicts.get(id), Some(Verdict::Committed));
        if is_committed && !self.has(Bug::RepairsAgain) {
            return Ok(repaired(CommitEvidence::AlreadyApplied, Vec::new()));
        }
        let committed = if self.has(Bug::RepairsInWordsOnly) {
            done(CommitEvidence::Redone, Vec::new())
        } else {
            self.commit_in(state, commit)?
        };
        state.verdicts.insert(id.clone(), Verdict::Committed);
        Ok(repaired(committed.evidence, committed.debts))
    }

    fn roll_back_in(&self, state: &mut State, roll_back: &RollBack) -> Result<RolledBack, Error> {
        let id = &roll_back.transaction;
        self.fence(state, &id.coordinator, roll_back.caller_epoch)?;
        match state.verdicts.get(id).cloned() {
            Some(Verdict::Committed) if self.has(Bug::AcceptsRollBackOfCommitted) => {
                return Ok(RolledBack::default());
            }
            Some(Verdict::Committed) => {
                return Err(Error::Heuristic {
                    kind: HeuristicKind::Committed,
                    detail: format!("{id} was committed before"),
                });
            }
            Some(Verdict::RolledBack(entries)) if self.has(Bug::ReleasesAgain) => {
                entries.iter().for_each(|entry| state.hold(entry, -1));
            }
            _ => {}
        }
        let branch = state.prepared.remove(id);
        if branch.is_some() && !self.has(Bug::CountsNoRollBacks) {
            state.changes += 1;
        }
        if branch.is_none() && self.has(Bug::RefusesUnknownRollBacks) {
            return Err(Error::Invalid {
                detail: format!("{id} is not known"),
            });
        }
        let entries = branch.map(|branch| branch.entries).unwrap_or_default();
        if !self.has(Bug::KeepsUnitsOfRolledBack) && !self.has(Bug::CountsNoHolds) {
            entries.iter().for_each(|entry| state.hold(entry, -1));
        }
        if self.has(Bug::ShowsBeforeCommit) {
            state.restore(&id.coordinator, &entries);
        }
        // A closed one is refused by its number.
        if !self.is_closed(state, id) {
            let verdicts = &mut state.verdicts;
            verdicts
                .entry(id.clone())
                .or_insert(Verdict::RolledBack(entries));
        }
        Ok(RolledBack {
            changes: state.changes,
        })
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

fn done(evidence: CommitEvidence, debts: Vec<Debt>) -> Committed {
    Committed {
        evidence,
        debts,
        changes: 0,
    }
}

fn repaired(evidence: CommitEvidence, debts: Vec<Debt>) -> Repaired {
    Repaired {
        evidence,
        present: Vec::new(),
        debts,
    }
}

async fn wait() {
    for _ in 0..WAITS {
        tokio::task::yield_now().await;
    }
}

/// The time of the machine's clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
}
