//! Names and numbers of what tandem keeps in Redis.

use tandem_participant::Error;
use tandem_protocol::{CoordinatorId, Epoch, TransactionId};

/// Epochs and sequences share the 53 bits that a sorted set's score, a double, holds exactly.
const SEQUENCE_BITS: u32 = 32;
const EPOCH_MAX: u64 = (1 << (53 - SEQUENCE_BITS)) - 1;
const SEQUENCE_MAX: u64 = (1 << SEQUENCE_BITS) - 1;

/// What the witness's key has before tandem's prefix.
const WITNESS_PREFIX: &str = "witness:";

/// The keys of tandem's own; what each holds is in `scripts/common.lua`.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: impl Into<String>) -> Keys {
        Keys {
            prefix: prefix.into(),
        }
    }

    /// Whether a key is, or may become, one of tandem's own.
    pub(crate) fn are_reserved(&self, key: &str) -> bool {
        let key = key.strip_prefix(WITNESS_PREFIX).unwrap_or(key);
        key.starts_with(&self.prefix)
    }

    pub(crate) fn coordinator(&self, id: &CoordinatorId) -> String {
        format!("{}coordinator:{id}", self.prefix)
    }

    pub(crate) fn committed(&self, id: &CoordinatorId) -> String {
        format!("{}committed:{id}", self.prefix)
    }

    pub(crate) fn prepared(&self) -> String {
        format!("{}prepared", self.prefix)
    }

    pub(crate) fn holds(&self, transaction: &TransactionId) -> String {
        format!("{}tx:{transaction}", self.prefix)
    }

    /// What the names of all transactions' holds begin with.
    pub(crate) fn holds_prefix(&self) -> String {
        format!("{}tx:", self.prefix)
    }

    pub(crate) fn held(&self) -> String {
        format!("{}held", self.prefix)
    }

    pub(crate) fn released(&self, id: &CoordinatorId) -> String {
        format!("{}released:{id}", self.prefix)
    }

    pub(crate) fn debt(&self) -> String {
        format!("{}debt", self.prefix)
    }

    /// Not under the prefix: whoever deletes tandem's own keys by their prefix leaves it there, and
    /// whatever takes the stock away takes it too.
    pub(crate) fn witness(&self, id: &CoordinatorId) -> String {
        format!("{WITNESS_PREFIX}{}{id}", self.prefix)
    }

    pub(crate) fn life(&self) -> String {
        format!("{}life", self.prefix)
    }

    /// `KEYS` 1 to 11 of `scripts/common.lua`.
    pub(crate) fn of_transaction(&self, transaction: &TransactionId) -> [String; 11] {
        let Keys { prefix } = self;
        let coordinator = &transaction.coordinator;
        [
            self.coordinator(coordinator),
            self.committed(coordinator),
            self.released(coordinator),
            format!("{prefix}answers:{coordinator}"),
            format!("{prefix}excepted:{coordinator}"),
            self.held(),
            self.prepared(),
            self.holds(transaction),
            self.debt(),
            self.witness(coordinator),
            self.life(),
        ]
    }
}

/// `EPOCH.SEQUENCE`, a transaction's name within its coordinator.
pub(crate) fn member(transaction: &TransactionId) -> String {
    format!("{}.{}", transaction.epoch, transaction.sequence)
}

/// Where the witness has a transaction: the field, and which of its characters, from 1 on. The scripts
/// find it by themselves.
pub(crate) fn witness(transaction: &TransactionId) -> (String, u64) {
    let TransactionId {
        epoch, sequence, ..
    } = transaction;
    (format!("{epoch}.{}", sequence / 64), sequence % 64 + 1)
}

/// The transaction of a [`member`].
pub(crate) fn transaction_of(coordinator: &CoordinatorId, member: &str) -> Option<TransactionId> {
    format!("{coordinator}.{member}").parse().ok()
}

/// The transaction with an [`order`]: the first at or after it.
pub(crate) fn transaction_at(coordinator: &CoordinatorId, order: u64) -> TransactionId {
    TransactionId {
        coordinator: coordinator.clone(),
        epoch: Epoch(order >> SEQUENCE_BITS),
        sequence: order & SEQUENCE_MAX,
    }
}

/// The place of a transaction among its coordinator's, as the score of a sorted set.
pub(crate) fn order(transaction: &TransactionId) -> Result<u64, Error> {
    check_epoch(transaction.epoch)?;
    if transaction.sequence > SEQUENCE_MAX {
        return Err(Error::Invalid {
            detail: format!(
                "transaction {transaction}: this participant orders sequences up to \
                 {SEQUENCE_MAX}; restart the coordinator, which begins a new epoch"
            ),
        });
    }
    Ok(transaction.epoch.0 << SEQUENCE_BITS | transaction.sequence)
}

/// An epoch that fits an [`order`].
pub(crate) fn check_epoch(epoch: Epoch) -> Result<(), Error> {
    if epoch.0 > EPOCH_MAX {
        return Err(Error::Invalid {
            detail: format!(
                "epoch {epoch}: this participant orders epochs up to {EPOCH_MAX}; give the \
                 coordinator a new id and a new log once nothing is in doubt"
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn order_is_epoch_then_sequence_and_exact_as_a_double() {
        let of = |text: &str| order(&text.parse().unwrap()).unwrap();
        assert!(of("shop.1.4294967295") < of("shop.2.0"));
        let last = of("shop.2097151.4294967295");
        assert_eq!(last, (1 << 53) - 1);
        assert_ne!(last as f64, (last - 1) as f64);
    }

    #[test]
    fn order_leads_back_to_its_transaction() {
        let transaction: TransactionId = "shop.3.1042".parse().unwrap();
        let order = order(&transaction).unwrap();
        assert_eq!(transaction_at(&transaction.coordinator, order), transaction);
    }

    #[test]
    fn order_beyond_its_bits_is_refused() {
        for beyond in ["shop.1.4294967296", "shop.2097152.1"] {
            let error = order(&beyond.parse().unwrap()).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
        }
    }

    #[test]
    fn members_find_their_transaction() {
        let transaction: TransactionId = "shop.3.1042".parse().unwrap();
        let found = transaction_of(&transaction.coordinator, &member(&transaction));
        assert_eq!(found, Some(transaction));
    }
}
