//! Models of the two kinds of store, by the rules of the participant trait.

use std::collections::{BTreeMap, BTreeSet};

use tandem_protocol::{
    CallFailure, CallFailureKind, CommitEvidence, Debt, Enlistment, Entry, Epoch, Fingerprint,
    HeuristicKind, ParticipantName, PreparedBranch, PreparedId, Reason, Refusal, RefusedEntry,
    Repaired, TransactionId, Vote, fingerprint,
};

use crate::plan::{Mistake, Planted};

/// The one log of the one coordinator.
pub(crate) const LOG_ID: &str = "log-1";

/// Newest commits that an enlisting coordinator is told.
const NEWEST_COMMITTED_MAX: usize = 64;

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) name: ParticipantName,
    pub(crate) kind: Kind,
    pub(crate) is_up: bool,
    /// Whether it tells its lives apart, and counts what it changes.
    has_lives: bool,
    incarnation: u64,
    /// Promises and commits, all in all.
    changes: u64,
    enlisted: Option<(Epoch, u64)>,
    /// The life in which somebody enlisted last.
    enlisted_life: u64,
    pub(crate) prepared: BTreeMap<TransactionId, Branch>,
    committed: BTreeSet<TransactionId>,
    /// Rolled back or refused whole, with the vote that a repeat gets.
    released: BTreeMap<TransactionId, Option<Vote>>,
    floor: Option<TransactionId>,
    excepted: BTreeSet<TransactionId>,
    /// Nothing before this one is prepared any more.
    closed: Option<TransactionId>,
    /// How often each transaction took effect.
    pub(crate) applied: BTreeMap<TransactionId, u32>,
    /// What somebody has committed here without the coordinator.
    pub(crate) by_hand: BTreeSet<TransactionId>,
    planted: Planted,
}

#[derive(Clone)]
pub(crate) enum Kind {
    /// Holds units, refuses single entries, its votes are of one life.
    Stock(Stock),
    /// One row a purchase; a branch commits whole.
    Rows(Rows),
}

#[derive(Clone, Default)]
pub(crate) struct Stock {
    pub(crate) values: BTreeMap<String, i64>,
    /// The transactions that deducted each purchase's units, or owe them.
    pub(crate) taken: BTreeMap<String, Vec<TransactionId>>,
    /// Units that were not there to be deducted, by sku.
    pub(crate) debt: BTreeMap<String, u64>,
    /// Skus of which units were taken whoever held them: by the app, or by a decision whose hold
    /// the store had lost.
    pub(crate) shrunk: BTreeSet<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Rows {
    pub(crate) rows: BTreeMap<String, (TransactionId, Fingerprint)>,
    /// A customer whom the schema's constraint refuses.
    pub(crate) banned: &'static str,
}

/// What a coordinator's link tells a store: in which life of it it has enlisted, and what the store
/// has acknowledged there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged {
    pub(crate) incarnation: String,
    pub(crate) changes: u64,
    pub(crate) committed: Vec<TransactionId>,
    /// Those of them that the last sweep has found there.
    pub(crate) found: Vec<TransactionId>,
}

#[derive(Clone)]
pub(crate) struct Branch {
    pub(crate) entries: Vec<Entry>,
    vote: Vote,
}

/// What a store did, for the invariants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Committed,
    RolledBack,
    /// A decision was carried out that names other entries than the branch has.
    CommittedInPart,
}

impl Store {
    pub(crate) fn new(
        name: ParticipantName,
        kind: Kind,
        has_lives: bool,
        planted: Planted,
    ) -> Store {
        Store {
            has_lives,
            changes: 0,
            closed: None,
            name,
            kind,
            is_up: true,
            incarnation: 1,
            enlisted: None,
            enlisted_life: 0,
            prepared: BTreeMap::new(),
            committed: BTreeSet::new(),
            released: BTreeMap::new(),
            floor: None,
            excepted: BTreeSet::new(),
            applied: BTreeMap::new(),
            by_hand: BTreeSet::new(),
            planted,
        }
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.planted == Planted::Store(mistake)
    }

    /// How many promises, commits and roll backs it has counted.
    pub(crate) fn changes(&self) -> u64 {
        if self.has_lives { self.changes } else { 0 }
    }

    /// What it tells a coordinator that only looks.
    pub(crate) fn look(&self) -> (Option<Enlistment>, Vec<TransactionId>) {
        let is_kept = |_: &(Epoch, u64)| !self.makes(Mistake::EpochIsNotKept);
        let known = self
            .enlisted
            .filter(is_kept)
            .map(|(epoch, instance)| Enlistment {
                log_id: LOG_ID.into(),
                epoch,
                instance_id: instance.to_string(),
            });
        (known, self.newest_committed())
    }

    /// The latest epoch that is enlisted.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.enlisted.map(|(epoch, _)| epoch)
    }

    pub(crate) fn refuses_singly(&self) -> bool {
        matches!(self.kind, Kind::Stock(_))
    }

    /// A start after a crash. `forgets_holds`: the store came back from elsewhere, without what it
    /// had promised.
    pub(crate) fn restart(&mut self, forgets_holds: bool) {
        self.is_up = true;
        self.incarnation += 1;
        if forgets_holds {
            self.prepared.clear();
        }
    }

    /// Comes to be what it once was, in another life.
    pub(crate) fn restore(&mut self, old: Store) {
        let (incarnation, is_up) = (self.incarnation + 1, self.is_up);
        *self = Store {
            incarnation,
            is_up,
            ..old
        };
    }

    /// Comes to be what it once was, and shows nothing of it.
    pub(crate) fn turn_back(&mut self, old: Store) {
        let incarnation = self.incarnation;
        let (enlisted, enlisted_life) = (self.enlisted, self.enlisted_life);
        self.restore(old);
        self.incarnation = incarnation;
        self.enlisted = enlisted;
        self.enlisted_life = enlisted_life;
    }

    /// Whether it knows what it has acknowledged.
    fn knows(&self, acknowledged: &Acknowledged) -> bool {
        let knows = |id: &TransactionId| self.committed.contains(id) || self.is_forgotten(id);
        self.changes >= acknowledged.changes && acknowledged.committed.iter().all(knows)
    }

    /// Loses what it keeps for the coordinator, but not what lives and dies with the stock: which
    /// transactions took effect. Its life is another once somebody enlists.
    pub(crate) fn delete_memory(&mut self) {
        self.incarnation += 1;
        self.enlisted = None;
        self.prepared.clear();
        self.committed.clear();
        self.released.clear();
        self.floor = None;
        self.excepted.clear();
        self.closed = None;
        self.changes = 0;
    }

    /// Somebody makes it forget who has enlisted.
    pub(crate) fn forget_coordinator(&mut self) {
        self.enlisted = None;
    }

    /// Which of these it does not remember as committed.
    pub(crate) fn recall(
        &self,
        epoch: Epoch,
        transactions: &[TransactionId],
    ) -> Result<Vec<TransactionId>, CallFailure> {
        self.fence_in_life(epoch)?;
        let is_forgotten = |id: &&TransactionId| !self.committed.contains(*id);
        Ok(transactions.iter().filter(is_forgotten).cloned().collect())
    }

    pub(crate) fn incarnation(&self) -> String {
        if self.has_lives {
            format!("life-{}", self.incarnation)
        } else {
            String::new()
        }
    }

    pub(crate) fn enlist(
        &mut self,
        epoch: Epoch,
        instance: u64,
        acknowledged: &Acknowledged,
    ) -> Result<Vec<TransactionId>, CallFailure> {
        self.fence_enlisted(epoch)?;
        match self.enlisted {
            Some((known, other))
                if known == epoch && other != instance && !self.makes(Mistake::EpochIsNotKept) =>
            {
                return fail(CallFailureKind::Fenced, "another process has this epoch");
            }
            _ => self.enlisted = Some((epoch, instance)),
        }
        if self.has_lives && !self.knows(acknowledged) {
            self.incarnation += 1;
        }
        self.enlisted_life = self.incarnation;
        Ok(self.newest_committed())
    }

    pub(crate) fn newest_committed(&self) -> Vec<TransactionId> {
        let newest = self.committed.iter().rev().take(NEWEST_COMMITTED_MAX);
        newest.cloned().collect()
    }

    pub(crate) fn prepare(
        &mut self,
        id: &TransactionId,
        entries: &[Entry],
        told: &Acknowledged,
        locked: &BTreeSet<u32>,
    ) -> Result<Vote, CallFailure> {
        self.fence_in_life(id.epoch)?;
        let is_other = self.has_lives && told.incarnation != self.incarnation();
        if is_other || self.has_lives && !self.knows(told) {
            return fail(
                CallFailureKind::Unavailable,
                "it is not the store that acknowledged",
            );
        }
        let no = |detail: &str| {
            Ok(Vote::No {
                detail: detail.into(),
            })
        };
        if self.committed.contains(id) {
            return no("committed before");
        }
        if let Some(vote) = self.released.get(id) {
            return vote.clone().map_or_else(|| no("rolled back before"), Ok);
        }
        if let Some(branch) = self.prepared.get(id)
            && !self.makes(Mistake::MemoryIsCheckedAfterStock)
        {
            return Ok(branch.vote.clone());
        }
        if self.is_forgotten(id) || self.is_closed(id) {
            return no("forgotten, or closed");
        }
        let mut refused = Vec::new();
        let mut held = match &self.kind {
            Kind::Stock(_) => self.held(),
            Kind::Rows(_) => BTreeMap::new(),
        };
        for entry in entries {
            let reason = self.refusal(entry, &held);
            match reason.or_else(|| locked.contains(&entry.number).then_some(Reason::Locked)) {
                Some(reason) => refused.push(RefusedEntry {
                    number: entry.number,
                    refusal: Refusal {
                        reason,
                        detail: format!("{} says so", self.name),
                    },
                }),
                None => {
                    for item in entry.purchase.tracked() {
                        *held.entry(item.sku.clone()).or_insert(0) += i64::from(item.quantity);
                    }
                }
            }
        }
        let vote = Vote::Yes {
            refused: refused.clone(),
            incarnation: self.incarnation(),
        };
        let is_refused = |entry: &Entry| refused.iter().any(|r| r.number == entry.number);
        let survivors: Vec<Entry> = entries.iter().filter(|e| !is_refused(e)).cloned().collect();
        if survivors.is_empty() {
            self.released.insert(id.clone(), Some(vote.clone()));
        } else {
            let branch = Branch {
                entries: survivors,
                vote: vote.clone(),
            };
            self.prepared.insert(id.clone(), branch);
            self.changes += 1;
        }
        Ok(vote)
    }

    pub(crate) fn commit(
        &mut self,
        id: &TransactionId,
        caller_epoch: Epoch,
        entries: &[Entry],
    ) -> (Result<(CommitEvidence, Vec<Debt>), CallFailure>, Effect) {
        if let Err(failure) = self.fence(caller_epoch) {
            return (Err(failure), Effect::None);
        }
        let already = Ok((CommitEvidence::AlreadyApplied, Vec::new()));
        if self.committed.contains(id) && !self.makes(Mistake::RepeatedCommitDeductsAgain) {
            return (already, Effect::None);
        }
        if self.has_lost_only_its_memory_of(id) {
            self.prepared.remove(id);
            self.committed.insert(id.clone());
            return (already, Effect::None);
        }
        let lost = CallFailureKind::Heuristic(HeuristicKind::RolledBack);
        if self.released.contains_key(id) {
            return (fail(lost, "rolled back before"), Effect::None);
        }
        let branch = self.prepared.remove(id);
        let evidence = match (&branch, &self.kind) {
            (Some(branch), Kind::Rows(_)) if branch.entries != entries => {
                return (already, Effect::CommittedInPart);
            }
            (Some(_), _) => CommitEvidence::Applied,
            (None, _) if self.is_forgotten(id) => return (already, Effect::None),
            (None, _) if self.makes(Mistake::UnknownBranchCountsAsCommitted) => {
                return (already, Effect::None);
            }
            (None, Kind::Stock(_)) => {
                self.shrink(entries);
                CommitEvidence::Redone
            }
            (None, Kind::Rows(_)) => return (fail(lost, "no marker row"), Effect::None),
        };
        let debts = self.apply(id, entries);
        (Ok((evidence, debts)), Effect::Committed)
    }

    /// Redoes what is missing of a decision, by an operator's order.
    pub(crate) fn repair(
        &mut self,
        id: &TransactionId,
        caller_epoch: Epoch,
        entries: &[Entry],
    ) -> (Result<Repaired, CallFailure>, Effect) {
        if let Err(failure) = self.fence(caller_epoch) {
            return (Err(failure), Effect::None);
        }
        let done = |evidence, debts| Repaired {
            evidence,
            present: Vec::new(),
            debts,
        };
        let is_done =
            self.committed.contains(id) && !self.makes(Mistake::RepeatedRepairDeductsAgain);
        let is_prepared = self.prepared.contains_key(id);
        if is_done || !is_prepared && self.is_forgotten(id) {
            return (
                Ok(done(CommitEvidence::AlreadyApplied, Vec::new())),
                Effect::None,
            );
        }
        if is_prepared {
            let (result, effect) = self.commit(id, caller_epoch, entries);
            let result = result.map(|(evidence, debts)| done(evidence, debts));
            return (result, effect);
        }
        self.released.remove(id);
        if self.applied.contains_key(id) && !self.makes(Mistake::RepeatedRepairDeductsAgain) {
            // Only the memory of it was lost.
            self.committed.insert(id.clone());
            return (
                Ok(done(CommitEvidence::AlreadyApplied, Vec::new())),
                Effect::None,
            );
        }
        self.shrink(entries);
        let debts = self.apply(id, entries);
        (Ok(done(CommitEvidence::Redone, debts)), Effect::Committed)
    }

    pub(crate) fn roll_back(
        &mut self,
        id: &TransactionId,
        caller_epoch: Epoch,
    ) -> (Result<(), CallFailure>, Effect) {
        if let Err(failure) = self.fence(caller_epoch) {
            return (Err(failure), Effect::None);
        }
        if self.committed.contains(id) {
            let kind = CallFailureKind::Heuristic(HeuristicKind::Committed);
            return (fail(kind, "committed before"), Effect::None);
        }
        let was_prepared = self.prepared.remove(id).is_some();
        let remembers = !self.makes(Mistake::RollBackIsNotRemembered);
        if remembers && !self.is_closed(id) && (was_prepared || !self.is_forgotten(id)) {
            self.released.entry(id.clone()).or_insert(None);
        }
        self.changes += u64::from(was_prepared);
        let effect = if was_prepared {
            Effect::RolledBack
        } else {
            Effect::None
        };
        (Ok(()), effect)
    }

    pub(crate) fn list(&self) -> Vec<PreparedBranch> {
        let ours = self.prepared.keys().cloned().map(PreparedId::Transaction);
        let others = [
            PreparedId::Transaction(crate::notation::id("depot.1.1")),
            PreparedId::Foreign("someone-elses".into()),
        ];
        ours.chain(others)
            .map(|id| PreparedBranch {
                id,
                prepare_time: None,
            })
            .collect()
    }

    pub(crate) fn forget(
        &mut self,
        caller_epoch: Epoch,
        before: &TransactionId,
        except: &[TransactionId],
        closed: Option<&TransactionId>,
    ) {
        if self.fence(caller_epoch).is_err() {
            return;
        }
        self.closed = self.closed.take().max(closed.cloned());
        if let Some(closed) = &self.closed {
            self.released.retain(|id, _| id >= closed);
        }
        if self.floor.as_ref() > Some(before) {
            return;
        }
        self.floor = Some(before.clone());
        self.excepted = except.iter().cloned().collect();
        // The newest commit stays: a coordinator that does not know it runs on an old copy.
        let newest = self.committed.last().cloned();
        let excepted = &self.excepted;
        let stays = |id: &TransactionId| id >= before || excepted.contains(id);
        self.committed
            .retain(|id| stays(id) || Some(id) == newest.as_ref());
        self.released.retain(|id, _| stays(id));
    }

    /// Someone with access to the store carries a branch out by hand.
    pub(crate) fn commit_by_hand(&mut self, id: &TransactionId, entries: &[Entry]) -> Effect {
        let was_prepared = self.prepared.remove(id).is_some();
        let is_done = self.committed.contains(id) || self.applied.contains_key(id);
        if is_done || !was_prepared && self.is_forgotten(id) {
            return Effect::None;
        }
        self.released.remove(id);
        if !was_prepared {
            self.shrink(entries);
        }
        self.apply(id, entries);
        Effect::Committed
    }

    /// Someone with access to the store takes back what was committed there without a decision.
    pub(crate) fn undo_by_hand(&mut self, id: &TransactionId) -> bool {
        let was_by_hand = self.by_hand.remove(id);
        if was_by_hand {
            self.committed.remove(id);
            self.applied.remove(id);
            self.released.insert(id.clone(), None);
            if let Kind::Rows(rows) = &mut self.kind {
                rows.rows.retain(|_, (by, _)| by != id);
            }
        }
        was_by_hand
    }

    /// Someone with access to the store rolls a branch back and tells nobody.
    pub(crate) fn roll_back_by_hand(&mut self, id: &TransactionId) {
        self.prepared.remove(id);
    }

    /// Units that are held of each sku.
    pub(crate) fn held(&self) -> BTreeMap<String, i64> {
        self.held_for(|_| true)
    }

    /// Units that are held of each sku for these transactions.
    pub(crate) fn held_for(
        &self,
        counts: impl Fn(&TransactionId) -> bool,
    ) -> BTreeMap<String, i64> {
        let mut held = BTreeMap::new();
        for (_, branch) in self.prepared.iter().filter(|(id, _)| counts(id)) {
            for item in branch.entries.iter().flat_map(|e| e.purchase.tracked()) {
                *held.entry(item.sku.clone()).or_insert(0) += i64::from(item.quantity);
            }
        }
        held
    }

    /// Whether a commit was carried out and only the memory of that is gone.
    fn has_lost_only_its_memory_of(&self, id: &TransactionId) -> bool {
        let is_asked = !self.makes(Mistake::RepeatedCommitDeductsAgain)
            && !self.makes(Mistake::OnlyMemoryIsAsked);
        is_asked && self.applied.contains_key(id) && !self.released.contains_key(id)
    }

    fn shrink(&mut self, entries: &[Entry]) {
        if let Kind::Stock(stock) = &mut self.kind {
            let items = entries.iter().flat_map(|entry| entry.purchase.tracked());
            stock.shrunk.extend(items.map(|item| item.sku.clone()));
        }
    }

    fn refusal(&self, entry: &Entry, held: &BTreeMap<String, i64>) -> Option<Reason> {
        let purchase = &entry.purchase;
        match &self.kind {
            Kind::Stock(stock) => purchase.tracked().find_map(|item| {
                let Some(value) = stock.values.get(&item.sku) else {
                    return Some(Reason::UnknownSku);
                };
                let held = held.get(&item.sku).copied().unwrap_or(0);
                let held = if self.makes(Mistake::HeldUnitsAreSoldAgain) {
                    0
                } else {
                    held
                };
                let kept_back = i64::from(self.makes(Mistake::LastUnitIsNotSold));
                (value - held - kept_back < i64::from(item.quantity))
                    .then_some(Reason::InsufficientStock)
            }),
            Kind::Rows(rows) => {
                let is_doubted = self.prepared.values().any(|branch| {
                    let mut ids = branch.entries.iter().map(|e| &e.purchase.purchase_id);
                    ids.any(|id| *id == purchase.purchase_id)
                });
                if rows.rows.contains_key(&purchase.purchase_id) {
                    Some(Reason::DuplicatePurchase)
                } else if is_doubted {
                    Some(Reason::Locked)
                } else if purchase.customer_id == rows.banned {
                    Some(Reason::ConstraintViolated)
                } else {
                    None
                }
            }
        }
    }

    fn apply(&mut self, id: &TransactionId, entries: &[Entry]) -> Vec<Debt> {
        let takes_debt = self.makes(Mistake::DebtIsTakenFromStock);
        let mut debts = Vec::new();
        for entry in entries {
            let purchase = &entry.purchase;
            match &mut self.kind {
                Kind::Rows(rows) => {
                    let row = (id.clone(), fingerprint(purchase));
                    rows.rows.insert(purchase.purchase_id.clone(), row);
                }
                Kind::Stock(stock) => {
                    for item in purchase.tracked() {
                        let value = stock.values.entry(item.sku.clone()).or_insert(0);
                        let wanted = i64::from(item.quantity);
                        let there = wanted.min((*value).max(0));
                        let there = if takes_debt { wanted } else { there };
                        *value -= there;
                        if there < wanted {
                            let quantity = u64::try_from(wanted - there).expect("positive");
                            *stock.debt.entry(item.sku.clone()).or_insert(0) += quantity;
                            debts.push(Debt {
                                sku: item.sku.clone(),
                                quantity,
                                detail: "not there any more".into(),
                            });
                        }
                    }
                    let takings = stock.taken.entry(purchase.purchase_id.clone());
                    takings.or_default().push(id.clone());
                }
            }
        }
        self.committed.insert(id.clone());
        self.changes += 1;
        *self.applied.entry(id.clone()).or_insert(0) += 1;
        debts
    }

    /// Whether the coordinator said that it will never ask about this transaction again.
    fn is_forgotten(&self, id: &TransactionId) -> bool {
        self.floor.as_ref().is_some_and(|floor| id < floor) && !self.excepted.contains(id)
    }

    /// Whether the coordinator said that this transaction is not to be prepared any more.
    fn is_closed(&self, id: &TransactionId) -> bool {
        self.closed.as_ref().is_some_and(|closed| id < closed)
    }

    /// Whether a call may do something that needs to know what the store has lost: somebody must have
    /// enlisted in its present life.
    pub(crate) fn fence_in_life(&self, epoch: Epoch) -> Result<(), CallFailure> {
        if self.has_lives && self.enlisted_life != self.incarnation {
            return fail(CallFailureKind::Unavailable, "not enlisted in this life");
        }
        self.fence(epoch)
    }

    /// Whether a call may do something: a caller that is not enlisted would go on without what the
    /// store has lost.
    fn fence(&self, epoch: Epoch) -> Result<(), CallFailure> {
        if self.enlisted.is_none() {
            return fail(CallFailureKind::Unavailable, "not enlisted");
        }
        self.fence_enlisted(epoch)
    }

    fn fence_enlisted(&self, epoch: Epoch) -> Result<(), CallFailure> {
        match self.enlisted {
            Some((known, _)) if known > epoch && !self.makes(Mistake::EpochIsNotKept) => {
                fail(CallFailureKind::Fenced, "a later epoch is enlisted")
            }
            _ => Ok(()),
        }
    }
}

fn fail<T>(kind: CallFailureKind, detail: &str) -> Result<T, CallFailure> {
    let detail = detail.into();
    Err(CallFailure { kind, detail })
}
