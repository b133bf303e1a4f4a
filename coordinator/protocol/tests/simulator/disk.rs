//! The decision log: records are durable once forced; a crash keeps any first part of the rest, and
//! may tear the record after it.

use tandem_protocol::{Epoch, Event, Position, Record, Ticket, TransactionId};

use crate::plan::{Planted, Shell};
use crate::rng::Rng;

#[derive(Clone)]
pub(crate) struct Disk {
    records: Vec<(Position, Vec<u8>)>,
    next_position: Position,
    pending: Vec<(Option<Ticket>, Vec<u8>)>,
    /// The length of the last record as it was meant, if less of it is there.
    torn: Option<usize>,
    planted: Planted,
}

impl Disk {
    pub(crate) fn new(planted: Planted) -> Disk {
        Disk {
            records: Vec::new(),
            next_position: 0,
            pending: Vec::new(),
            torn: None,
            planted,
        }
    }

    /// A copy of what is durable. What a copy caught of a force that failed afterwards is left out:
    /// nobody was told of it.
    pub(crate) fn copy(&self) -> Disk {
        Disk {
            pending: Vec::new(),
            ..self.clone()
        }
    }

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
    pub(crate) fn force(&mut self) -> (Vec<Event>, Vec<Record>) {
        let mut events = Vec::new();
        let mut durable = Vec::new();
        for (ticket, bytes) in std::mem::take(&mut self.pending) {
            self.next_position += 1;
            let position = self.next_position;
            events.extend(ticket.map(|ticket| Event::Stored { ticket, position }));
            let record = Record::decode(&bytes).expect("it was checked when it was appended");
            let is_dropped = match self.planted {
                Planted::Shell(Shell::ForceIsDropped) => matches!(record, Record::Decided(_)),
                Planted::Shell(Shell::TotalsAreDropped) => matches!(record, Record::Totals(_)),
                _ => false,
            };
            if is_dropped {
                continue;
            }
            durable.push(record);
            self.records.push((position, bytes));
        }
        (events, durable)
    }

    /// What was not forced is lost, but for a first part of it.
    pub(crate) fn crash(&mut self, rng: &mut Rng, tears: bool) -> Vec<Record> {
        let kept = usize::try_from(rng.within(0, self.pending.len() as u64)).expect("small");
        let lost = self.pending.split_off(kept);
        let (_, durable) = self.force();
        if let Some((_, mut bytes)) = lost.into_iter().next()
            && tears
        {
            self.torn = Some(bytes.len());
            bytes.truncate(usize::try_from(rng.within(0, bytes.len() as u64 - 1)).expect("small"));
            self.records.push((self.next_position + 1, bytes));
        }
        durable
    }

    /// Opens it after a crash. Gives whether a torn record was dropped.
    pub(crate) fn open(&mut self) -> bool {
        let torn = self.torn.take();
        if self.planted == Planted::Shell(Shell::TornRecordIsBelieved) {
            self.next_position += u64::from(torn.is_some());
            return false;
        }
        let length = self.records.last().map(|(_, bytes)| bytes.len());
        torn.is_some_and(|meant| length != Some(meant) && self.records.pop().is_some())
    }

    /// The epoch that a start on it begins.
    pub(crate) fn next_epoch(&self) -> Epoch {
        let records = self.records().map(|(_, bytes)| Record::decode(bytes));
        let last = records.filter_map(|record| match record {
            Ok(Record::EpochStarted { epoch, .. } | Record::Forgotten { epoch, .. }) => Some(epoch),
            Ok(record) => record.transaction().map(|id| id.epoch),
            Err(_) => None,
        });
        Epoch(last.max().map_or(0, |epoch| epoch.0) + 1)
    }

    pub(crate) fn release(&mut self, before: Position) {
        self.records.retain(|(position, _)| *position >= before);
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
