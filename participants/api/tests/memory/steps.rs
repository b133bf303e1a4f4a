//! What each call does at the store in memory, in one step.

use std::time::{SystemTime, UNIX_EPOCH};

use tandem_participant::{
    Commit, CommitEvidence, Committed, Debt, Enlist, Enlisted, Error, HeuristicKind, Prepare,
    RefusedEntry, Repaired, RollBack, RolledBack, Vote,
};
use tandem_protocol::{CoordinatorId, Epoch, Timestamp, TransactionId};

use crate::Bug;
use crate::participant::MemoryParticipant;
use crate::store::{Branch, State, Verdict};

impl MemoryParticipant {
    pub(super) fn fence(
        &self,
        state: &State,
        coordinator: &CoordinatorId,
        epoch: Epoch,
    ) -> Result<(), Error> {
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
    pub(super) fn sees(&self, branch: &Branch) -> bool {
        !self.has(Bug::KeepsPreparedInTheObject) || branch.object == self.object
    }

    pub(super) fn yes(&self, state: &State, refused: Vec<RefusedEntry>) -> Vote {
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

    pub(super) fn known_enlist(&self, known: &Enlist, enlist: &Enlist) -> Result<(), String> {
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

    pub(super) fn newest_committed(
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

    pub(super) fn prepare_in(&self, state: &mut State, prepare: &Prepare) -> Result<Vote, Error> {
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

    pub(super) fn commit_in(&self, state: &mut State, commit: &Commit) -> Result<Committed, Error> {
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
    pub(super) fn committed_before(
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

    pub(super) fn repair_in(&self, state: &mut State, commit: &Commit) -> Result<Repaired, Error> {
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

    pub(super) fn roll_back_in(
        &self,
        state: &mut State,
        roll_back: &RollBack,
    ) -> Result<RolledBack, Error> {
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

/// The time of the machine's clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
}
