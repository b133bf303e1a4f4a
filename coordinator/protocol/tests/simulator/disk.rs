//! The decision log: records are durable once forced, a crash keeps any first part of the rest.

use tandem_protocol::{Event, Position, Record, Ticket, TransactionId};

use crate::rng::Rng;
use crate::world::Fault;

#[derive(Clone, Default)]
pub(crate) struct Disk {
    records: Vec<(Position, Vec<u8>)>,
    next_position: Position,
    pending: Vec<(Option<Ticket>, Vec<u8>)>,
    /// What the core has let go of, ever: for the trace.
    pub(crate) released: u64,
}

impl Disk {
    pub(crate) fn append(&mut self, ticket: Option<Ticket>, record: &Record) {
        let bytes = record.encode();
        assert_eq!(
            Record::decode(&bytes).as_ref(),
            Ok(record),
            "a record is read as it was written"
        );
        self.pending.push((ticket, bytes));
    }

    /// Forces everything that was appended; gives what the core hears of it, and what is durable
    /// now.
    pub(crate) fn force(&mut self, fault: Fault) -> (Vec<Event>, Vec<Record>) {
        let mut events = Vec::new();
        let mut durable = Vec::new();
        for (ticket, bytes) in std::mem::take(&mut self.pending) {
            self.next_position += 1;
            let position = self.next_position;
            events.extend(ticket.map(|ticket| Event::Stored { ticket, position }));
            let record = Record::decode(&bytes).expect("it was checked when it was appended");
            if fault == Fault::ForceIsDropped && matches!(record, Record::Decided(_)) {
                continue;
            }
            durable.push(record);
            self.records.push((position, bytes));
        }
        (events, durable)
    }

    /// What was not forced is lost, but for a first part of it.
    pub(crate) fn crash(&mut self, rng: &mut Rng, fault: Fault) -> Vec<Record> {
        let kept = usize::try_from(rng.within(0, self.pending.len() as u64)).expect("small");
        self.pending.truncate(kept);
        let (_, durable) = self.force(fault);
        durable
    }

    pub(crate) fn release(&mut self, before: Position, fault: Fault) {
        let before = if fault == Fault::ReleaseGoesTooFar {
            self.next_position
        } else {
            before
        };
        let held = self.records.len();
        self.records.retain(|(position, _)| *position >= before);
        self.released += (held - self.records.len()) as u64;
    }

    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = (Position, &[u8])> + Clone {
        self.records
            .iter()
            .map(|(position, bytes)| (*position, bytes.as_slice()))
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the log says something about a transaction, or has forgotten it.
    pub(crate) fn explains(&self, id: &TransactionId) -> bool {
        self.records()
            .any(|(_, bytes)| match Record::decode(bytes) {
                Ok(Record::Forgotten { before, .. }) => *id < before,
                Ok(record) => record.transaction() == Some(id),
                Err(_) => false,
            })
    }
}
