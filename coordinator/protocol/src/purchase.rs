//! What a client submits, and why a store may refuse it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, uint32};

/// A purchase as a client submits it. Its fields were checked at the edge; the limits are in
/// `purchase.proto`. The tags are those of an entry in the log.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Purchase {
    /// The idempotency key.
    #[prost(string, tag = "2")]
    pub purchase_id: String,
    #[prost(string, tag = "3")]
    pub customer_id: String,
    /// An ISO 4217 code in capitals.
    #[prost(string, tag = "4")]
    pub currency: String,
    /// 1 to 100 items.
    #[prost(message, repeated, tag = "5")]
    pub items: Vec<Item>,
    /// What else the order carries, by the names that the configuration declares. In the order of their
    /// names, so that equal contents have equal bytes.
    #[prost(btree_map = "string, string", tag = "6")]
    pub attributes: BTreeMap<String, String>,
}

impl Purchase {
    /// Sum of quantity times unit price over all items, in the currency's minor unit. 128 bits hold it for
    /// any list that memory holds.
    pub fn total_minor(&self) -> i128 {
        self.items.iter().map(Item::total_minor).sum()
    }

    /// The items of which there is stock to hold and to deduct.
    pub fn tracked(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| !item.untracked)
    }

    /// Whether versions that know of neither attributes, line ids, untracked items nor pools would read another
    /// purchase in it.
    pub(crate) fn carries_more(&self) -> bool {
        let more =
            |item: &Item| item.untracked || !item.line_id.is_empty() || !item.pool.is_empty();
        !self.attributes.is_empty() || self.items.iter().any(more)
    }
}

/// One line of a purchase.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Item {
    /// What is bought.
    #[prost(string, tag = "1")]
    pub sku: String,
    /// How many units, at least 1.
    #[prost(uint32, tag = "2")]
    pub quantity: u32,
    /// Price of one unit in the currency's minor unit; negative only for what is not tracked: a discount.
    #[prost(int64, tag = "3")]
    pub unit_price_minor: i64,
    /// Tells lines of one sku from each other; empty where the client gives none.
    #[prost(string, tag = "4")]
    pub line_id: String,
    /// Whether there is no stock of it: shipping, gift wrap, a discount.
    #[prost(bool, tag = "5")]
    pub untracked: bool,
    /// The pool, or warehouse, that it is taken from; empty where the client names none, which a store of
    /// stock has a name of its own for.
    #[prost(string, tag = "6")]
    pub pool: String,
}

impl Item {
    /// All that it says, in an order of its own.
    pub(crate) fn content(&self) -> (&str, u32, i64, &str, bool, &str) {
        let Item {
            sku,
            quantity,
            unit_price_minor,
            line_id,
            untracked,
            pool,
        } = self;
        let price = *unit_price_minor;
        (sku, *quantity, price, line_id, *untracked, pool)
    }

    /// The name of the stock that it is of, [`stock_name`].
    pub fn stock(&self) -> Cow<'_, str> {
        stock_name(&self.sku, &self.pool)
    }

    /// Quantity times unit price, in the currency's minor unit.
    pub fn total_minor(&self) -> i128 {
        i128::from(self.quantity) * i128::from(self.unit_price_minor)
    }
}

/// What a sku's stock is called: the sku or, in a pool that is named, `SKU{POOL}`. No sku has a brace in it, so
/// this is one too, of another stock, wherever units are told by sku: in totals, debts, and an audit's
/// questions. That no pool and a store's own are one stock only the store knows.
pub fn stock_name<'a>(sku: &'a str, pool: &str) -> Cow<'a, str> {
    match pool {
        "" => Cow::Borrowed(sku),
        _ => Cow::Owned(format!("{sku}{{{pool}}}")),
    }
}

/// The sku and the pool of a [`stock_name`]; the pool is empty where it names none.
pub fn sku_and_pool(stock: &str) -> (&str, &str) {
    let named = stock
        .strip_suffix('}')
        .and_then(|text| text.split_once('{'));
    named.unwrap_or((stock, ""))
}

/// A purchase as a part of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Entry {
    /// Its number within the transaction, from 0; fixed for the transaction's life.
    pub number: u32,
    pub purchase: Arc<Purchase>,
}

/// The tag of an entry's number; the others are the purchase's.
const NUMBER_TAG: u32 = 1;

/// As the log holds it: one message of the number and the purchase's fields.
impl Message for Entry {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if self.number != 0 {
            uint32::encode(NUMBER_TAG, &self.number, buf);
        }
        self.purchase.encode_raw(buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        if tag == NUMBER_TAG {
            return uint32::merge(wire_type, &mut self.number, buf, context);
        }
        Arc::make_mut(&mut self.purchase).merge_field(tag, wire_type, buf, context)
    }

    fn encoded_len(&self) -> usize {
        let number = match self.number {
            0 => 0,
            number => uint32::encoded_len(NUMBER_TAG, &number),
        };
        number + self.purchase.encoded_len()
    }

    fn clear(&mut self) {
        *self = Entry::default();
    }
}

/// Why a store refuses one purchase.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub reason: Reason,
    /// What the store said, for a person; at most 300 bytes.
    pub detail: String,
}

/// The kinds of refusal. Their names, on the wire and in the log, are the variants' in UPPER_SNAKE.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::AsRefStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// Fewer units are available (stock less what is held) than the purchase wants.
    InsufficientStock,
    /// The stock key does not exist.
    UnknownSku,
    /// The stock key holds something other than an integer.
    NotANumber,
    /// The purchase's unique key is already there, committed.
    DuplicatePurchase,
    /// A constraint or a rule of the app's schema refuses it.
    ConstraintViolated,
    /// Another session holds a row that it needs; the one reason that time alone may cure.
    Locked,
    /// The store can't take it as the store or the configuration is; a person mends that, and the
    /// purchase may be tried again.
    Misconfigured,
    /// A statement of the configuration's met fewer rows than it must: an unknown customer, a cart that is
    /// no longer open.
    NoSuchRow,
    /// A statement of the configuration's met more rows than it must.
    TooManyRows,
}

impl Reason {
    /// Whether the refusal is final for its purchase id, and so remembered in the log.
    ///
    /// `Locked` passes with time, and `Misconfigured` with the mending of it; rows that a statement looks
    /// for come and go. `DuplicatePurchase` says that the purchase *is* there from a time that the log has
    /// forgotten; the store itself remembers it. What is not final is in no log, so that an older version
    /// which does not know the reason can read what a newer one wrote.
    pub fn is_final(self) -> bool {
        match self {
            Reason::InsufficientStock
            | Reason::UnknownSku
            | Reason::NotANumber
            | Reason::ConstraintViolated => true,
            Reason::DuplicatePurchase
            | Reason::Locked
            | Reason::Misconfigured
            | Reason::NoSuchRow
            | Reason::TooManyRows => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_is_told_by_its_name() {
        for (sku, pool, name) in [("tea", "", "tea"), ("tea", "paris", "tea{paris}")] {
            assert_eq!(stock_name(sku, pool), name);
            assert_eq!(sku_and_pool(name), (sku, pool));
        }
        // What no store can have named so is a sku, however odd.
        for odd in ["", "{", "}", "tea}", "tea{paris", "te{a"] {
            assert_eq!(sku_and_pool(odd), (odd, ""));
        }
    }

    /// What is in logs already must stay readable.
    #[test]
    fn entry_is_one_message_of_its_number_and_its_purchase() {
        let entry = Entry {
            number: 3,
            purchase: Arc::new(Purchase {
                purchase_id: "p".into(),
                customer_id: "c".into(),
                currency: "EUR".into(),
                items: vec![Item {
                    sku: "s".into(),
                    quantity: 2,
                    unit_price_minor: 5,
                    ..Default::default()
                }],
                ..Default::default()
            }),
        };
        let bytes = b"\x08\x03\x12\x01p\x1a\x01c\x22\x03EUR\x2a\x07\x0a\x01s\x10\x02\x18\x05";
        assert_eq!(entry.encode_to_vec(), bytes);
        assert_eq!(entry.encoded_len(), bytes.len());
        assert_eq!(Entry::decode(bytes.as_slice()), Ok(entry));
    }
}
