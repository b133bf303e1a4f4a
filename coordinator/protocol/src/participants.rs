//! What the coordinator knows of its participants: who is there, what each has shown of itself, and
//! what it is to be asked again.

mod calls;
mod recall;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use calls::Calls;
pub use recall::{Loss, RecallView};
pub(crate) use recall::{Page, Recall};

use crate::branch::PreparedBranch;
use crate::id::{BranchId, ParticipantName, TransactionId};
use crate::time::Timestamp;

/// All participants of the configuration. Of any other nothing is known, and nothing is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Participants {
    members: BTreeMap<ParticipantName, Member>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Member {
    presence: Presence,
    incarnation: String,
    refuses_singly: bool,
    calls: Calls,
    /// Whether it has been enlisted by this process: it has not denied that the log is the newest.
    is_enlisted: bool,
    /// Whether this process was told what is prepared there.
    is_swept: bool,
    /// Branches of earlier epochs without a decision that were found prepared, while not every
    /// participant has said whether the log is the newest. One that is not found again stays:
    /// somebody else has ended it, and only the store can say how.
    held_back: BTreeSet<TransactionId>,
    /// Prepared branches of others, seen by the last sweep.
    foreign: Vec<PreparedBranch>,
    /// Branches that the last sweep has shown as prepared although their commit is acknowledged.
    back: BTreeSet<TransactionId>,
    recall: Recall,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Presence {
    Up,
    Down { since: Timestamp, detail: String },
}

/// What a sweep has shown at one participant, beside what is ended at once.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) foreign: Vec<PreparedBranch>,
    /// Those of earlier epochs without a decision that can't be rolled back yet.
    pub(crate) held_back: BTreeSet<TransactionId>,
    /// Those whose commit is acknowledged.
    pub(crate) back: BTreeSet<TransactionId>,
    /// Those that are being committed.
    pub(crate) seen: BTreeSet<TransactionId>,
}

impl Participants {
    /// Participants that are down, as all are at first.
    pub(crate) fn new(names: impl IntoIterator<Item = ParticipantName>, now: Timestamp) -> Self {
        let down = Member {
            presence: Presence::Down {
                since: now,
                detail: "not connected yet".into(),
            },
            incarnation: String::new(),
            refuses_singly: false,
            calls: Calls::default(),
            is_enlisted: false,
            is_swept: false,
            held_back: BTreeSet::new(),
            foreign: Vec::new(),
            back: BTreeSet::new(),
            recall: Recall::default(),
        };
        let members = names.into_iter().map(|name| (name, down.clone()));
        Participants {
            members: members.collect(),
        }
    }

    pub(crate) fn names(&self) -> Vec<ParticipantName> {
        self.members.keys().cloned().collect()
    }

    pub(crate) fn contains(&self, name: &ParticipantName) -> bool {
        self.members.contains_key(name)
    }

    pub(crate) fn is_up(&self, name: &ParticipantName) -> bool {
        self.members.get(name).is_some_and(Member::is_up)
    }

    pub(crate) fn are_all_up(&self) -> bool {
        self.members.values().all(Member::is_up)
    }

    /// Whether every participant has been asked by this process and none knows a decision that
    /// the log does not. Before that no stored decision does not mean abort for what an earlier
    /// epoch left: the log may be an old copy, and the one that knows better may be down.
    pub(crate) fn are_all_enlisted(&self) -> bool {
        self.members.values().all(|member| member.is_enlisted)
    }

    /// Whether this process was told of every participant what is prepared there.
    pub(crate) fn are_all_swept(&self) -> bool {
        self.members.values().all(|member| member.is_swept)
    }

    /// Whether everything is known that any store forgot.
    pub(crate) fn are_all_looked_through(&self) -> bool {
        let mut all = self.members.values();
        all.all(|member| member.recall.is_looked_through())
    }

    /// Whether every store has again what it acknowledged.
    pub(crate) fn remember_all(&self) -> bool {
        self.members.values().all(|member| member.recall.is_whole())
    }

    /// Whether no call waits or is under way.
    pub(crate) fn have_no_calls(&self) -> bool {
        self.members.values().all(|member| member.calls.len() == 0)
    }

    /// Why purchases are not served, if a participant has been down for so long.
    pub(crate) fn down_for(&self, now: Timestamp, grace: Duration) -> Option<String> {
        self.members
            .iter()
            .find_map(|(name, member)| match &member.presence {
                Presence::Down { since, detail } if now.since(*since) >= grace => {
                    Some(format!("participant {name} is unavailable: {detail}"))
                }
                Presence::Down { .. } | Presence::Up => None,
            })
    }

    /// When the first call is due at a participant that is up and has less than `calls_max` under way.
    pub(crate) fn next_call(&self, calls_max: usize) -> Option<Timestamp> {
        let up = self.members.values().filter(|member| member.is_up());
        up.filter_map(|member| member.calls.next_time(calls_max))
            .min()
    }

    /// Since when the first one of those that are down has been so.
    pub(crate) fn down_since(&self) -> Option<Timestamp> {
        let down = self.members.values().filter_map(Member::down_since);
        down.min()
    }

    /// Whether a participant can refuse single entries without cost.
    pub(crate) fn refuses_singly(&self, name: &ParticipantName) -> bool {
        let member = self.members.get(name);
        member.is_some_and(|member| member.refuses_singly)
    }

    /// The life of a participant's store when it was enlisted last.
    pub(crate) fn incarnation(&self, name: &ParticipantName) -> Option<&str> {
        Some(&self.members.get(name)?.incarnation)
    }

    /// Prepared branches of others that the last sweep saw.
    pub(crate) fn foreign(&self, name: &ParticipantName) -> Option<&[PreparedBranch]> {
        Some(&self.members.get(name)?.foreign)
    }

    /// Repeated calls that wait or are under way.
    pub(crate) fn calls(&self, name: &ParticipantName) -> usize {
        self.members
            .get(name)
            .map_or(0, |member| member.calls.len())
    }

    /// Transactions whose calls wait until after a moment.
    pub(crate) fn due_after(&self, now: Timestamp, name: &ParticipantName) -> Vec<TransactionId> {
        let member = self.members.get(name);
        member.map_or_else(Vec::new, |member| member.calls.due_after(now))
    }

    pub(crate) fn recall(&self, name: &ParticipantName) -> Option<&Recall> {
        Some(&self.members.get(name)?.recall)
    }

    pub(crate) fn recall_mut(&mut self, name: &ParticipantName) -> Option<&mut Recall> {
        Some(&mut self.members.get_mut(name)?.recall)
    }

    pub(crate) fn recall_view(&self, name: &ParticipantName) -> Option<RecallView> {
        self.recall(name).map(Recall::view)
    }

    /// Takes a participant for enlisted, in this life of its store; gives the life before, and what
    /// the list that an enlistment begins with has shown prepared.
    pub(crate) fn enlist(
        &mut self,
        name: &ParticipantName,
        incarnation: String,
        refuses_singly: bool,
    ) -> Option<(String, BTreeSet<TransactionId>)> {
        let member = self.members.get_mut(name)?;
        member.presence = Presence::Up;
        member.is_enlisted = true;
        member.refuses_singly = refuses_singly;
        let before = std::mem::replace(&mut member.incarnation, incarnation);
        Some((before, member.recall.take_seen()))
    }

    /// Takes a participant for down, since now if it was up.
    pub(crate) fn set_down(&mut self, now: Timestamp, name: &ParticipantName, detail: String) {
        if let Some(member) = self.members.get_mut(name) {
            let since = member.down_since().unwrap_or(now);
            member.presence = Presence::Down { since, detail };
        }
    }

    /// Takes what a sweep has shown; gives the branches that are back for the second time.
    pub(crate) fn sweep(
        &mut self,
        name: &ParticipantName,
        swept: Swept,
    ) -> BTreeSet<TransactionId> {
        let Some(member) = self.members.get_mut(name) else {
            // Nothing is kept of who is not configured.
            return BTreeSet::new();
        };
        member.is_swept = true;
        member.foreign = swept.foreign;
        member.held_back.extend(swept.held_back);
        let before = std::mem::replace(&mut member.back, swept.back);
        let stays = member.back.extract_if(.., |id| before.contains(id));
        let stays = stays.collect();
        // The list that an enlistment begins with comes before it.
        match member.is_up() {
            true => member.recall.see(&swept.seen),
            false => member.recall.see_before(swept.seen),
        }
        stays
    }

    /// Gives what was held back until all participants are enlisted.
    pub(crate) fn take_held_back(&mut self) -> Vec<BranchId> {
        let each = self.members.iter_mut();
        each.flat_map(|(name, member)| {
            let held_back = std::mem::take(&mut member.held_back);
            held_back.into_iter().map(|id| id.at(name))
        })
        .collect()
    }

    /// Has a branch called again at a moment.
    pub(crate) fn wait(&mut self, branch: &BranchId, time: Timestamp) {
        if let Some(member) = self.members.get_mut(&branch.participant) {
            member.calls.wait(&branch.transaction, time);
        }
    }

    /// Drops the call of a branch that waits until `time`, if it waits for one.
    pub(crate) fn cancel(&mut self, branch: &BranchId, time: Option<Timestamp>) {
        if let (Some(time), Some(member)) = (time, self.members.get_mut(&branch.participant)) {
            member.calls.cancel(&branch.transaction, time);
        }
    }

    /// Takes the next call that is due at a participant for one that is under way, if it is up and
    /// less than `max` are.
    pub(crate) fn begin_call(
        &mut self,
        now: Timestamp,
        name: &ParticipantName,
        max: usize,
    ) -> Option<BranchId> {
        let member = self.members.get_mut(name).filter(|member| member.is_up())?;
        Some(member.calls.begin(now, max)?.at(name))
    }

    /// The branches whose calls wait, and until when.
    #[cfg(debug_assertions)]
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (BranchId, Timestamp)> {
        let each = self.members.iter();
        each.flat_map(|(name, member)| {
            let waiting = member.calls.waiting();
            waiting.map(|(time, id)| (id.at(name), *time))
        })
    }

    /// Whether a branch's call waits until `time`.
    #[cfg(debug_assertions)]
    pub(crate) fn is_waiting(&self, branch: &BranchId, time: Timestamp) -> bool {
        let member = self.members.get(&branch.participant);
        member.is_some_and(|member| member.calls.is_waiting(&branch.transaction, time))
    }

    /// The branches of decisions that new purchases wait for.
    #[cfg(debug_assertions)]
    pub(crate) fn awaited(&self) -> impl Iterator<Item = BranchId> {
        let each = self.members.iter();
        each.flat_map(|(name, member)| member.recall.awaited().map(|id| id.at(name)))
    }

    /// Takes a repeated call for answered.
    pub(crate) fn end_call(&mut self, branch: &BranchId) {
        if let Some(member) = self.members.get_mut(&branch.participant) {
            member.calls.end(&branch.transaction);
        }
    }

    /// Takes out the next transaction that a store forgot and whose decision is to be read back, if the
    /// store is there and there is room for it.
    pub(crate) fn next_forgotten(&mut self, name: &ParticipantName) -> Option<TransactionId> {
        let member = self.members.get_mut(name).filter(|member| member.is_up())?;
        member.recall.next_forgotten()
    }

    /// The participants for which a transaction was being read back, which it is not any more.
    pub(crate) fn end_reading(&mut self, id: &TransactionId) -> Vec<ParticipantName> {
        let mut forgot = Vec::new();
        for (name, member) in &mut self.members {
            if member.recall.end_reading(id) {
                forgot.push(name.clone());
            }
        }
        forgot
    }
}

impl Member {
    fn is_up(&self) -> bool {
        matches!(self.presence, Presence::Up)
    }

    fn down_since(&self) -> Option<Timestamp> {
        match self.presence {
            Presence::Up => None,
            Presence::Down { since, .. } => Some(since),
        }
    }
}

#[cfg(test)]
mod tests;
