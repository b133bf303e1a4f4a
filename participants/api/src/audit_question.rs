//! What an audit asks of a store. Every answer is bounded, so that a store with millions of rows is
//! read a page at a time and nobody waits for it.

use std::collections::BTreeMap;

use tandem_protocol::{CoordinatorId, Timestamp, TransactionId};

/// A question of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditQuestion {
    /// What the store remembers of a coordinator's transactions, in their order.
    Memory {
        /// Whose.
        coordinator: CoordinatorId,
        /// Begin behind this one.
        after: Option<TransactionId>,
    },
    /// The rows of these purchases, at most [`AuditQuestion::PURCHASES_MAX`].
    Purchases {
        /// Which.
        purchase_ids: Vec<String>,
    },
    /// The rows that name a transaction and came into being within a time, by their purchase ids.
    Rows {
        /// The first moment.
        since: Timestamp,
        /// The last.
        until: Timestamp,
        /// Begin behind this one; empty for the first.
        after: String,
    },
    /// What is held and owed, seen at one moment.
    Holdings,
    /// How much was deducted for a coordinator in all, of at most
    /// [`AuditQuestion::SKUS_MAX`] skus.
    Deducted {
        /// For whom.
        coordinator: CoordinatorId,
        /// Of what: each a sku, or the [name of a stock](tandem_protocol::stock_name) in a pool.
        skus: Vec<String>,
    },
}

impl AuditQuestion {
    /// Most purchases that are asked for at once.
    pub const PURCHASES_MAX: usize = 200;
    /// Most skus that are asked for at once.
    pub const SKUS_MAX: usize = 1_000;
}

/// The answer to an [`AuditQuestion`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditAnswer {
    /// The store keeps nothing of the kind, or can't tell it from other things; why, for a person.
    NotKept(String),
    /// To [`AuditQuestion::Memory`].
    Memory(MemoryPage),
    /// To [`AuditQuestion::Purchases`].
    Purchases(PurchaseRows),
    /// To [`AuditQuestion::Purchases`] and [`AuditQuestion::Rows`]: there may be rows, and none can be
    /// looked up.
    Uncompared(Uncompared),
    /// To [`AuditQuestion::Rows`].
    Rows(RowsPage),
    /// To [`AuditQuestion::Holdings`].
    Holdings(Holdings),
    /// To [`AuditQuestion::Deducted`]: each sku that was asked for, in that order.
    Deducted(Vec<SkuDeducted>),
}

/// The rows of some purchases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurchaseRows {
    /// A purchase that is not there is not in it.
    pub purchases: Vec<KeptPurchase>,
    /// What of them is not shown.
    pub uncompared: Uncompared,
}

/// What an audit can't compare with what was decided, as the store's columns are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uncompared {
    /// Each thing and why, for a person; none where all that is written is compared.
    pub what: Vec<String>,
    /// Whether the participant's configuration accepts that (`NOT_AUDITED`).
    pub accepted: bool,
}

/// What a store of stock has counted of one sku.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuDeducted {
    /// Which.
    pub sku: String,
    /// The app's value; `None` when the key is missing or is not an integer.
    pub value: Option<i64>,
    /// Units that were deducted for the coordinator in all, debt included.
    pub deducted: u64,
    /// The same stock's other name, where it has one: what was decided under either is counted together.
    pub also: Option<String>,
}

/// Some of what a store remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryPage {
    /// In their order.
    pub transactions: Vec<Remembered>,
    /// The last that was looked at; `None` where there are no more.
    pub next: Option<TransactionId>,
}

/// A transaction of which the store remembers how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Which.
    pub transaction: TransactionId,
    /// Whether it was committed; otherwise it was rolled back.
    pub committed: bool,
}

/// Some of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowsPage {
    /// By their purchase ids.
    pub purchases: Vec<KeptPurchase>,
    /// The last id that was looked at; `None` where there are no more.
    pub next: Option<String>,
}

/// One row of a purchase. What the app's statements do not keep is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPurchase {
    /// The idempotency key.
    pub purchase_id: String,
    /// Who bought.
    pub customer_id: Option<String>,
    /// An ISO 4217 code.
    pub currency: Option<String>,
    /// Sum over the items, in the currency's minor unit.
    pub total_minor: Option<i64>,
    /// The transaction that wrote it, as the row has it.
    pub transaction_id: Option<String>,
    /// When its transaction began, to the second at least.
    pub purchase_time: Option<Timestamp>,
    /// Its items, in no order.
    pub items: Option<Vec<KeptItem>>,
    /// What else its row has.
    pub more: More,
}

/// What else a row has of what a purchase carries, by the names of the statements' parameters: `attr.cart`,
/// `line_total`. A time is microseconds since 1970, a boolean 1 or 0; `None` is NULL.
pub type More = BTreeMap<String, Option<String>>;

/// A text as it is compared: one that is a whole number as a column of numbers gives it back, without a
/// plus and leading zeros.
pub fn comparable(text: &str) -> String {
    let number = text.parse::<i128>();
    number.map_or_else(|_| text.to_owned(), |number| number.to_string())
}

/// One row of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptItem {
    /// What was bought.
    pub sku: Option<String>,
    /// How many units.
    pub quantity: Option<i64>,
    /// Price of one unit in the currency's minor unit.
    pub unit_price_minor: Option<i64>,
    /// Its place in the purchase, from 1.
    pub item_number: Option<i64>,
    /// What else its row has.
    pub more: More,
}

/// What a store of stock holds and owes, seen at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// What each prepared transaction holds.
    pub holds: Vec<TransactionHolding>,
    /// The sum that is kept for each stock.
    pub held: Vec<StockUnits>,
    /// Units decided and not deducted.
    pub debts: Vec<StockUnits>,
}

/// What one prepared transaction holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionHolding {
    /// Its id, as the store has it.
    pub transaction: String,
    /// What.
    pub units: Vec<StockUnits>,
}

/// Units of one stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockUnits {
    /// The stock's name at the store.
    pub stock: String,
    /// How many; what is there is told, also if it makes no sense.
    pub units: i64,
}
