//! What a person must do at the server when no coordinator can.

use std::collections::BTreeMap;

use tandem_protocol::{CoordinatorId, Entry, ParticipantName, TransactionId};

use crate::keys::{Keys, member};
use crate::place::{Location, Pattern, StockPlace};
use crate::settings::{DEFAULT_KEY, Settings, default_key_prefix};

/// How to carry out a commit decision with a client of the server: text for a person, with each command
/// between backticks. Without settings it is written for stock in keys of its own, `stock:SKU`, and for
/// the default prefix.
pub fn commit_by_hand(
    settings: Option<&Settings>,
    transaction: &TransactionId,
    participant: &ParticipantName,
    entries: &[Entry],
) -> String {
    let place = Hand::of(settings, participant).place;
    let mut units: BTreeMap<String, u64> = BTreeMap::new();
    for item in entries.iter().flat_map(|entry| entry.purchase.tracked()) {
        *units
            .entry(place.name_of(&item.sku, &item.pool))
            .or_default() += u64::from(item.quantity);
    }
    commit_units_by_hand(settings, transaction, participant, &units)
}

/// How to deduct `units` of each stock for a transaction, with what the store remembers of that and, if they are
/// held for it, their release: text as of [`commit_by_hand`].
pub fn commit_units_by_hand(
    settings: Option<&Settings>,
    transaction: &TransactionId,
    participant: &ParticipantName,
    units: &BTreeMap<String, u64>,
) -> String {
    let hand = Hand::of(settings, participant);
    let (coordinator, member) = (&transaction.coordinator, member(transaction));
    let mut commands = Vec::new();
    for (stock, units) in units {
        commands.extend(hand.deduct(coordinator, stock, *units));
    }
    let (committed, released) = (
        hand.keys.committed(coordinator),
        hand.keys.released(coordinator),
    );
    commands.push(format!("`ZADD {committed} 0 {member}`"));
    commands.push(format!("`ZREM {released} {member}`"));
    let (row, place) = hand.witness(transaction);
    let branch = hand.keys.branch(transaction);
    let marked = match &hand.place {
        // No command on a hash that is not known yet.
        StockPlace::Hashes { .. } => format!(
            " (a hash among them that has the field {} is done already: leave it out, and take the field away)",
            hand.keys.part(transaction)
        ),
        StockPlace::Keys(_) | StockPlace::Hash { .. } => String::new(),
    };
    format!(
        "it is done where `ZSCORE {committed} {member}` gives a number, or where character {place} of {row} \
         is 1. If neither: in one MULTI and EXEC, {}{marked}. Then, if `ZSCORE {} {branch}` gives a number, {}",
        commands.join(", "),
        hand.keys.prepared(),
        hand.release(&branch),
    )
}

/// How to take back what somebody has committed against a decision: text for a person, with each
/// command between backticks. It is written for the default prefix.
pub fn take_back_by_hand(transaction: &TransactionId, participant: &ParticipantName) -> String {
    let hand = Hand::of(None, participant);
    let (row, place) = hand.keys.witness(transaction);
    let (coordinator, member) = (&transaction.coordinator, member(transaction));
    let count = hand.keys.count(coordinator, "");
    format!(
        "give the UNITS of each SKU that were deducted for it back to the stock, `INCRBY stock:SKU UNITS` \
         (what is still held for it comes back by itself). If character {place} of `GET {row}` is 1, \
         tandem's own script has deducted them: `tandem audit` says how many of which sku under \
         DEDUCTED_DIFFERS (a sku that this coordinator had never sold is not there: all of its count is \
         this); take them off tandem's count too, `DECRBY {count}stock:SKU UNITS`, and clear \
         that character, `SETRANGE {row} {} 0`. With a stock hash HASH the three are `HINCRBY HASH SKU \
         UNITS`, `HINCRBY HASH {count}SKU -UNITS`, and `HSET HASH {row} TEXT` with the text of `HGET HASH \
         {row}` in which that character is 0. With the field FIELD of a product's hash HASH the first two are \
         `HINCRBY HASH FIELD UNITS` and `HINCRBY HASH {count}FIELD -UNITS`. Last remove tandem's memory of it, `ZREM {} {member}`",
        place - 1,
        hand.keys.committed(coordinator),
    )
}

/// How to end a hold of which no log can say any more whether it was decided: text for a person, with each
/// command between backticks. It is written for the default prefix.
pub fn end_by_hand(transaction: &TransactionId, participant: &ParticipantName) -> String {
    let hand = Hand::of(None, participant);
    let branch = hand.keys.branch(transaction);
    let holds = hand.keys.holds(&branch);
    let count = hand.keys.count(&transaction.coordinator, "");
    format!(
        "What it holds is in `HGET {holds} held`: STOCK and UNITS; a stock hash is in `HGET {holds} \
         place`. To \
         commit it: in one MULTI and EXEC, of each, `DECRBY STOCK UNITS` and `INCRBY {count}STOCK UNITS` \
         (with a stock hash HASH `HINCRBY HASH STOCK -UNITS` and `HINCRBY HASH {count}STOCK UNITS`; a STOCK \
         like HASH#FIELD is a field of a product's hash, `HINCRBY HASH FIELD -UNITS` and `HINCRBY HASH \
         {count}FIELD UNITS`); then \
         release it. To release it: {}",
        hand.release(&branch)
    )
}

/// How to give back what is held for a transaction, as text for a person with each command between
/// backticks. Without settings it is written for the default prefix.
pub fn release_by_hand(
    settings: Option<&Settings>,
    transaction: &TransactionId,
    participant: &ParticipantName,
) -> String {
    let hand = Hand::of(settings, participant);
    hand.release(&hand.keys.branch(transaction))
}

/// How to ask the store how much it has deducted of a sku for a coordinator, as text for a person with
/// each command between backticks. It is written for the default prefix.
pub fn count_by_hand(coordinator: &CoordinatorId, participant: &ParticipantName) -> String {
    let keys = Hand::of(None, participant).keys;
    let count = keys.count(coordinator, "");
    format!(
        "`GET {count}stock:SKU` (with a stock hash HASH `HGET HASH {count}SKU`, with the field FIELD of a \
         product's hash HASH `HGET HASH {count}FIELD`)"
    )
}

/// How to ask the store what it knows of a coordinator: the newest epoch and the newest commit that it
/// has seen. Text for a person, with each command between backticks, for the default prefix.
pub fn newest_by_hand(coordinator: &CoordinatorId, participant: &ParticipantName) -> String {
    let keys = Hand::of(None, participant).keys;
    format!(
        "`HGET {} epoch` (its epoch), `ZRANGE {} -1 -1` (its newest commit, where `a3.d1042` is \
         {coordinator}.3.1042)",
        keys.coordinator(coordinator),
        keys.committed(coordinator),
    )
}

/// Names of keys, and commands on them, as a person types them.
struct Hand {
    keys: Keys,
    place: StockPlace,
    /// Nobody knows whether the stock is in keys or in a hash.
    is_guess: bool,
}

impl Hand {
    /// Settings that don't hold together have been refused where they were read.
    fn of(settings: Option<&Settings>, participant: &ParticipantName) -> Hand {
        let place = settings.and_then(|settings| settings.stock_place().ok());
        let place = place.unwrap_or_else(|| StockPlace::Keys(Pattern::parse(DEFAULT_KEY, None)));
        let prefix = settings.map_or_else(default_key_prefix, |all| all.key_prefix.clone());
        Hand {
            keys: Keys::new(prefix, participant.clone(), &place),
            place,
            is_guess: settings.is_none(),
        }
    }

    /// Lowers a stock and, if that is counted, raises what was deducted of it in all.
    fn deduct(&self, coordinator: &CoordinatorId, stock: &str, units: u64) -> Vec<String> {
        let (change, count) = match self.place.locate(stock) {
            Location::Key(key) => {
                let count = self.keys.count(coordinator, key);
                (
                    format!("`DECRBY {key} {units}`"),
                    format!("`INCRBY {count} {units}`"),
                )
            }
            Location::Field { hash, field } => {
                let count = self.keys.count(coordinator, field);
                (
                    format!("`HINCRBY {hash} {field} -{units}`"),
                    format!("`HINCRBY {hash} {count} {units}`"),
                )
            }
        };
        let mut commands = vec![change];
        commands.extend(self.keys.counts().then_some(count));
        commands
    }

    /// What shows the row of a transaction's witness, and which of its characters is meant.
    fn witness(&self, transaction: &TransactionId) -> (String, u64) {
        let (row, place) = self.keys.witness(transaction);
        match self.keys.witness_place() {
            "" => (format!("`GET {row}`"), place),
            hash => (format!("`HGET {hash} {row}`"), place),
        }
    }

    /// Gives back what a branch holds.
    fn release(&self, branch: &str) -> String {
        let Hand { keys, .. } = self;
        let (holds, held) = (keys.holds(branch), keys.held());
        let with_a_hash = match self.is_guess {
            true => format!("; with a stock hash HASH in {held}:HASH"),
            false => String::new(),
        };
        format!(
            "give back what is held for it: of each STOCK and its UNITS in `HGET {holds} held`, `HINCRBY {held} \
             STOCK -UNITS` (where that gives 0 `HDEL {held} STOCK`{with_a_hash}), then `ZREM {} {branch}` and \
             `DEL {holds}`",
            keys.prepared(),
        )
    }
}
