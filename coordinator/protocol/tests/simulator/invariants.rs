//! What must never happen, by the names of the design; checked after every event.

use std::collections::{BTreeMap, BTreeSet};

use tandem_protocol::{
    Action, Decision, Entry, Epoch, Event, Fingerprint, Note, ParticipantName, Purchase, Reason,
    Record, Reply, Timestamp, TransactionId, Vote, fingerprint,
};

use crate::participant::{Effect, Kind, Store};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

pub(crate) type Checked = Result<(), Violation>;

macro_rules! invariant {
    ($name:ident, $holds:expr, $($detail:tt)+) => {
        if $holds {
            Ok(())
        } else {
            Err(Violation { invariant: stringify!($name), detail: format!($($detail)+) })
        }
    };
}

/// What has truly happened, whatever the coordinator remembers of it.
pub(crate) struct Ledger {
    /// Decisions that were durable at some moment.
    decided: BTreeMap<TransactionId, Decision>,
    committed_ids: BTreeMap<String, TransactionId>,
    /// Transactions that the coordinator has given up or asked a store to roll back.
    given_up: BTreeSet<TransactionId>,
    answers: BTreeMap<String, (Fingerprint, Answer)>,
    /// Whether the log forgets nothing within the run, so that answers stay the same.
    remembers_all: bool,
    /// Units that were put on the shelf, at first and since.
    shelved: BTreeMap<String, i64>,
    /// Purchases that somebody has committed at a store without the coordinator.
    by_hand: BTreeSet<String>,
    /// Each store's life as this process was told last.
    lives: BTreeMap<ParticipantName, String>,
    /// The life of the store that gave a vote.
    votes: BTreeMap<(TransactionId, ParticipantName), String>,
    /// The last transaction in which each purchase was to be prepared.
    attempts: BTreeMap<String, TransactionId>,
    /// Attempts of which a client was told that they have no effect.
    without_effect: BTreeSet<(TransactionId, String)>,
    /// What stores with lives have promised.
    promises: BTreeMap<(ParticipantName, TransactionId), Vote>,
    /// Branches whose repair was ordered, durably.
    ordered: BTreeSet<(TransactionId, ParticipantName)>,
    /// When participants were told that a transaction began.
    begun: BTreeMap<TransactionId, Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Committed(TransactionId),
    Refused(TransactionId, Reason),
}

impl Ledger {
    pub(crate) fn new(remembers_all: bool) -> Ledger {
        Ledger {
            decided: BTreeMap::new(),
            committed_ids: BTreeMap::new(),
            given_up: BTreeSet::new(),
            answers: BTreeMap::new(),
            remembers_all,
            shelved: BTreeMap::new(),
            by_hand: BTreeSet::new(),
            lives: BTreeMap::new(),
            votes: BTreeMap::new(),
            begun: BTreeMap::new(),
            attempts: BTreeMap::new(),
            without_effect: BTreeSet::new(),
            promises: BTreeMap::new(),
            ordered: BTreeSet::new(),
        }
    }

    pub(crate) fn committed_by_hand(&mut self, entries: &[Entry]) {
        let ids = entries.iter().map(|entry| &entry.purchase.purchase_id);
        self.by_hand.extend(ids.cloned());
    }

    /// Another process, which has been told nothing yet.
    pub(crate) fn restarted(&mut self) {
        self.lives.clear();
        self.votes.clear();
    }

    /// The coordinator was told something.
    pub(crate) fn heard(&mut self, event: &Event) {
        match event {
            Event::ParticipantUp {
                participant,
                incarnation,
                ..
            } => {
                self.lives.insert(participant.clone(), incarnation.clone());
            }
            Event::Voted {
                transaction,
                participant,
                vote: Vote::Yes { incarnation, .. },
            } => {
                let vote = (transaction.clone(), participant.clone());
                self.votes
                    .entry(vote)
                    .or_insert_with(|| incarnation.clone());
            }
            _ => {}
        }
    }

    pub(crate) fn shelve(&mut self, sku: &str, units: i64) {
        *self.shelved.entry(sku.to_owned()).or_insert(0) += units;
    }

    pub(crate) fn shelved(&self) -> &BTreeMap<String, i64> {
        &self.shelved
    }

    /// A store has again what it had on its shelves once.
    pub(crate) fn reshelve(&mut self, shelved: BTreeMap<String, i64>) {
        self.shelved = shelved;
    }

    pub(crate) fn decided(&self) -> &BTreeMap<TransactionId, Decision> {
        &self.decided
    }

    /// Whether a transaction is decided, or may still be by the process of this epoch.
    pub(crate) fn may_commit(&self, id: &TransactionId, epoch: Epoch) -> bool {
        let is_open = id.epoch == epoch && !self.given_up.contains(id);
        is_open || self.decided.contains_key(id)
    }

    /// A record is durable.
    pub(crate) fn stored(&mut self, record: &Record) -> Checked {
        if let Record::RepairOrdered { repair, .. } = record {
            let branch = (repair.transaction.clone(), repair.participant.clone());
            self.ordered.insert(branch);
        }
        let Record::Decided(decision) = record else {
            return Ok(());
        };
        let id = &decision.transaction;
        if let Some(known) = self.decided.get(id) {
            // Written again by retention.
            return self.invariant_no_two_outcomes(id, known.entries == decision.entries);
        }
        self.invariant_no_two_outcomes(id, !self.given_up.contains(id))?;
        for entry in &decision.entries {
            let purchase_id = &entry.purchase.purchase_id;
            let attempt = (id.clone(), purchase_id.clone());
            invariant!(
                invariant_reply_never_contradicts_outcome,
                !self.without_effect.contains(&attempt),
                "{id} commits {purchase_id}, which was said to be without effect"
            )?;
            let other = self.committed_ids.insert(purchase_id.clone(), id.clone());
            invariant!(
                invariant_one_commit_per_purchase,
                other.is_none(),
                "{id} and {other:?} commit {purchase_id}"
            )?;
        }
        self.decided.insert(id.clone(), decision.clone());
        Ok(())
    }

    /// What is written of it is the same whenever that is, in this process or in a later one.
    fn invariant_a_purchase_has_one_time(
        &mut self,
        transaction: &TransactionId,
        time: Timestamp,
    ) -> Checked {
        let first = *self.begun.entry(transaction.clone()).or_insert(time);
        invariant!(
            invariant_a_purchase_has_one_time,
            first == time,
            "{transaction} began at {first:?} and at {time:?}"
        )
    }

    /// The coordinator wants something done.
    pub(crate) fn wanted(&mut self, action: &Action) -> Checked {
        self.invariant_others_branches_are_left_alone(action)?;
        match action {
            Action::Store {
                record: Record::Decided(decision),
                ..
            } if !self.decided.contains_key(&decision.transaction) => {
                self.invariant_vote_counts_in_its_stores_life(decision)
            }
            Action::Prepare {
                transaction,
                entries,
                begin_time,
                ..
            } => {
                for entry in entries {
                    let purchase_id = entry.purchase.purchase_id.clone();
                    self.attempts.insert(purchase_id, transaction.clone());
                }
                self.invariant_a_purchase_has_one_time(transaction, *begin_time)
            }
            Action::Commit {
                transaction,
                entries,
                begin_time,
                ..
            } => {
                self.invariant_a_purchase_has_one_time(transaction, *begin_time)?;
                let decision = self.decided.get(transaction);
                invariant!(
                    invariant_no_commit_without_stored_decision,
                    decision.is_some_and(|decision| decision.entries == *entries),
                    "{transaction} is being committed as {entries:?}, stored is {decision:?}"
                )
            }
            Action::Repair {
                participant,
                transaction,
                entries,
                begin_time,
                ..
            } => {
                self.invariant_a_purchase_has_one_time(transaction, *begin_time)?;
                let decision = self.decided.get(transaction);
                invariant!(
                    invariant_no_commit_without_stored_decision,
                    decision.is_some_and(|decision| decision.entries == *entries),
                    "{transaction} is being redone as {entries:?}, stored is {decision:?}"
                )?;
                let branch = (transaction.clone(), participant.clone());
                invariant!(
                    invariant_no_repair_without_stored_order,
                    self.ordered.contains(&branch),
                    "{transaction} is being redone at {participant}"
                )
            }
            Action::RollBack { transaction, .. }
            | Action::Note(Note::Aborted { transaction, .. }) => {
                self.given_up.insert(transaction.clone());
                self.invariant_no_two_outcomes(transaction, !self.decided.contains_key(transaction))
            }
            _ => Ok(()),
        }
    }

    /// A store did something.
    pub(crate) fn done(&self, store: &Store, id: &TransactionId, effect: &Effect) -> Checked {
        match effect {
            Effect::None => {}
            Effect::Committed => {
                invariant!(
                    invariant_no_commit_without_stored_decision,
                    self.decided.contains_key(id),
                    "{} committed {id}",
                    store.name
                )?;
            }
            Effect::RolledBack => {
                self.invariant_no_two_outcomes(id, !self.decided.contains_key(id))?;
            }
            Effect::CommittedInPart => {
                invariant!(
                    invariant_branch_commits_whole,
                    false,
                    "{} was to commit a part of its branch of {id}",
                    store.name
                )?;
            }
        }
        let times = store.applied.get(id).copied().unwrap_or(0);
        invariant!(
            invariant_repeated_commit_deducts_once,
            times <= 1,
            "{} applied {id} {times} times",
            store.name
        )?;
        let Kind::Stock(stock) = &store.kind else {
            return Ok(());
        };
        let negative = stock.values.iter().find(|(_, value)| **value < 0);
        invariant!(
            invariant_stock_never_below_zero,
            negative.is_none(),
            "{negative:?} after {id}"
        )
    }

    /// A store has voted: a repeated prepare gets the same vote.
    pub(crate) fn invariant_vote_is_repeated(
        &mut self,
        store: &Store,
        id: &TransactionId,
        vote: &Vote,
    ) -> Checked {
        if !matches!(store.kind, Kind::Stock(_)) || matches!(vote, Vote::No { .. }) {
            return Ok(());
        }
        let known = self.promises.entry((store.name.clone(), id.clone()));
        let known = known.or_insert_with(|| vote.clone());
        let life = |vote: &Vote| match vote {
            Vote::Yes { incarnation, .. } => Some(incarnation.clone()),
            Vote::No { .. } => None,
        };
        if life(known) != life(vote) {
            *known = vote.clone();
        }
        invariant!(
            invariant_vote_is_repeated,
            known == vote,
            "{} voted {known:?} on {id}, and then {vote:?}",
            store.name
        )
    }

    /// A store is what it was, and nothing shows it: what it has voted since it does not know.
    pub(crate) fn was_put_back(&mut self, store: &ParticipantName) {
        self.promises.retain(|(name, _), _| name != store);
    }

    /// A store has promised something.
    pub(crate) fn invariant_held_never_exceeds_stock_at_prepare(&self, store: &Store) -> Checked {
        let Kind::Stock(stock) = &store.kind else {
            return Ok(());
        };
        let held = store.held();
        let over = held
            .iter()
            .filter(|(sku, _)| !stock.shrunk.contains(*sku))
            .find(|(sku, held)| stock.values.get(*sku).is_none_or(|value| value < held));
        invariant!(
            invariant_held_never_exceeds_stock_at_prepare,
            over.is_none(),
            "held {over:?} of {:?}",
            stock.values
        )
    }

    /// A client was answered.
    pub(crate) fn replied(&mut self, purchase: &Purchase, reply: &Reply) -> Checked {
        let id = &purchase.purchase_id;
        let content = fingerprint(purchase);
        let committed = self.committed_ids.get(id);
        let answer = match reply {
            Reply::Committed { transaction, .. } | Reply::OutcomeCommitted { transaction, .. } => {
                let holds = committed == Some(transaction)
                    && self.decided[transaction]
                        .entries
                        .iter()
                        .any(|entry| fingerprint(&entry.purchase) == content);
                invariant!(
                    invariant_reply_never_contradicts_outcome,
                    holds,
                    "{id} was said to be committed by {transaction}; it is by {committed:?}"
                )?;
                Answer::Committed(transaction.clone())
            }
            Reply::Refused {
                transaction,
                refusal,
                ..
            } => {
                let holds = match refusal.reason {
                    Reason::DuplicatePurchase => committed.is_some() || self.by_hand.contains(id),
                    // Past retention a store that knows nothing of it may refuse it first: then
                    // only this attempt is meant.
                    _ => committed.is_none() || !self.remembers_all,
                };
                invariant!(
                    invariant_reply_never_contradicts_outcome,
                    holds,
                    "{id} was refused as {}; it is committed by {committed:?}",
                    refusal.reason
                )?;
                if !refusal.reason.is_final() {
                    return Ok(());
                }
                Answer::Refused(transaction.clone(), refusal.reason)
            }
            Reply::Unavailable { .. } => {
                if let Some(attempt) = self.attempts.get(id) {
                    self.without_effect.insert((attempt.clone(), id.clone()));
                }
                return invariant!(
                    invariant_reply_never_contradicts_outcome,
                    committed.is_none() || !self.remembers_all,
                    "{id} was said to be without effect; it is committed by {committed:?}"
                );
            }
            Reply::Reused => {
                let known = self.answers.get(id);
                return invariant!(
                    invariant_same_answer_for_same_id,
                    known.is_none_or(|(known, _)| *known != content) || !self.remembers_all,
                    "{id} was answered before as {known:?}, and now as reused"
                );
            }
            Reply::QueueFull { .. }
            | Reply::Crowded { .. }
            | Reply::ShuttingDown
            | Reply::OutcomeUnknown => return Ok(()),
        };
        if !self.remembers_all {
            return Ok(());
        }
        let first = self.answers.entry(id.clone());
        let first = first.or_insert((content, answer.clone()));
        invariant!(
            invariant_same_answer_for_same_id,
            *first == (content, answer.clone()),
            "{id} was answered {first:?} and now {answer:?}"
        )
    }

    /// Everything is up, and nothing has happened for a while.
    pub(crate) fn at_rest<'a>(&self, stores: impl Iterator<Item = &'a Store> + Clone) -> Checked {
        for store in stores.clone() {
            let left: Vec<_> = store.prepared.keys().collect();
            invariant!(
                invariant_no_branch_and_no_hold_left,
                left.is_empty(),
                "{} still has {left:?}",
                store.name
            )?;
        }
        for (id, decision) in &self.decided {
            for store in stores.clone() {
                let times = store.applied.get(id).copied().unwrap_or(0);
                invariant!(
                    invariant_no_two_outcomes,
                    times == 1,
                    "{} has applied {id} {times} times",
                    store.name
                )?;
            }
            for entry in &decision.entries {
                self.invariant_row_if_and_only_if_deduction(
                    &entry.purchase.purchase_id,
                    stores.clone(),
                )?;
            }
        }
        for store in stores.clone() {
            let ids: Vec<&String> = match &store.kind {
                Kind::Rows(rows) => rows.rows.keys().collect(),
                Kind::Stock(stock) => stock.taken.keys().collect(),
            };
            for id in ids {
                self.invariant_row_if_and_only_if_deduction(id, stores.clone())?;
            }
            self.invariant_units_add_up(store)?;
            self.invariant_nothing_is_sold_twice(store)?;
        }
        Ok(())
    }

    /// Units are owed only where the app took them, who takes mugs.
    fn invariant_nothing_is_sold_twice(&self, store: &Store) -> Checked {
        let Kind::Stock(stock) = &store.kind else {
            return Ok(());
        };
        let owed = stock.debt.iter().find(|(sku, _)| sku.as_str() != "mug");
        invariant!(
            invariant_nothing_is_sold_twice,
            owed.is_none(),
            "{owed:?} is owed, and {:?} is there",
            stock.values
        )
    }

    fn invariant_row_if_and_only_if_deduction<'a>(
        &self,
        purchase_id: &str,
        stores: impl Iterator<Item = &'a Store>,
    ) -> Checked {
        let by = self.committed_ids.get(purchase_id);
        for store in stores {
            let found: Vec<&TransactionId> = match &store.kind {
                Kind::Rows(rows) => rows.rows.get(purchase_id).iter().map(|r| &r.0).collect(),
                Kind::Stock(stock) => {
                    let taken = stock.taken.get(purchase_id);
                    taken.into_iter().flatten().collect()
                }
            };
            invariant!(
                invariant_row_if_and_only_if_deduction,
                found == by.into_iter().collect::<Vec<_>>(),
                "{purchase_id} is committed by {by:?}, and {} has it from {found:?}",
                store.name
            )?;
        }
        Ok(())
    }

    fn invariant_others_branches_are_left_alone(&self, action: &Action) -> Checked {
        let (Action::Prepare { transaction, .. }
        | Action::Commit { transaction, .. }
        | Action::RollBack { transaction, .. }) = action
        else {
            return Ok(());
        };
        invariant!(
            invariant_others_branches_are_left_alone,
            transaction.coordinator.as_str() == "shop",
            "{action:?}"
        )
    }

    fn invariant_vote_counts_in_its_stores_life(&self, decision: &Decision) -> Checked {
        let id = &decision.transaction;
        let stranger = self.lives.iter().find(|(store, life)| {
            let vote = self.votes.get(&(id.clone(), (*store).clone()));
            !life.is_empty() && vote != Some(life)
        });
        invariant!(
            invariant_vote_counts_in_its_stores_life,
            stranger.is_none(),
            "{id} is decided on votes {:?}, and {stranger:?} lives now",
            self.votes
                .range((id.clone(), "a".parse().expect("a name"))..)
                .next()
        )
    }

    fn invariant_units_add_up(&self, store: &Store) -> Checked {
        let Kind::Stock(stock) = &store.kind else {
            return Ok(());
        };
        let units = |sku: &String| -> i64 {
            let decisions = self.decided.values().flat_map(|d| &d.entries);
            decisions
                .flat_map(|entry| entry.purchase.tracked())
                .filter(|item| item.sku == *sku)
                .map(|item| i64::from(item.quantity))
                .sum()
        };
        let sold: i64 = self.shelved.keys().map(units).sum();
        let shelved: i64 = self.shelved.values().sum();
        let there: i64 = stock.values.values().sum();
        let debt = i64::try_from(stock.debt.values().sum::<u64>()).expect("small");
        invariant!(
            invariant_row_if_and_only_if_deduction,
            shelved - sold + debt == there,
            "{shelved} units shelved, {sold} sold, {debt} owed, {there} there"
        )
    }

    fn invariant_no_two_outcomes(&self, id: &TransactionId, holds: bool) -> Checked {
        invariant!(
            invariant_no_two_outcomes,
            holds,
            "{id} is decided as {:?} and given up",
            self.decided.get(id).map(|decision| &decision.entries)
        )
    }
}

/// A check that needs nothing but its values.
pub(crate) fn check(invariant: &'static str, holds: bool, detail: impl Into<String>) -> Checked {
    if holds {
        return Ok(());
    }
    let detail = detail.into();
    Err(Violation { invariant, detail })
}
