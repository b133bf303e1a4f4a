//! What a store remembers, read page by page alongside the log.

use std::collections::VecDeque;

use tandem_participant::audit_question::{MemoryPage, Remembered};
use tandem_protocol::TransactionId;

/// How far one store's memory has been read.
#[derive(Debug)]
pub(super) struct MemoryReader {
    read: VecDeque<Remembered>,
    /// Behind which the next page begins.
    after: Option<TransactionId>,
    is_at_end: bool,
}

impl MemoryReader {
    /// Begins behind a transaction.
    pub(super) fn new(after: Option<TransactionId>) -> MemoryReader {
        MemoryReader {
            read: VecDeque::new(),
            after,
            is_at_end: false,
        }
    }

    /// Behind which transaction the next page is to be asked for, if one is needed to know
    /// everything through `last`; `None` for `last` is everything.
    pub(super) fn needs(&self, last: Option<&TransactionId>) -> Option<Option<TransactionId>> {
        let reaches = match (last, self.read.back()) {
            (Some(last), Some(read)) => read.transaction >= *last,
            _ => false,
        };
        (!self.is_at_end && !reaches).then(|| self.after.clone())
    }

    pub(super) fn add(&mut self, page: MemoryPage) {
        self.is_at_end = page.next.is_none();
        self.after = page.next;
        self.read.extend(page.transactions);
    }

    /// Takes everything through `last`.
    pub(super) fn take(&mut self, last: Option<&TransactionId>) -> Vec<Remembered> {
        let end = match last {
            Some(last) => self.read.partition_point(|one| one.transaction <= *last),
            None => self.read.len(),
        };
        self.read.drain(..end).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(sequence: u64) -> TransactionId {
        format!("shop.1.{sequence}").parse().unwrap()
    }

    fn page(sequences: &[u64], next: Option<u64>) -> MemoryPage {
        MemoryPage {
            transactions: sequences
                .iter()
                .map(|sequence| Remembered {
                    transaction: id(*sequence),
                    committed: true,
                })
                .collect(),
            next: next.map(id),
        }
    }

    #[test]
    fn pages_are_asked_for_only_as_far_as_the_log_was_read() {
        let mut reader = MemoryReader::new(Some(id(3)));
        assert_eq!(reader.needs(Some(&id(6))), Some(Some(id(3))));
        reader.add(page(&[4, 5], Some(5)));
        assert_eq!(reader.needs(Some(&id(5))), None);
        assert_eq!(reader.needs(Some(&id(6))), Some(Some(id(5))));
        reader.add(page(&[7], None));
        assert_eq!(reader.needs(Some(&id(6))), None);
        assert_eq!(reader.take(Some(&id(6))).len(), 2);
        assert_eq!(reader.needs(None), None);
        assert_eq!(reader.take(None).len(), 1);
    }
}
