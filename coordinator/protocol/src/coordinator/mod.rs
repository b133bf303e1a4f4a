//! All transactions of one coordinator: its queue, its participants, what it remembers.
//!
//! What it knows is in structs of their own: [`Participants`], [`Transactions`], [`Queue`] and the others
//! of its fields. The verbs are in files of their own: `submit` (clients), `begin` (new transactions),
//! `vote`, `decide`, `refuse` and `abort` (from votes to an outcome), `carry_out`, `retry` and `end` (from
//! a decision to its end), `enlist` (participants that come and go), `recall` and `redo` (stores that
//! forget), `settle` and `repair` (the operator), `locks` (what was locked), `retire` and `carry`
//! (forgetting), `store` (the log). What a restart needs is in `recovery/`.

mod abort;
mod begin;
mod carry;
mod carry_out;
mod decide;
mod decisions;
mod deductions;
mod end;
mod enlist;
#[cfg(debug_assertions)]
mod invariants;
mod locks;
mod outcomes;
mod recall;
mod redo;
mod refuse;
mod repair;
mod retire;
mod retry;
mod settings;
mod settle;
mod store;
mod submit;
mod view;
mod vote;

pub use decisions::{HistoryPage, RememberedDecision, Standing};
pub use deductions::{DeductionsPage, SkuDeductions};
pub use outcomes::{OutcomesOf, OutcomesPage, OutcomesWanted, RememberedOutcome};
pub use repair::Damage;
pub use settings::Settings;
pub use view::{ContentPlace, PurchaseView};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::action::Action;
use crate::closing::Closing;
use crate::contended::Contended;
use crate::event::Event;
use crate::id::{CoordinatorId, Epoch, ParticipantName, Position, RequestId, TransactionId};
use crate::in_flight::InFlight;
use crate::lanes::Queue;
use crate::note::Note;
use crate::participants::Participants;
use crate::purchase::{Entry, Purchase};
use crate::recovery::Recovered;
use crate::releases::Releases;
use crate::tail::Tail;
use crate::time::Timestamp;
use crate::totals::Totals;
use crate::transactions::Transactions;
use crate::unordered::UnorderedMap;

/// The state of one coordinator. See the crate's page for how it is used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coordinator {
    settings: Settings,
    pub(crate) participants: Participants,
    pub(crate) transactions: Transactions,
    /// Until when a free slot of the open lane waits for more purchases to share it, while it does.
    slot_held_until: Option<Timestamp>,
    /// How long the last decision took from the beginning of its transaction, if that waited for no
    /// lock as far as is known.
    prepare_took: Duration,
    /// How many of [`Settings::cautious_transactions`] are left.
    caution: u32,
    /// Purchases that no transaction has taken yet.
    queue: Queue,
    contended: Contended,
    pub(crate) in_flight: UnorderedMap<String, InFlight>,
    /// Purchases that begin again once what was prepared for them is rolled back: before that
    /// they would stand in their own way.
    again: BTreeMap<TransactionId, Vec<Entry>>,
    releases: Releases,
    deadlines: BTreeMap<(Timestamp, RequestId), Arc<Purchase>>,
    pub(crate) totals: Totals,
    /// Before this position the log holds only what totals need, once what was on its way at the
    /// last forgetting is stored.
    unneeded: Position,
    /// Before this transaction participants may forget: the floor, as the log has it.
    let_go: TransactionId,
    closing: Closing,
    tail: Tail,
    next_retire: Timestamp,
    draining: bool,
    pub(crate) actions: Vec<Action>,
}

impl Coordinator {
    /// A coordinator that begins its epoch with what the log held. The epoch's start must be
    /// stored already.
    pub fn new(
        settings: Settings,
        id: CoordinatorId,
        epoch: Epoch,
        participants: impl IntoIterator<Item = ParticipantName>,
        recovered: Recovered,
        now: Timestamp,
    ) -> Coordinator {
        let transactions = Transactions::new(id, epoch, recovered.history, recovered.floor);
        let mut coordinator = Coordinator {
            caution: settings.cautious_transactions,
            settings,
            participants: Participants::new(participants, now),
            let_go: transactions.floor().clone(),
            transactions,
            slot_held_until: None,
            prepare_took: Duration::ZERO,
            queue: Queue::default(),
            contended: Contended::default(),
            in_flight: UnorderedMap::default(),
            again: BTreeMap::new(),
            releases: Releases::default(),
            deadlines: BTreeMap::new(),
            totals: recovered.totals,
            unneeded: 0,
            closing: Closing::default(),
            tail: Tail::new(recovered.next_position),
            next_retire: now,
            draining: false,
            actions: Vec::new(),
        };
        for transaction in recovered.unfinished {
            coordinator.adopt(transaction);
        }
        coordinator
    }

    /// Takes an event and says what must be done. `now` must not go back.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Action> {
        self.handle_all(now, [event])
    }

    /// Takes events that have come in together, so that purchases which wait together may share
    /// a transaction.
    pub fn handle_all(
        &mut self,
        now: Timestamp,
        events: impl IntoIterator<Item = Event>,
    ) -> Vec<Action> {
        for event in events {
            // Nothing was asked of others: the shell has links to those of the configuration only.
            let from = event.participant();
            if from.is_none_or(|name| self.participants.contains(name)) {
                self.take(now, event);
            }
        }
        self.advance(now);
        #[cfg(debug_assertions)]
        self.check(now);
        std::mem::take(&mut self.actions)
    }

    fn take(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Submitted {
                request,
                purchase,
                wait_for,
                deadline,
            } => self.submitted(now, request, purchase, wait_for, deadline),
            Event::Voted {
                transaction,
                participant,
                vote,
            } => self.voted(now, &transaction.at(&participant), vote),
            Event::Stored { ticket, position } => self.stored(now, ticket, position),
            Event::Acknowledged {
                transaction,
                participant,
                ending,
                evidence,
                debts,
            } => self.acknowledged(now, &transaction.at(&participant), ending, evidence, debts),
            Event::CallFailed {
                transaction,
                participant,
                call,
                failure,
            } => self.call_failed(now, &transaction.at(&participant), call, failure),
            Event::Enlistable {
                participant,
                newest_committed,
            } => self.may_enlist(&participant, &newest_committed),
            Event::ParticipantUp {
                participant,
                incarnation: life,
                newest_committed,
                refuses_singly,
            } => self.enlisted(now, &participant, life, &newest_committed, refuses_singly),
            Event::ParticipantDown {
                participant,
                detail,
            } => self.participants.set_down(now, &participant, detail),
            Event::Refused {
                participant,
                detail,
            } => self.refused_by(&participant, &detail),
            Event::FoundPrepared {
                participant,
                branches,
            } => self.found_prepared(now, &participant, branches),
            Event::Recalled {
                participant,
                page,
                forgotten,
                remembers_from,
            } => self.recalled(now, &participant, page, &forgotten, remembers_from),
            Event::DecisionRead {
                transaction,
                decision,
            } => self.decision_read(now, &transaction, decision),
            Event::RetryNow { transaction } => self.retry_now(now, &transaction),
            Event::Settled {
                request,
                settlement,
                force,
            } => self.settle(now, request, settlement, force),
            Event::RepairOrdered {
                request,
                repair,
                decision,
            } => self.order_repair(now, request, repair, decision),
            Event::Repaired {
                transaction,
                participant,
                repaired,
            } => self.repaired(now, &transaction.at(&participant), repaired),
            Event::Drain => self.draining = true,
            Event::Tick => {}
        }
    }

    /// When the next [`Event::Tick`] is due, if no other event comes before.
    pub fn next_deadline(&self) -> Timestamp {
        let requests = self.deadlines.keys().next().map(|(deadline, _)| *deadline);
        let preparing = self.transactions.preparing();
        let prepares = preparing.map(|(_, preparing)| preparing.deadline);
        let calls_max = self.settings.retries_in_flight_max;
        let down_since = self.participants.down_since();
        let grace = self.settings.unavailable_grace;
        requests
            .into_iter()
            .chain(prepares)
            .chain(self.participants.next_call(calls_max))
            .chain(
                down_since
                    .filter(|_| !self.queue.is_empty())
                    .map(|since| since + grace),
            )
            .chain(self.slot_held_until)
            .chain([self.next_retire])
            .min()
            .unwrap_or(self.next_retire)
    }

    /// Whether nobody waits for anything that can still come: the process may stop.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.transactions.first_in_slots().is_none()
            && self.tail.storing().len() == 0
    }

    /// Whether nothing is left to be done, now or later: no purchase, no transaction, no call.
    pub fn is_quiet(&self) -> bool {
        self.is_idle()
            && self.transactions.under_way().len() == 0
            && self.in_flight.is_empty()
            && self.again.is_empty()
            && self.deadlines.is_empty()
            && self.participants.have_no_calls()
            && self.participants.remember_all()
    }

    /// What follows from every event: what is late, what can begin, what is due.
    fn advance(&mut self, now: Timestamp) {
        self.forget_locks(now);
        self.expire_requests(now);
        self.expire_prepares(now);
        self.turn_away(now);
        self.redo(now);
        // Units are given back before others ask for them.
        self.retry_due(now);
        self.fill_pipeline(now);
        self.retire(now);
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.actions.push(Action::Note(note));
    }
}
