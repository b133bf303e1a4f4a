//! Names of what tandem keeps in Redis.

use tandem_protocol::{CoordinatorId, Epoch, ParticipantName, TransactionId};

use crate::place::StockPlace;

/// What the names of keys outside tandem's prefix begin with: whoever deletes tandem's own keys by their
/// prefix leaves them there, and whatever takes the stock away takes them too.
const WITNESS_PREFIX: &str = "witness:";

/// Transactions that one row of the witness has a character for.
const WITNESS_ROW: u64 = 64;

/// The epoch that a migration leaves in the keys of version 1: later than any, and exact as a double.
pub(crate) const NEVER: Epoch = Epoch((1 << 53) - 1);

/// The keys of one participant; what each holds is in `scripts/common.lua`.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
    participant: ParticipantName,
    place: Option<String>,
    /// Whether the witness and the counts are with the stock.
    counts: bool,
}

impl Keys {
    pub(crate) fn new(
        prefix: impl Into<String>,
        participant: ParticipantName,
        place: &StockPlace,
    ) -> Keys {
        Keys {
            prefix: prefix.into(),
            participant,
            place: match place {
                StockPlace::Keys(_) | StockPlace::Hashes { .. } => None,
                StockPlace::Hash { key, .. } => Some(key.clone()),
            },
            counts: place.counts(),
        }
    }

    /// What all keys of tandem's own begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn participant(&self) -> &ParticipantName {
        &self.participant
    }

    /// The stock hash, or nothing where there is not one for all.
    pub(crate) fn place(&self) -> &str {
        self.place.as_deref().unwrap_or_default()
    }

    /// The stock hash if the witness and the counts are fields of it.
    pub(crate) fn witness_place(&self) -> &str {
        if self.counts { self.place() } else { "" }
    }

    /// Whether what is deducted is counted.
    pub(crate) fn counts(&self) -> bool {
        self.counts
    }

    /// Whether a key is, or may become, one of tandem's own.
    pub(crate) fn are_reserved(&self, key: &str) -> bool {
        let key = key.strip_prefix(WITNESS_PREFIX).unwrap_or(key);
        key.starts_with(&self.prefix)
    }

    /// Whether a field of the app's hashes is, or may become, one of tandem's own.
    pub(crate) fn are_own_fields(&self, field: &str) -> bool {
        let rest = field.strip_prefix(WITNESS_PREFIX);
        rest.is_some_and(|rest| rest.starts_with(&self.prefix))
    }

    /// A coordinator's part of a key: `COORDINATOR:PARTICIPANT`.
    pub(crate) fn owner(&self, id: &CoordinatorId) -> String {
        format!("{id}:{}", self.participant)
    }

    fn of_owner(&self, kind: &str, id: &CoordinatorId) -> String {
        format!("{}{kind}:{id}:{}", self.prefix, self.participant)
    }

    pub(crate) fn coordinator(&self, id: &CoordinatorId) -> String {
        self.of_owner("coordinator", id)
    }

    /// Where a tandem before version 2 of the keys kept a coordinator.
    pub(crate) fn coordinator_before(&self, id: &CoordinatorId) -> String {
        format!("{}coordinator:{id}", self.prefix)
    }

    /// Where it kept what was committed.
    pub(crate) fn committed_before(&self, id: &CoordinatorId) -> String {
        format!("{}committed:{id}", self.prefix)
    }

    pub(crate) fn committed(&self, id: &CoordinatorId) -> String {
        self.of_owner("committed", id)
    }

    pub(crate) fn released(&self, id: &CoordinatorId) -> String {
        self.of_owner("released", id)
    }

    pub(crate) fn store(&self) -> String {
        format!("{}store", self.prefix)
    }

    pub(crate) fn busy(&self) -> String {
        format!("{}busy", self.prefix)
    }

    /// Says which version the keys have.
    pub(crate) fn version(&self) -> String {
        format!("{}life", self.prefix)
    }

    pub(crate) fn prepared(&self) -> String {
        format!("{}prepared", self.prefix)
    }

    pub(crate) fn holds(&self, branch: &str) -> String {
        format!("{}tx:{branch}", self.prefix)
    }

    /// What the names of all branches' holds begin with.
    pub(crate) fn holds_prefix(&self) -> String {
        format!("{}tx:", self.prefix)
    }

    fn of_place(&self, kind: &str) -> String {
        match &self.place {
            None => format!("{}{kind}", self.prefix),
            Some(place) => format!("{}{kind}:{place}", self.prefix),
        }
    }

    pub(crate) fn held(&self) -> String {
        self.of_place("held")
    }

    pub(crate) fn debt(&self) -> String {
        self.of_place("debt")
    }

    /// The key, or the field of the stock's hash, that counts what was deducted of a stock (its key or field)
    /// for a coordinator in all.
    pub(crate) fn count(&self, id: &CoordinatorId, stock: &str) -> String {
        let Keys {
            prefix,
            participant,
            ..
        } = self;
        format!("{WITNESS_PREFIX}{prefix}{id}:{participant}:of:{stock}")
    }

    /// The key, or the field of a hash, that tells how many parts of a transaction's deduction are written there,
    /// while they are not all (`common.lua`).
    pub(crate) fn part(&self, transaction: &TransactionId) -> String {
        let owner = self.owner(&transaction.coordinator);
        let member = member(transaction);
        format!("{WITNESS_PREFIX}{}{owner}:part:{member}", self.prefix)
    }

    /// Scratch keys: four under the prefix, and one beside the witness.
    pub(crate) fn scratch(&self) -> [String; 5] {
        let own = |kind: &str| format!("{}trial:{kind}", self.prefix);
        let beside = format!("{WITNESS_PREFIX}{}", own("string"));
        [own("string"), own("hash"), own("zset"), own("set"), beside]
    }

    /// The key, or the field of the stock hash, of the row in which a transaction's witness is, and which
    /// of its characters, from 1 on.
    pub(crate) fn witness(&self, transaction: &TransactionId) -> (String, u64) {
        let (row, place) = witness_row(transaction);
        let owner = self.owner(&transaction.coordinator);
        (
            format!("{WITNESS_PREFIX}{}{owner}:{row}", self.prefix),
            place,
        )
    }

    /// The name of a transaction's branch here: `TRANSACTION/PARTICIPANT`.
    pub(crate) fn branch(&self, transaction: &TransactionId) -> String {
        format!("{transaction}/{}", self.participant)
    }

    /// The transaction of a [`Self::branch`]; the error is whether it is of another participant.
    pub(crate) fn transaction_of_branch(&self, branch: &str) -> Result<TransactionId, bool> {
        let (transaction, participant) = branch.split_once('/').ok_or(false)?;
        let transaction = transaction.parse().map_err(|_| false)?;
        match participant == self.participant.as_str() {
            true => Ok(transaction),
            false => Err(true),
        }
    }

    /// `KEYS` 1 to 12 of `scripts/common.lua`.
    pub(crate) fn of_branch(&self, transaction: &TransactionId) -> [String; 12] {
        let id = &transaction.coordinator;
        [
            self.store(),
            self.busy(),
            self.coordinator(id),
            self.committed(id),
            self.released(id),
            self.of_owner("answers", id),
            self.of_owner("excepted", id),
            self.held(),
            self.debt(),
            self.prepared(),
            self.holds(&self.branch(transaction)),
            match self.witness_place() {
                "" => self.witness(transaction).0,
                place => place.to_owned(),
            },
        ]
    }
}

/// Which row of the witness a transaction is in, and at which of its characters, from 1 on. The scripts
/// find those that they are not told by themselves.
fn witness_row(transaction: &TransactionId) -> (String, u64) {
    let TransactionId {
        epoch, sequence, ..
    } = transaction;
    (
        format!("{epoch}.{}", sequence / WITNESS_ROW),
        sequence % WITNESS_ROW + 1,
    )
}

/// A transaction's name within its coordinator, such as `a3.d1042` for epoch 3 and sequence 1042: a letter
/// before each number says how many digits it has, so that names of any epoch and sequence sort as the
/// transactions do.
pub(crate) fn member(transaction: &TransactionId) -> String {
    let TransactionId {
        epoch, sequence, ..
    } = transaction;
    let (epoch, sequence) = (epoch.to_string(), sequence.to_string());
    format!("{}{epoch}.{}{sequence}", letter(&epoch), letter(&sequence))
}

fn letter(number: &str) -> char {
    // At most 20 digits.
    char::from(b'a' + u8::try_from(number.len() - 1).unwrap_or(u8::MAX - b'a'))
}

/// The transaction of a [`member`].
pub(crate) fn transaction_of(coordinator: &CoordinatorId, member: &str) -> Option<TransactionId> {
    let (epoch, sequence) = member.split_once('.')?;
    let number = |text: &str| -> Option<u64> { text.get(1..)?.parse().ok() };
    Some(TransactionId {
        coordinator: coordinator.clone(),
        epoch: Epoch(number(epoch)?),
        sequence: number(sequence)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn transaction(text: &str) -> TransactionId {
        text.parse().unwrap()
    }

    #[test]
    fn members_sort_as_their_transactions_do_whatever_their_size() {
        let ids = [
            "shop.1.0",
            "shop.1.9",
            "shop.1.10",
            "shop.1.4294967296",
            "shop.2.1",
            "shop.10.1",
            "shop.2097152.1",
            "shop.2097152.18446744073709551615",
            "shop.18446744073709551615.1",
        ];
        let members: Vec<String> = ids.iter().map(|id| member(&transaction(id))).collect();
        assert!(members.is_sorted(), "{members:?}");
        assert_eq!(members[2], "a1.b10");
    }

    #[test]
    fn members_find_their_transaction() {
        for text in ["shop.3.1042", "shop.18446744073709551615.0"] {
            let transaction = transaction(text);
            let found = transaction_of(&transaction.coordinator, &member(&transaction));
            assert_eq!(found, Some(transaction));
        }
        for bad in ["", ".", "a.a", "3.1042", "a3", "é.é"] {
            let found = transaction_of(&"shop".parse().unwrap(), bad);
            assert!(found.is_none_or(|id| id.epoch.0 != 3), "{bad}");
        }
    }

    #[test]
    fn a_branch_is_its_participants_alone() {
        let keys = |name: &str| {
            let place = StockPlace::Hash {
                key: "stock".into(),
                field: crate::place::Pattern::default(),
                counts: true,
            };
            Keys::new("tandem:", name.parse().unwrap(), &place)
        };
        let id = transaction("shop.3.1042");
        let branch = keys("stock").branch(&id);
        assert_eq!(keys("stock").transaction_of_branch(&branch), Ok(id));
        assert_eq!(keys("quota").transaction_of_branch(&branch), Err(true));
        assert_eq!(keys("stock").transaction_of_branch("oops"), Err(false));
    }
}
