//! The states and the steps between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stateright::{Model, Property};
use tandem_protocol::{
    Action, Call, CallFailure, CallFailureKind, CommitEvidence, Coordinator, CoordinatorId, Ending,
    Entry, Epoch, Event, HeuristicKind, Item, Note, PreparedBranch, PreparedId, Purchase, Reason,
    Record, Recovered, Refusal, RefusedEntry, Reply, Settings, Ticket, Timestamp, TransactionId,
    Vote, WaitFor,
};

use crate::notation::{name, settings};
use crate::store::{Entries, Loss, Said, Store, Which};
use crate::tampered::{Tampered, Tampering};

/// How much may happen in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) purchases: u8,
    /// Units in stock; each purchase wants one.
    pub(crate) stock: i8,
    /// Deaths of the coordinator and of stores.
    pub(crate) crashes: u8,
    /// Messages that are lost, or that come after their call was given up.
    pub(crate) losses: u8,
    /// Messages that arrive twice.
    pub(crate) repeats: u8,
    /// Prepares that find the row of their first purchase locked by somebody else.
    pub(crate) locks: u8,
}

impl Bounds {
    pub(crate) const fn new(purchases: u8, stock: i8) -> Bounds {
        Bounds {
            purchases,
            stock,
            crashes: 0,
            losses: 0,
            repeats: 0,
            locks: 0,
        }
    }

    pub(crate) const fn crashes(self, crashes: u8) -> Bounds {
        Bounds { crashes, ..self }
    }

    pub(crate) const fn losses(self, losses: u8) -> Bounds {
        Bounds { losses, ..self }
    }

    pub(crate) const fn repeats(self, repeats: u8) -> Bounds {
        Bounds { repeats, ..self }
    }

    pub(crate) const fn locks(self, locks: u8) -> Bounds {
        Bounds { locks, ..self }
    }
}

pub(crate) struct Exhaustive {
    pub(crate) bounds: Bounds,
    pub(crate) tampering: Option<Tampering>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    core: Option<Tampered>,
    epoch: Epoch,
    log: Vec<Record>,
    pending: Vec<(Ticket, Record)>,
    stores: BTreeMap<Which, Store>,
    /// Messages under way, and how many of each.
    messages: BTreeMap<Message, u8>,
    crashes: u8,
    losses: u8,
    repeats: u8,
    locks: u8,
    /// Clients that wait for an answer of this process.
    waiting: Vec<u8>,
    /// The last life of each store that this process was told of.
    told: BTreeMap<Which, u8>,
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    Request(Epoch, Which, Request),
    Answer(Epoch, Which, Request, Answer),
    /// The link to a store breaks.
    Broken(Epoch, Which),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Request {
    Connect,
    Prepare(TransactionId, Entries),
    Commit(TransactionId, Entries),
    RollBack(TransactionId),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answer {
    /// Enlisted in this life of the store, which has these prepared and those committed.
    Connected(u8, Vec<TransactionId>, Vec<TransactionId>),
    /// The store says so in this life.
    Said(Said, u8),
    /// Nobody answers.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Deliver(Message),
    Repeat(Message),
    /// A prepare arrives at mysql and finds a row locked.
    FindLocked(Message),
    Lose(Message),
    /// The caller gives up; the message still arrives.
    GiveUp(Message),
    Force,
    /// The coordinator dies; so many of the records that are not forced are on the disk.
    CrashCoordinator(usize),
    Restart,
    /// A store restarts.
    CrashStore(Which, Loss),
    Sweep,
}

impl Model for Exhaustive {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let bounds = self.bounds;
        let stores = Which::BOTH.map(|which| (which, Store::new(which, bounds.stock)));
        vec![World {
            core: None,
            epoch: Epoch(0),
            log: Vec::new(),
            pending: Vec::new(),
            stores: stores.into_iter().collect(),
            messages: BTreeMap::new(),
            crashes: bounds.crashes,
            losses: bounds.losses,
            repeats: bounds.repeats,
            locks: bounds.locks,
            waiting: Vec::new(),
            told: BTreeMap::new(),
            broken: None,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.broken.is_some() {
            return;
        }
        for message in world.messages.keys() {
            steps.push(Step::Deliver(message.clone()));
            let is_call = matches!(message, Message::Request(..) | Message::Answer(..));
            let is_answered = !matches!(message, Message::Answer(_, _, _, Answer::Nothing));
            if world.repeats > 0 && is_call && is_answered {
                steps.push(Step::Repeat(message.clone()));
            }
            let is_prepare = matches!(
                message,
                Message::Request(_, Which::Mysql, Request::Prepare(..))
            );
            if world.locks > 0 && is_prepare {
                steps.push(Step::FindLocked(message.clone()));
            }
            if world.losses > 0 && is_call && is_answered {
                steps.push(Step::Lose(message.clone()));
                steps.push(Step::GiveUp(message.clone()));
            }
        }
        if !world.pending.is_empty() {
            steps.push(Step::Force);
        }
        if world.core.is_none() {
            steps.push(Step::Restart);
        } else if world.crashes > 0 {
            for kept in 0..=world.pending.len() {
                steps.push(Step::CrashCoordinator(kept));
            }
        }
        if world.crashes > 0 {
            steps.push(Step::CrashStore(Which::Mysql, Loss::Nothing));
            steps.push(Step::CrashStore(Which::Redis, Loss::Nothing));
            steps.push(Step::CrashStore(Which::Redis, Loss::Holds));
            if !world.stores[&Which::Redis].committed.is_empty() {
                steps.push(Step::CrashStore(Which::Redis, Loss::LastCommit));
            }
        }
        if world.is_quiescent() {
            steps.push(Step::Sweep);
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::Deliver(message) => {
                world.take(&message);
                world.deliver(message);
            }
            Step::Repeat(message) => {
                world.repeats -= 1;
                world.deliver(message);
            }
            Step::FindLocked(message) => {
                world.locks -= 1;
                world.take(&message);
                world.store(Which::Mysql).is_locked = true;
                world.deliver(message);
                world.store(Which::Mysql).is_locked = false;
            }
            Step::Lose(message) => {
                world.losses -= 1;
                world.take(&message);
                world.nobody_answers(message);
            }
            Step::GiveUp(message) => {
                world.losses -= 1;
                world.nobody_answers(message);
            }
            Step::Force => {
                let stored: Vec<Event> = world.force();
                world.tell(stored);
            }
            Step::CrashCoordinator(kept) => {
                world.told.clear();
                world.crashes -= 1;
                world.pending.truncate(kept);
                world.force();
                world.core = None;
                world.waiting.clear();
                // Its calls still arrive; nobody hears the answers.
                let is_heard = |message: &Message| matches!(message, Message::Request(..));
                world.messages.retain(|message, _| is_heard(message));
            }
            Step::Restart => world.start(self.bounds, self.tampering),
            Step::CrashStore(which, loss) => {
                world.crashes -= 1;
                world.store(which).restart(loss);
                if world.core.is_some() {
                    world.put(Message::Broken(world.epoch, which));
                }
            }
            Step::Sweep => world.sweep(),
        }
        world.check_stores();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every invariant holds", |_, world: &World| {
                world.broken.is_none()
            }),
            Property::always("everything ends", |_, world: &World| {
                world.is_moving() || world.has_ended()
            }),
        ]
    }
}

impl World {
    /// The invariant that does not hold.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        self.broken
    }

    fn start(&mut self, bounds: Bounds, tampering: Option<Tampering>) {
        let id: CoordinatorId = "shop".parse().unwrap();
        let encoded: Vec<Vec<u8>> = self.log.iter().map(Record::encode).collect();
        let records = (1..).zip(encoded.iter().map(Vec::as_slice));
        let recovered = Recovered::replay(&id, records).expect("the log is whole");
        self.epoch = recovered.next_epoch();
        self.log.push(Record::EpochStarted {
            epoch: self.epoch,
            instance_id: String::new(),
            time: Timestamp(0),
        });
        let settings = Settings {
            retry_base: Duration::ZERO,
            retry_cap: Duration::ZERO,
            transaction_purchases_max: 2,
            unavailable_grace: Duration::from_secs(1),
            ..settings()
        };
        let names = Which::BOTH.map(|which| name(which.name()));
        let now = Timestamp(0);
        let core = Coordinator::new(settings, id, self.epoch, names, recovered, now);
        self.core = Some(Tampered::new(core, tampering));
        for which in Which::BOTH {
            self.put(Message::Request(self.epoch, which, Request::Connect));
        }
        // Each client comes (again) at once.
        self.waiting = (0..bounds.purchases).collect();
        let submitted = (0..bounds.purchases).map(submitted);
        self.tell(submitted.collect());
    }

    /// A client comes again at once.
    fn come(&mut self, number: u8) {
        self.waiting.push(number);
        self.tell(vec![submitted(number)]);
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Request(epoch, which, request) => {
                let answer = self.serve(epoch, which, &request);
                if epoch == self.epoch && self.core.is_some() {
                    self.put(Message::Answer(epoch, which, request, answer));
                }
            }
            Message::Answer(epoch, which, request, answer) => {
                if epoch == self.epoch {
                    let events = self.heard(which, request, answer);
                    self.tell(events);
                }
            }
            Message::Broken(epoch, which) => {
                if epoch == self.epoch {
                    self.put(Message::Request(epoch, which, Request::Connect));
                    self.tell(vec![Event::ParticipantDown {
                        participant: name(which.name()),
                        detail: "it was restarted".into(),
                    }]);
                }
            }
        }
    }

    fn nobody_answers(&mut self, message: Message) {
        let (Message::Request(epoch, which, request) | Message::Answer(epoch, which, request, _)) =
            message
        else {
            return;
        };
        if epoch == self.epoch && self.core.is_some() {
            self.put(Message::Answer(epoch, which, request, Answer::Nothing));
        }
    }

    fn serve(&mut self, epoch: Epoch, which: Which, request: &Request) -> Answer {
        let store = self.store(which);
        match request {
            Request::Connect => {
                if !store.enlist(epoch) {
                    return Answer::Said(Said::Fenced, store.life);
                }
                let prepared = store.prepared.keys().cloned().collect();
                let committed = store.committed.keys().rev().cloned().collect();
                Answer::Connected(store.life, prepared, committed)
            }
            Request::Prepare(id, entries) => Answer::Said(store.prepare(id, entries), store.life),
            Request::Commit(id, entries) => {
                Answer::Said(store.commit(epoch, id, entries), store.life)
            }
            Request::RollBack(id) => Answer::Said(store.roll_back(epoch, id), store.life),
        }
    }

    /// What the daemon tells the core of an answer.
    fn heard(&mut self, which: Which, request: Request, answer: Answer) -> Vec<Event> {
        let participant = name(which.name());
        let said = match (answer, &request) {
            // One probe after another: this is not the last.
            (Answer::Connected(life, ..), _) if Some(&life) < self.told.get(&which) => {
                return Vec::new();
            }
            (Answer::Connected(life, prepared, newest_committed), _) => {
                self.told.insert(which, life);
                let incarnation = which.incarnation(life);
                return vec![
                    found(which, &prepared),
                    Event::ParticipantUp {
                        participant,
                        incarnation,
                        newest_committed,
                        refuses_singly: which == Which::Redis,
                    },
                ];
            }
            (Answer::Nothing, Request::Connect) => {
                // One probe after another.
                self.put(Message::Request(self.epoch, which, Request::Connect));
                return Vec::new();
            }
            (Answer::Nothing, _) => Err((CallFailureKind::Unavailable, "no answer")),
            // It was asked in a life that may be over.
            (Answer::Said(_, life), Request::Commit(..)) if life < self.told[&which] => {
                Err((CallFailureKind::Unavailable, "another life"))
            }
            (Answer::Said(Said::Fenced, _), _) => Err((CallFailureKind::Fenced, "a later epoch")),
            (Answer::Said(Said::Heuristic, _), Request::Commit(..)) => Err((
                CallFailureKind::Heuristic(HeuristicKind::RolledBack),
                "rolled back",
            )),
            (Answer::Said(Said::Heuristic, _), _) => Err((
                CallFailureKind::Heuristic(HeuristicKind::Committed),
                "committed",
            )),
            (Answer::Said(said, _), _) => Ok(said),
        };
        let (transaction, call) = match request {
            Request::Prepare(id, _) => (id, Call::Prepare),
            Request::Commit(id, _) => (id, Call::End(Ending::Commit)),
            Request::RollBack(id) => (id, Call::End(Ending::RollBack)),
            Request::Connect => return Vec::new(),
        };
        let said = match said {
            Ok(said) => said,
            Err((kind, detail)) => {
                let detail = detail.into();
                return vec![Event::CallFailed {
                    transaction,
                    participant,
                    call,
                    failure: CallFailure { kind, detail },
                }];
            }
        };
        let evidence = match said {
            Said::Yes(refused, life) => {
                let incarnation = which.incarnation(life);
                let refused = refused.into_iter().map(|number| RefusedEntry {
                    number,
                    refusal: Refusal {
                        reason: match which {
                            Which::Redis => Reason::InsufficientStock,
                            Which::Mysql => Reason::Locked,
                        },
                        detail: String::new(),
                    },
                });
                let vote = Vote::Yes {
                    refused: refused.collect(),
                    incarnation,
                };
                return vec![Event::Voted {
                    transaction,
                    participant,
                    vote,
                }];
            }
            Said::No => {
                let detail = "not any more".into();
                return vec![Event::Voted {
                    transaction,
                    participant,
                    vote: Vote::No { detail },
                }];
            }
            Said::Committed => Some(CommitEvidence::Applied),
            Said::CommittedAlready => Some(CommitEvidence::AlreadyApplied),
            Said::CommittedFromTheDecision => Some(CommitEvidence::Redone),
            Said::RolledBack | Said::Heuristic | Said::Fenced => None,
        };
        let ending = match call {
            Call::End(ending) => ending,
            Call::Prepare | Call::Repair => return Vec::new(),
        };
        vec![Event::Acknowledged {
            transaction,
            participant,
            ending,
            evidence,
            debts: Vec::new(),
        }]
    }

    fn force(&mut self) -> Vec<Event> {
        let mut stored = Vec::new();
        for (ticket, record) in std::mem::take(&mut self.pending) {
            self.log.push(record);
            let position = self.log.len() as u64;
            stored.push(Event::Stored { ticket, position });
        }
        stored
    }

    fn sweep(&mut self) {
        let found = self.stores.values().map(|store| {
            let prepared: Vec<TransactionId> = store.prepared.keys().cloned().collect();
            found(store.which, &prepared)
        });
        self.tell(found.collect());
    }

    fn tell(&mut self, events: Vec<Event>) {
        let Some(core) = &mut self.core else {
            return;
        };
        for action in core.handle_all(Timestamp(0), events) {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        let which = |participant: &tandem_protocol::ParticipantName| {
            let is_it = |which: &Which| which.name() == participant.as_str();
            Which::BOTH.into_iter().find(is_it).unwrap()
        };
        let epoch = self.epoch;
        match action {
            Action::Store { ticket, record, .. } => self.pending.push((ticket, record)),
            Action::Prepare {
                participant,
                transaction,
                entries,
                ..
            } => {
                let request = Request::Prepare(transaction, numbers(&entries));
                self.put(Message::Request(epoch, which(&participant), request));
            }
            Action::Commit {
                participant,
                transaction,
                entries,
                ..
            } => {
                let entries = numbers(&entries);
                if self.decided(&transaction) != Some(entries.clone()) {
                    self.broken = Some("no commit without a stored decision");
                }
                let request = Request::Commit(transaction, entries);
                self.put(Message::Request(epoch, which(&participant), request));
            }
            Action::RollBack {
                participant,
                transaction,
            } => {
                if self.decided(&transaction).is_some() {
                    self.broken = Some("no two outcomes: a decided branch is to be rolled back");
                }
                let request = Request::RollBack(transaction);
                self.put(Message::Request(epoch, which(&participant), request));
            }
            // Answered at once, so that there are no more states than without it.
            Action::Recall {
                participant,
                page,
                transactions,
            } => {
                let store = &self.stores[&which(&participant)];
                let is_forgotten = |id: &TransactionId| !store.committed.contains_key(id);
                let forgotten = transactions.into_iter().filter(is_forgotten).collect();
                self.tell(vec![Event::Recalled {
                    participant,
                    page,
                    forgotten,
                    remembers_from: None,
                }]);
            }
            Action::ReadDecision {
                transaction,
                position,
            } => {
                let at = usize::try_from(position).unwrap() - 1;
                let decision = match &self.log[at] {
                    Record::Decided(decision) => Some(decision.clone()),
                    _ => None,
                };
                self.tell(vec![Event::DecisionRead {
                    transaction,
                    decision,
                }]);
            }
            Action::Repair { .. } => self.broken = Some("nothing is redone that nobody ordered"),
            Action::Reply { request, reply } => self.replied(request, &reply),
            Action::Note(Note::Heuristic { .. }) => {
                self.broken = Some("no branch ends against the decision by itself");
            }
            Action::Halt { .. } => self.broken = Some("the newest log is never refused"),
            Action::Note(_)
            | Action::Enlist { .. }
            | Action::Forget { .. }
            | Action::ReplySettled { .. }
            | Action::ReplyRepaired { .. }
            | Action::Release { .. } => {}
        }
    }

    fn replied(&mut self, request: u64, reply: &Reply) {
        let number = u8::try_from(request).unwrap();
        let Some(at) = self.waiting.iter().position(|waiting| *waiting == number) else {
            self.broken = Some("every call is answered once");
            return;
        };
        self.waiting.remove(at);
        let records = self.log.iter();
        let pending = self.pending.iter().map(|(_, record)| record);
        let is_committed = |record: &Record| match record {
            Record::Decided(decision) => numbers(&decision.entries).iter().any(|e| e.1 == number),
            _ => false,
        };
        let holds = match reply {
            Reply::Committed { .. } | Reply::OutcomeCommitted { .. } => {
                records.clone().any(is_committed)
            }
            Reply::Refused { .. } | Reply::Unavailable { .. } => {
                !records.chain(pending).any(is_committed)
            }
            Reply::QueueFull { .. }
            | Reply::Crowded { .. }
            | Reply::ShuttingDown
            | Reply::OutcomeUnknown => true,
            Reply::Reused => false,
        };
        if !holds {
            self.broken = Some("a reply never contradicts the outcome");
        }
        if let Reply::Refused { refusal, .. } = reply
            && refusal.reason == Reason::Locked
        {
            self.come(number);
        }
        if let Reply::Committed {
            transaction,
            applied: true,
            ..
        } = reply
        {
            // A store that has lived on may have lost what it had acknowledged.
            let has_it =
                |store: &Store| store.life > 1 || store.committed.contains_key(transaction);
            if !self.stores.values().all(has_it) {
                self.broken = Some("applied is said when every store has it");
            }
        }
    }

    fn check_stores(&mut self) {
        for store in self.stores.values() {
            for (id, times) in &store.committed {
                let decided = self.decided(id);
                if times.len() != 1 {
                    self.broken = Some("a repeated commit deducts once");
                } else if decided.as_ref() != times.first() {
                    self.broken = Some("no commit without a stored decision");
                }
            }
            if store.units < 0 {
                self.broken = Some("stock never below zero");
            }
        }
        // What is carried out again is written again.
        let decisions: BTreeMap<_, _> = self
            .log
            .iter()
            .filter_map(|record| match record {
                Record::Decided(decision) => Some((&decision.transaction, &decision.entries)),
                _ => None,
            })
            .collect();
        let entries = decisions.into_values().flat_map(|entries| numbers(entries));
        let mut ids: Vec<u8> = entries.map(|entry| entry.1).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|two| two[0] == two[1]) {
            self.broken = Some("a purchase commits once");
        }
    }

    /// The entries of a stored decision.
    fn decided(&self, id: &TransactionId) -> Option<Entries> {
        self.log.iter().find_map(|record| match record {
            Record::Decided(decision) if decision.transaction == *id => {
                Some(numbers(&decision.entries))
            }
            _ => None,
        })
    }

    /// Nothing is under way.
    fn is_quiescent(&self) -> bool {
        self.core.is_some() && self.messages.is_empty() && self.pending.is_empty()
    }

    /// Whether something will still happen without a new trouble.
    fn is_moving(&self) -> bool {
        if !self.is_quiescent() || self.broken.is_some() {
            return true;
        }
        let mut swept = self.clone();
        swept.sweep();
        !swept.is_quiescent()
    }

    /// Everybody is answered, and both stores have exactly what was decided.
    fn has_ended(&self) -> bool {
        let is_done = |store: &Store| {
            let decided = self.log.iter().filter_map(|record| match record {
                Record::Decided(decision) => Some(&decision.transaction),
                _ => None,
            });
            let decided: BTreeSet<_> = decided.collect();
            store.prepared.is_empty() && decided.into_iter().eq(store.committed.keys())
        };
        self.waiting.is_empty()
            && self.core.as_ref().is_some_and(|core| core.is_quiet())
            && self.stores.values().all(is_done)
    }

    fn store(&mut self, which: Which) -> &mut Store {
        self.stores.get_mut(&which).unwrap()
    }

    fn put(&mut self, message: Message) {
        *self.messages.entry(message).or_insert(0) += 1;
    }

    fn take(&mut self, message: &Message) {
        if let Some(count) = self.messages.get_mut(message) {
            *count -= 1;
            if *count == 0 {
                self.messages.remove(message);
            }
        }
    }
}

fn found(which: Which, prepared: &[TransactionId]) -> Event {
    let branches = prepared.iter().map(|id| PreparedBranch {
        id: PreparedId::Transaction(id.clone()),
        prepare_time: None,
    });
    Event::FoundPrepared {
        participant: name(which.name()),
        branches: branches.collect(),
    }
}

fn purchase(number: u8) -> Arc<Purchase> {
    Arc::new(Purchase {
        purchase_id: number.to_string(),
        customer_id: "ann".into(),
        currency: "EUR".into(),
        items: vec![Item {
            sku: "tea".into(),
            quantity: 1,
            unit_price_minor: 100,
            ..Default::default()
        }],
        ..Default::default()
    })
}

fn numbers(entries: &[Entry]) -> Entries {
    let purchase = |entry: &Entry| entry.purchase.purchase_id.parse().unwrap();
    entries.iter().map(|e| (e.number, purchase(e))).collect()
}

fn submitted(number: u8) -> Event {
    Event::Submitted {
        request: number.into(),
        purchase: purchase(number),
        wait_for: WaitFor::Applied,
        deadline: Timestamp(1_000_000),
    }
}
