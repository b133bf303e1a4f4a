//! All transactions of one coordinator: its queue, its pipeline, its participants, its memory.
//!
//! The verbs are in files of their own: `submit` (clients), `begin` (new transactions), `decide`
//! (votes and decisions), `finish` (carrying decisions out), `link` (participants coming and going,
//! sweeps), `memory` (what stores remember), `redo` (stores that forgot), `settle` (the operator),
//! `repair` (his orders to redo), `contended` (what was locked), `closing` (what can't be prepared any
//! more), `release` (units that are being given back), `retire` (forgetting), `totals` (what was
//! deducted in all).

mod audit;
mod begin;
mod closing;
mod contended;
mod decide;
mod finish;
mod lanes;
mod link;
mod memory;
mod redo;
mod release;
mod repair;
mod retire;
mod settle;
mod submit;
mod totals;
mod view;

pub use audit::{HistoryPage, RememberedDecision, Standing};
use closing::Closing;
use contended::Contended;
pub(crate) use decide::past_refusal;
pub(crate) use finish::{branches_mut, by_hand, counts};
use lanes::{Lane, Queue};
use memory::Memory;
pub use memory::{Loss, MemoryView};
pub(crate) use release::Held;
use release::Releases;
pub use repair::Damage;
pub use totals::{DeductionsPage, SkuDeductions};
pub(crate) use view::view;
pub use view::{BranchProgress, BranchView, PurchaseView, TransactionState, TransactionView};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::action::Action;
use crate::branch::PreparedBranch;
use crate::event::{Event, Position, Repair, RequestId, Settlement, Ticket, WaitFor};
use crate::history::History;
use crate::id::{CoordinatorId, Epoch, ParticipantName, TransactionId};
use crate::note::Note;
use crate::purchase::{Entry, Purchase};
use crate::record::{Fingerprint, Record, RefusedPurchase};
use crate::recovery::Recovered;
use crate::time::Timestamp;
use crate::totals::{StockId, Totals};
use crate::transaction::{State, Transaction};
use crate::unordered::UnorderedMap;

/// Bounds and times of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Purchases that wait for a transaction, at most; beyond, submissions are refused.
    pub queue_purchases_max: usize,
    /// Purchases in one transaction, at most.
    pub transaction_purchases_max: usize,
    /// Bytes of all entries of one transaction in its decision record, at most.
    pub transaction_bytes_max: usize,
    /// Transactions under way at once.
    pub pipeline_transactions_max: usize,
    /// Transactions that have not ended, at most; beyond, none is begun.
    pub unfinished_transactions_max: usize,
    /// Transactions in a row without a refusal by a participant that refuses single entries, after
    /// which groups are prepared at all participants at once.
    pub cautious_transactions: u32,
    /// Time from a transaction's begin to its last vote.
    pub prepare_timeout: Duration,
    /// How long purchases wait for a participant that is down before they are turned away.
    pub unavailable_grace: Duration,
    /// First pause before a failed commit or roll back is tried again; doubled each time.
    pub retry_base: Duration,
    /// Longest such pause.
    pub retry_cap: Duration,
    /// Repeated calls under way at one participant, at most; new transactions are not counted.
    pub retries_in_flight_max: usize,
    /// How long an ended transaction is remembered.
    pub retention_age: Duration,
    /// How many purchases with an outcome are remembered, at most, beyond those of the last
    /// [`Settings::retention_age_min`].
    pub retention_purchases_max: usize,
    /// How long every decision is remembered, however many there are: longer than what a store can
    /// lose at its end without a sign of it, so that it can be done again.
    pub retention_age_min: Duration,
    /// How long after its begin a transaction may still be prepared; stores remember for about this
    /// long what they have rolled back.
    pub closing_age: Duration,
}

/// The state of one coordinator. See the crate's page for how it is used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coordinator {
    settings: Settings,
    id: CoordinatorId,
    epoch: Epoch,
    next_sequence: u64,
    members: BTreeMap<ParticipantName, Member>,
    transactions: BTreeMap<TransactionId, Transaction>,
    /// Transactions that occupy a slot: until they end, or one of their calls fails.
    pipeline: BTreeMap<TransactionId, Lane>,
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
    in_flight: UnorderedMap<String, InFlight>,
    /// Purchases that begin again once what was prepared for them is rolled back: before that
    /// they would stand in their own way.
    again: BTreeMap<TransactionId, Vec<Entry>>,
    releases: Releases,
    deadlines: BTreeMap<(Timestamp, RequestId), Arc<Purchase>>,
    history: History,
    totals: Totals,
    /// Everything before this transaction that has ended is forgotten. It only rises.
    floor: TransactionId,
    /// Before this position the log holds only what totals need, once what was on its way at the
    /// last forgetting is stored.
    unneeded: Position,
    /// The same, as the log has it: what participants may forget. It follows the floor.
    let_go: TransactionId,
    closing: Closing,
    /// Every record of which nobody has said yet that it is stored stands here or later.
    next_position: Position,
    storing: BTreeMap<Ticket, Storing>,
    next_ticket: Ticket,
    next_retire: Timestamp,
    draining: bool,
    actions: Vec<Action>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Member {
    link: Link,
    incarnation: String,
    refuses_singly: bool,
    /// Repeated calls under way.
    retries: BTreeSet<TransactionId>,
    /// Branches that wait to be tried again.
    due: BTreeSet<(Timestamp, TransactionId)>,
    /// Whether it has been enlisted by this process: it has not denied that the log is the newest.
    enlisted: bool,
    /// Whether this process was told what is prepared there.
    swept: bool,
    /// Branches of earlier epochs without a decision that were found prepared, while not every
    /// participant has said whether the log is the newest. One that is not found again stays:
    /// somebody else has ended it, and only the store can say how.
    held_back: BTreeSet<TransactionId>,
    /// Prepared branches of others, seen by the last sweep.
    foreign: Vec<PreparedBranch>,
    /// Branches that the last sweep has shown as prepared although their commit is acknowledged.
    back: BTreeSet<TransactionId>,
    /// What its store remembers of what it has acknowledged.
    memory: Memory,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Link {
    Up,
    Down { since: Timestamp, detail: String },
}

/// A purchase between its submission and its last reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct InFlight {
    purchase: Arc<Purchase>,
    fingerprint: Fingerprint,
    place: Place,
    waiters: Vec<Waiter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Queued,
    In(TransactionId),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Waiter {
    request: RequestId,
    wait_for: WaitFor,
    deadline: Timestamp,
}

/// A record on its way to the log, and what follows from its being there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Storing {
    Decision(TransactionId),
    Refusals {
        transaction: TransactionId,
        time: Timestamp,
        refused: Vec<RefusedPurchase>,
    },
    Settlement {
        request: RequestId,
        settlement: Settlement,
    },
    Repair {
        request: RequestId,
        repair: Repair,
    },
    /// A record of an unfinished transaction, written for the first time or again.
    Keep(TransactionId),
    /// A decision that is written again; who carries it out.
    Carried(TransactionId, Vec<ParticipantName>),
    Forgotten {
        /// Records before this position are needed no more.
        release: Position,
        before: TransactionId,
    },
    /// Totals that are written again.
    Totals(Vec<StockId>),
    Nothing,
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
        let down = || Member {
            link: Link::Down {
                since: now,
                detail: "not connected yet".into(),
            },
            incarnation: String::new(),
            refuses_singly: false,
            retries: BTreeSet::new(),
            due: BTreeSet::new(),
            enlisted: false,
            swept: false,
            held_back: BTreeSet::new(),
            foreign: Vec::new(),
            back: BTreeSet::new(),
            memory: Memory::default(),
        };
        let floor = recovered.floor.unwrap_or(TransactionId {
            coordinator: id.clone(),
            epoch: Epoch(0),
            sequence: 0,
        });
        let caution = settings.cautious_transactions;
        let mut coordinator = Coordinator {
            settings,
            id,
            epoch,
            next_sequence: 1,
            caution,
            members: participants
                .into_iter()
                .map(|name| (name, down()))
                .collect(),
            transactions: BTreeMap::new(),
            pipeline: BTreeMap::new(),
            slot_held_until: None,
            prepare_took: Duration::ZERO,
            queue: Queue::default(),
            contended: Contended::default(),
            in_flight: UnorderedMap::default(),
            again: BTreeMap::new(),
            releases: Releases::default(),
            deadlines: BTreeMap::new(),
            history: recovered.history,
            totals: recovered.totals,
            unneeded: 0,
            let_go: floor.clone(),
            floor,
            closing: Closing::default(),
            next_position: recovered.next_position,
            storing: BTreeMap::new(),
            next_ticket: 0,
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
            self.take(now, event);
        }
        self.advance(now);
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
            } => self.voted(now, &transaction, &participant, vote),
            Event::Stored { ticket, position } => self.stored(now, ticket, position),
            Event::Acknowledged {
                transaction,
                participant,
                ending,
                evidence,
                debts,
            } => self.acknowledged(now, &transaction, &participant, ending, evidence, debts),
            Event::CallFailed {
                transaction,
                participant,
                call,
                failure,
            } => self.call_failed(now, &transaction, &participant, call, failure),
            Event::Looked {
                participant,
                newest_committed,
            } => self.looked(&participant, &newest_committed),
            Event::ParticipantUp {
                participant,
                incarnation,
                newest_committed,
                refuses_singly,
            } => self.participant_up(
                now,
                &participant,
                incarnation,
                &newest_committed,
                refuses_singly,
            ),
            Event::ParticipantDown {
                participant,
                detail,
            } => self.participant_down(now, &participant, detail),
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
            } => self.repaired(now, &transaction, &participant, repaired),
            Event::Drain => self.draining = true,
            Event::Tick => {}
        }
    }

    /// When the next [`Event::Tick`] is due, if no other event comes before.
    pub fn next_deadline(&self) -> Timestamp {
        let requests = self.deadlines.keys().next().map(|(deadline, _)| *deadline);
        let prepares =
            self.pipeline
                .keys()
                .filter_map(|id| match &self.transactions.get(id)?.state {
                    State::Preparing(preparing) => Some(preparing.deadline),
                    State::Deciding(_) | State::Committing(_) | State::Aborting(_) => None,
                });
        let members = self
            .members
            .values()
            .filter_map(|member| match &member.link {
                Link::Up => (member.retries.len() < self.settings.retries_in_flight_max)
                    .then(|| member.due.first().map(|(time, _)| *time))
                    .flatten(),
                Link::Down { since, .. } => {
                    (!self.queue.is_empty()).then_some(*since + self.settings.unavailable_grace)
                }
            });
        requests
            .into_iter()
            .chain(prepares)
            .chain(members)
            .chain(self.slot_held_until)
            .chain([self.next_retire])
            .min()
            .unwrap_or(self.next_retire)
    }

    /// Whether nobody waits for anything that can still come: the process may stop.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.pipeline.is_empty() && self.storing.is_empty()
    }

    /// Whether nothing is left to be done, now or later: no purchase, no transaction, no call.
    pub fn is_quiet(&self) -> bool {
        self.is_idle()
            && self.transactions.is_empty()
            && self.in_flight.is_empty()
            && self.again.is_empty()
            && self.deadlines.is_empty()
            && self
                .members
                .values()
                .all(|member| member.retries.is_empty() && member.due.is_empty())
            && self.remembers_all()
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

    fn stored(&mut self, now: Timestamp, ticket: Ticket, position: Position) {
        let Some(storing) = self.storing.remove(&ticket) else {
            return;
        };
        self.next_position = self.next_position.max(position.saturating_add(1));
        match storing {
            Storing::Decision(id) => self.decision_stored(&id, position),
            Storing::Refusals {
                transaction,
                time,
                refused,
            } => self.refusals_stored(&transaction, time, refused, position),
            Storing::Settlement {
                request,
                settlement,
            } => self.settlement_stored(now, request, settlement, position),
            Storing::Repair { request, repair } => {
                self.repair_stored(now, request, repair, position);
            }
            Storing::Keep(id) => self.history.place(&id, position),
            Storing::Carried(id, names) => self.history.decided(&id, &names, position),
            Storing::Forgotten { release, before } => self.forgotten_stored(release, before),
            Storing::Totals(stocks) => self.totals.stored(&stocks, position),
            Storing::Nothing => {}
        }
    }

    fn store(&mut self, record: Record, forced: bool, then: Storing) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.storing.insert(ticket, then);
        self.actions.push(Action::Store {
            ticket,
            record,
            forced,
        });
    }

    fn note(&mut self, note: Note) {
        self.actions.push(Action::Note(note));
    }
}
