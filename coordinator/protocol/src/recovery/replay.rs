//! From the log's records, in their order, to what is known.

use super::error::ReplayError;
use super::recovered::{Recovered, Unfinished};
use crate::history::History;
use crate::id::{CoordinatorId, Epoch, Position};
use crate::record::{Fingerprint, Record, fingerprint};

/// A record of the log, as the replay takes it in.
#[derive(Debug)]
pub struct LogRecord {
    position: Position,
    record: Record,
    /// Of the purchases that it commits, in their order.
    fingerprints: Vec<Fingerprint>,
}

impl LogRecord {
    /// Reads a record by itself: the costly half of a replay, and the one that can be done for
    /// many records at once.
    pub fn read(position: Position, bytes: &[u8]) -> Result<LogRecord, ReplayError> {
        let record =
            Record::decode(bytes).map_err(|source| ReplayError::Record { position, source })?;
        let fingerprints = if let Record::Decided(decision) = &record {
            let entries = decision.entries.iter();
            entries.map(|entry| fingerprint(&entry.purchase)).collect()
        } else {
            Vec::new()
        };
        Ok(LogRecord {
            position,
            record,
            fingerprints,
        })
    }
}

impl Recovered {
    /// Reads a log's records, in their order.
    pub fn replay<'a>(
        coordinator: &CoordinatorId,
        records: impl IntoIterator<Item = (Position, &'a [u8])>,
    ) -> Result<Recovered, ReplayError> {
        let read = |(position, bytes)| LogRecord::read(position, bytes);
        Recovered::replay_read(coordinator, records.into_iter().map(read))
    }

    /// Takes in a log's records, in their order, that were read before.
    pub fn replay_read(
        coordinator: &CoordinatorId,
        records: impl IntoIterator<Item = Result<LogRecord, ReplayError>>,
    ) -> Result<Recovered, ReplayError> {
        let mut recovered = Recovered {
            history: History::filling(),
            ..Recovered::default()
        };
        let mut unfinished = Unfinished::new();
        for record in records {
            let LogRecord {
                position,
                record,
                fingerprints,
            } = record?;
            if let Some(id) = record.transaction()
                && id.coordinator != *coordinator
            {
                return Err(ReplayError::OtherCoordinator {
                    position,
                    found: id.coordinator.clone(),
                    expected: coordinator.clone(),
                });
            }
            recovered.apply(&mut unfinished, position, record, fingerprints)?;
            if recovered.epoch == Some(Epoch(u64::MAX)) {
                return Err(ReplayError::NoEpochLeft { position });
            }
            recovered.next_position = position.saturating_add(1);
        }
        recovered.history.filled();
        recovered.unfinished = unfinished.into_values().collect();
        Ok(recovered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ParticipantName, TransactionId};
    use crate::record::Decision;
    use crate::time::Timestamp;

    #[test]
    fn log_after_which_no_epoch_can_begin_is_refused() {
        let coordinator: CoordinatorId = "shop".parse().expect("well formed");
        let replay = |epoch| {
            let record = Record::EpochStarted {
                epoch: Epoch(epoch),
                instance_id: "instance-1".into(),
                time: Timestamp(1),
            };
            Recovered::replay(&coordinator, [(7, record.encode().as_slice())])
        };
        let before = replay(u64::MAX - 1).expect("one epoch is left");
        assert_eq!(before.next_epoch(), Epoch(u64::MAX));
        let refused = replay(u64::MAX);
        assert!(matches!(
            refused,
            Err(ReplayError::NoEpochLeft { position: 7 })
        ));
    }

    #[test]
    fn what_is_begun_next_is_above_what_is_forgotten() {
        let before: TransactionId = "shop.2.2".parse().expect("well formed");
        let forgotten = Record::Forgotten {
            epoch: Epoch(1),
            before: before.clone(),
        };
        let bytes = forgotten.encode();
        let replayed = Recovered::replay(&before.coordinator, [(7, bytes.as_slice())]);
        assert_eq!(replayed.expect("well formed").next_epoch(), Epoch(3));
    }

    /// Retention releases a decision that was written again, and may leave what was said between.
    #[test]
    fn decision_after_what_was_left_of_an_earlier_one_is_read() {
        let transaction: TransactionId = "shop.1.1".parse().expect("well formed");
        let ledger: ParticipantName = "ledger".parse().expect("well formed");
        let heuristic = Record::Heuristic {
            transaction: transaction.clone(),
            participant: ledger.clone(),
            kind: crate::HeuristicKind::RolledBack,
            detail: "no marker row".into(),
            time: Timestamp(1),
        };
        let ended = Record::Ended {
            transaction: transaction.clone(),
            counted: true,
        };
        let again = Record::Decided(Decision {
            transaction: transaction.clone(),
            begin_time: Timestamp(1),
            decide_time: Timestamp(1),
            participants: vec![ledger],
            entries: Vec::new(),
            refused: Vec::new(),
            counts: true,
        });
        let refused = Record::Refused {
            transaction: transaction.clone(),
            time: Timestamp(1),
            refused: Vec::new(),
        };
        let replay = |records: &[&Record]| {
            let records: Vec<Vec<u8>> = records.iter().map(|record| record.encode()).collect();
            let numbered = (7..).zip(records.iter().map(Vec::as_slice));
            Recovered::replay(&transaction.coordinator, numbered)
        };
        let read = replay(&[&heuristic, &ended, &again]).expect("one decision, written twice");
        let unfinished: Vec<_> = read.unfinished().map(|view| view.state).collect();
        assert_eq!(unfinished, [crate::TransactionState::Committing]);
        // What says that there is no decision contradicts one all the same.
        assert!(matches!(
            replay(&[&heuristic, &refused, &ended, &again]),
            Err(ReplayError::Contradiction { position: 10, .. })
        ));
    }
}
