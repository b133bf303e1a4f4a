//! Identities: coordinators, epochs, transactions, participants, branches; calls and records.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest coordinator id, in bytes. With two 20-digit numbers and two dots a transaction's id
/// then stays within the 64 bytes of an XA gtrid (MySQL manual, "XA Transaction SQL Statements").
pub(crate) const COORDINATOR_ID_BYTES_MAX: usize = 20;

/// Longest participant name, in bytes; it is the bqual of an XA branch, at most 64 bytes.
pub(crate) const PARTICIPANT_NAME_BYTES_MAX: usize = 32;

/// A client's call that waits for a reply; chosen by the shell, unique within a process.
pub type RequestId = u64;

/// Names a record that is on its way to the log; unique within a process.
pub type Ticket = u64;

/// A record's gap-free number in the log.
pub type Position = u64;

/// An identity that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a coordinator id.
    #[error("coordinator id {0:?} must be 1 to 20 characters of a-z 0-9 -")]
    Coordinator(String),
    /// Not a participant name.
    #[error("participant name {0:?} must be 1 to 32 characters of a-z 0-9 -")]
    Participant(String),
    /// Not a transaction id.
    #[error("transaction id {0:?} must be COORDINATOR.EPOCH.SEQUENCE, as in shop.3.1042")]
    Transaction(String),
}

/// Name of a coordinator, unique among those that share a store: 1 to 20 of `a-z 0-9 -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoordinatorId(Arc<str>);

impl CoordinatorId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CoordinatorId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_label(text, COORDINATOR_ID_BYTES_MAX) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Coordinator(text.into()))
        }
    }
}

impl fmt::Display for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a participant in a coordinator's configuration: 1 to 32 of `a-z 0-9 -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantName(Arc<str>);

impl ParticipantName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParticipantName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_label(text, PARTICIPANT_NAME_BYTES_MAX) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Participant(text.into()))
        }
    }
}

impl fmt::Display for ParticipantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ParticipantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Grows by one, durably, at each start of a coordinator. The first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of a transaction: `COORDINATOR.EPOCH.SEQUENCE`, for example `shop.3.1042`.
///
/// The text is at most 62 bytes and is the same everywhere: on the wire, in the log, as the gtrid
/// in `XA RECOVER` and in Redis. Within a coordinator transactions are ordered by epoch, then
/// sequence.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId {
    /// The coordinator that began it.
    pub coordinator: CoordinatorId,
    /// The coordinator's epoch when it began.
    pub epoch: Epoch,
    /// Its number within the epoch, from 1.
    pub sequence: u64,
}

/// Identity of a branch: a transaction's part at one participant. Ordered by transaction first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId {
    /// Of which transaction.
    pub transaction: TransactionId,
    pub participant: ParticipantName,
}

impl TransactionId {
    /// The transaction's branch at a participant.
    pub fn at(&self, participant: &ParticipantName) -> BranchId {
        BranchId {
            transaction: self.clone(),
            participant: participant.clone(),
        }
    }
}

impl fmt::Display for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.transaction, self.participant)
    }
}

impl FromStr for TransactionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let mut parts = text.split('.');
            let coordinator = parts.next()?.parse().ok()?;
            let epoch = Epoch(number(parts.next()?)?);
            let sequence = number(parts.next()?)?;
            parts.next().is_none().then_some(Self {
                coordinator,
                epoch,
                sequence,
            })
        };
        parse().ok_or_else(|| IdError::Transaction(text.into()))
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.coordinator, self.epoch, self.sequence)
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_label(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A decimal number in its one canonical form: no sign, no leading zero, so that an id has one text.
fn number(text: &str) -> Option<u64> {
    let canonical =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_id_has_one_text() {
        let id: TransactionId = "shop.3.1042".parse().expect("well formed");
        assert_eq!(id.epoch, Epoch(3));
        assert_eq!(id.to_string(), "shop.3.1042");
        for bad in [
            "shop.3",
            "shop.03.1",
            "shop.3.+1",
            "Shop.3.1",
            "shop.3.1.1",
            "..",
            "",
        ] {
            assert!(bad.parse::<TransactionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn longest_transaction_id_fits_a_gtrid() {
        let id = format!("{}.{}.{}", "a".repeat(20), u64::MAX, u64::MAX);
        let id: TransactionId = id.parse().expect("well formed");
        assert!(id.to_string().len() <= 64);
    }
}
