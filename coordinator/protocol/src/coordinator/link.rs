//! Participants that come, go, and show what is prepared at them.

use std::collections::BTreeSet;

use super::finish::branches;
use super::{Coordinator, Held, Link};
use crate::action::Action;
use crate::branch::{PreparedBranch, PreparedId};
use crate::event::Ending;
use crate::history::ByHand;
use crate::id::{ParticipantName, TransactionId};
use crate::note::Note;
use crate::recovery::{Known, Verdict, verdict};
use crate::stale::Stale;
use crate::time::Timestamp;
use crate::transaction::{Branch, Branches, Progress, State, Transaction};

impl Coordinator {
    /// Enlists a participant whose store has committed nothing that this log does not know.
    pub(super) fn looked(
        &mut self,
        participant: &ParticipantName,
        newest_committed: &[TransactionId],
    ) {
        if self.members.contains_key(participant) && !self.is_stale(participant, newest_committed) {
            let participant = participant.clone();
            self.actions.push(Action::Enlist { participant });
        }
    }

    /// Stops if a store has committed what this log does not know.
    fn is_stale(
        &mut self,
        participant: &ParticipantName,
        newest_committed: &[TransactionId],
    ) -> bool {
        let Some(unknown) = newest_committed.iter().find(|id| !self.knows(id)) else {
            return false;
        };
        let stale = Stale::UnknownCommit {
            participant: participant.clone(),
            transaction: unknown.clone(),
        };
        let reason = format!(
            "{stale}. Nothing was touched. Start the coordinator on the newest log folder, not on an \
             old copy of it."
        );
        self.actions.push(Action::Halt { reason });
        true
    }

    pub(super) fn participant_up(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        incarnation: String,
        newest_committed: &[TransactionId],
        refuses_singly: bool,
    ) {
        if !self.members.contains_key(participant) {
            return;
        }
        // It may have committed more between the look and the enlistment.
        if self.is_stale(participant, newest_committed) {
            return;
        }
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        member.link = Link::Up;
        member.enlisted = true;
        let before = std::mem::replace(&mut member.incarnation, incarnation);
        member.refuses_singly = refuses_singly;
        let seen = std::mem::take(&mut member.memory.seen);
        // What waited for its back-off has no reason to wait any more.
        let waiting: Vec<TransactionId> = member
            .due
            .iter()
            .filter(|(time, _)| *time > now)
            .map(|(_, id)| id.clone())
            .collect();
        for id in waiting {
            self.make_due(&id, participant, now);
        }
        for id in newest_committed {
            self.question_commit(now, id, participant);
        }
        self.release_held_back(now);
        self.look_through_memory(now, participant, &before, &seen);
    }

    /// Looks at a commit that a store remembers. If the log says that there is none, somebody has
    /// made it by hand: the answer to a roll back names it.
    fn question_commit(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
    ) {
        let branch = PreparedId::Transaction(id.clone());
        let is_aborted = self.known(&branch, participant) == Known::Aborted;
        if is_aborted && !self.is_settled(id, participant) {
            self.roll_back_found(now, id, participant);
        }
    }

    /// Whether a person has said how a branch ended.
    fn is_settled(&self, id: &TransactionId, participant: &ParticipantName) -> bool {
        let kept = self.history.transaction(id);
        let mut ended = kept.into_iter().flat_map(|kept| &kept.by_hand);
        let branches = self.transactions.get(id).and_then(branches);
        let branch = branches.and_then(|branches| branches.get(participant));
        ended.any(|word| matches!(word, ByHand::Settled(s) if s.participant == *participant))
            || branch.is_some_and(|branch| matches!(branch.progress, Progress::Settled(_)))
    }

    pub(super) fn participant_down(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        detail: String,
    ) {
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        let since = match &member.link {
            Link::Up => now,
            Link::Down { since, .. } => *since,
        };
        member.link = Link::Down { since, detail };
    }

    pub(super) fn refused_by(&mut self, participant: &ParticipantName, detail: &str) {
        let reason = format!(
            "participant {participant} refuses this coordinator: {detail}. Nothing was touched. \
             Start the coordinator on the newest log folder, not on an old copy of it."
        );
        self.actions.push(Action::Halt { reason });
    }

    /// Carries out recovery's plan for what a sweep found.
    pub(super) fn found_prepared(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        found: Vec<PreparedBranch>,
    ) {
        let mut foreign = Vec::new();
        let mut held_back = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut back = BTreeSet::new();
        let is_newest = self.is_newest();
        for branch in found {
            let known = self.known(&branch.id, participant);
            if let (Known::Committing, PreparedId::Transaction(id)) = (known, &branch.id) {
                seen.insert(id.clone());
            }
            match verdict(&branch.id, known) {
                Verdict::Leave => {}
                Verdict::Commit => {
                    if let PreparedId::Transaction(id) = branch.id {
                        self.commit_found(now, &id, participant);
                    }
                }
                Verdict::CommitIfItStays => {
                    if let PreparedId::Transaction(id) = branch.id {
                        back.insert(id);
                    }
                }
                Verdict::RollBackAsSettled => {
                    if let PreparedId::Transaction(id) = branch.id {
                        self.roll_back_as_settled(id, participant);
                    }
                }
                Verdict::Report => foreign.push(branch),
                Verdict::RollBack => {
                    let PreparedId::Transaction(id) = branch.id else {
                        continue;
                    };
                    if is_newest || id.epoch == self.epoch {
                        self.roll_back_found(now, &id, participant);
                    } else {
                        held_back.insert(id);
                    }
                }
                Verdict::Stop => {
                    let PreparedId::Transaction(id) = branch.id else {
                        continue;
                    };
                    let reason = format!(
                        "participant {participant} holds a prepared branch of {id}, which this \
                         coordinator ({} in epoch {}) has not begun: another process runs or ran \
                         with the same coordinator id. Stop it, and start on the newest log folder.",
                        self.id, self.epoch
                    );
                    self.actions.push(Action::Halt { reason });
                }
            }
        }
        if let Some(member) = self.members.get_mut(participant) {
            member.foreign = foreign;
            member.held_back.extend(held_back);
            member.swept = true;
            let before = std::mem::replace(&mut member.back, back);
            let stays: BTreeSet<_> = member
                .back
                .extract_if(.., |id| before.contains(id))
                .collect();
            self.commit_again(now, participant, stays);
        }
        self.are_held(now, participant, seen);
    }

    /// Whether every participant has been asked by this process and none knows a decision that
    /// the log does not. Before that no stored decision does not mean abort for what an earlier
    /// epoch left: the log may be an old copy, and the one that knows better may be down.
    fn is_newest(&self) -> bool {
        self.members.values().all(|member| member.enlisted)
    }

    fn release_held_back(&mut self, now: Timestamp) {
        if !self.is_newest() {
            return;
        }
        let names: Vec<ParticipantName> = self.members.keys().cloned().collect();
        for name in names {
            let held_back = self
                .members
                .get_mut(&name)
                .map(|member| std::mem::take(&mut member.held_back));
            for id in held_back.into_iter().flatten() {
                self.roll_back_found(now, &id, &name);
            }
        }
    }

    /// What this coordinator knows of a prepared branch.
    fn known(&self, id: &PreparedId, participant: &ParticipantName) -> Known {
        let PreparedId::Transaction(id) = id else {
            return Known::NotOurs;
        };
        if id.coordinator != self.id {
            return Known::NotOurs;
        }
        if (id.epoch, id.sequence) >= (self.epoch, self.next_sequence) {
            return Known::NotBegun;
        }
        match self.transactions.get(id).map(|t| &t.state) {
            Some(State::Preparing(_) | State::Deciding(_)) => Known::Undecided,
            Some(State::Committing(committing)) => {
                let branch = committing.branches.get(participant);
                match branch.map(|branch| &branch.progress) {
                    Some(Progress::Heuristic(_)) => Known::EndedOtherwise,
                    Some(Progress::Done) => Known::Committed,
                    Some(Progress::Settled(settlement)) => settled(settlement.ending),
                    Some(Progress::Waiting { .. } | Progress::Stuck { .. } | Progress::Asked)
                    | None => Known::Committing,
                }
            }
            Some(State::Aborting(branches)) => match branches.get(participant) {
                Some(branch) if !branch.has_ended() => Known::BeingRolledBack,
                Some(_) | None => Known::Aborted,
            },
            None => match self.history.transaction(id) {
                Some(kept) if kept.is_committed_at(participant) => Known::Committed,
                Some(kept) if kept.fate.is_committed() => match kept.settled_at(participant) {
                    Some(ending) => settled(ending),
                    // It has no branch there.
                    None => Known::Committing,
                },
                Some(_) => Known::Aborted,
                None if *id < self.floor => Known::Forgotten,
                None => Known::Aborted,
            },
        }
    }

    /// Has a branch released of which a person has said that it was, against the decision. Nobody waits
    /// for the answer: a list that still shows it asks once more.
    fn roll_back_as_settled(&mut self, transaction: TransactionId, participant: &ParticipantName) {
        self.note(Note::FoundSettled {
            transaction: transaction.clone(),
            participant: participant.clone(),
            ending: Ending::RollBack,
        });
        let participant = participant.clone();
        self.actions.push(Action::RollBack {
            participant,
            transaction,
        });
    }

    /// Asks again for the commit of a branch that was found ended and is back. If it is not, after
    /// all, the answer says so by the store's own evidence.
    fn commit_found(&mut self, now: Timestamp, id: &TransactionId, participant: &ParticipantName) {
        let transaction = self.transactions.get_mut(id);
        if let Some(State::Committing(committing)) = transaction.map(|known| &mut known.state)
            && let Some(branch) = committing.branches.get_mut(participant)
        {
            branch.progress = Progress::Waiting { retry_time: now };
            self.make_due(id, participant, now);
        }
    }

    /// Has branches committed again that are prepared although their commit was acknowledged: the
    /// store was put back in time, in a way that no new life of it has shown. So is what a person has
    /// said to be committed while the store could not be asked.
    fn commit_again(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        stays: BTreeSet<TransactionId>,
    ) {
        for id in stays {
            let is_new = self.members.get(participant).is_some_and(|member| {
                !member.memory.forgotten.contains(&id) && !member.memory.reading.contains(&id)
            });
            if !is_new {
                continue;
            }
            let (transaction, participant) = (id, participant.clone());
            let is_settled = self.is_settled(&transaction, &participant);
            self.was_forgotten(now, &transaction, &participant);
            self.note(match is_settled {
                true => Note::FoundSettled {
                    transaction,
                    participant,
                    ending: Ending::Commit,
                },
                false => Note::FoundCommitted {
                    transaction,
                    participant,
                },
            });
        }
    }

    fn roll_back_found(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
    ) {
        let transaction = self
            .transactions
            .entry(id.clone())
            .or_insert_with(|| Transaction {
                id: id.clone(),
                begin_time: now,
                state: State::Aborting(Branches::new()),
            });
        if let State::Aborting(branches) = &mut transaction.state {
            branches.insert(
                participant.clone(),
                Branch::new(Progress::Waiting { retry_time: now }),
            );
            self.is_to_be_released(id, participant, Held::Anything);
            self.make_due(id, participant, now);
            self.note(Note::FoundUndecided {
                transaction: id.clone(),
                participant: participant.clone(),
            });
        }
    }

    /// Whether this process has the transaction under way, or the log holds something about it or
    /// has held and forgotten it. A commit of any other says that the log is not the newest.
    fn knows(&self, id: &TransactionId) -> bool {
        id.coordinator != self.id
            || *id < self.floor
            || self.transactions.contains_key(id)
            || self.history.transaction(id).is_some()
    }
}

/// What is known of a branch of a decided transaction that a person has said to have ended so.
fn settled(ending: Ending) -> Known {
    match ending {
        Ending::Commit => Known::Committed,
        Ending::RollBack => Known::SettledAsRolledBack,
    }
}
