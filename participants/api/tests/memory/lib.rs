//! A participant without a store: it passes the conformance suite, and with a planted [`Bug`] it does
//! not, which is how the suite itself is tested.
//!
//! It keeps stock in memory, holds units for prepared transactions and remembers verdicts, as a
//! participant of a real store does durably. A "killed" store keeps its state, as one that forces
//! its writes would, and answers nothing until it is started.

mod audit;
mod bug;
mod knowing;
mod participant;
mod steps;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tandem_participant::Participant;
use tandem_participant::conformance::{Bench, Capability, unique_id};
use tandem_protocol::{Entry, Item, Purchase};

pub use bug::Bug;
pub use participant::MemoryParticipant;
pub use store::{MemoryStore, Snapshot};

/// Units that each item of the bench's entries wants.
const QUANTITY: u32 = 3;

/// Units in stock for a good entry.
const PLENTY: i64 = 1000 * QUANTITY as i64;

/// The bench of the reference participant.
pub struct MemoryBench {
    store: Arc<MemoryStore>,
    /// Units that each sku began with.
    initial: Mutex<HashMap<String, i64>>,
}

impl MemoryBench {
    /// A bench over an empty store; with a bug, over one whose participants have it.
    pub fn new(bug: Option<Bug>) -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(bug),
            initial: Mutex::default(),
        })
    }

    fn initial(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.initial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, number: u32, stock: i64) -> Entry {
        let item = |_| {
            let sku = unique_id("sku-");
            self.store.set_stock(&sku, stock);
            self.initial().insert(sku.clone(), stock);
            Item {
                sku,
                quantity: QUANTITY,
                unit_price_minor: 1999,
                ..Default::default()
            }
        };
        Entry {
            number,
            purchase: Arc::new(Purchase {
                purchase_id: unique_id("p-"),
                customer_id: "customer".into(),
                currency: "EUR".into(),
                items: (0..2).map(item).collect(),
                ..Default::default()
            }),
        }
    }
}

impl fmt::Debug for MemoryBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryBench")
    }
}

#[async_trait]
impl Bench for MemoryBench {
    async fn participant(&self) -> Result<Arc<dyn Participant>, String> {
        Ok(Arc::new(MemoryParticipant::new(self.store.clone())))
    }

    async fn good_entry(&self, number: u32) -> Result<Entry, String> {
        Ok(self.entry(number, PLENTY))
    }

    async fn exclusive_entry(&self, number: u32) -> Result<Entry, String> {
        Ok(self.entry(number, i64::from(QUANTITY)))
    }

    async fn refusable_entry(&self, number: u32) -> Result<Entry, String> {
        Ok(self.entry(number, i64::from(QUANTITY) - 1))
    }

    async fn effects(&self, entry: &Entry) -> Result<u64, String> {
        let mut effects = None;
        for item in &entry.purchase.items {
            let initial = self.initial().get(&item.sku).copied();
            let (Some(initial), Some(now)) = (initial, self.store.stock_of(&item.sku)) else {
                match item.untracked {
                    true => continue,
                    false => return Err(format!("sku {} is not in the store", item.sku)),
                }
            };
            let (gone, quantity) = (initial - now, i64::from(item.quantity));
            let times = u64::try_from(gone / quantity).ok();
            let times = times.filter(|_| gone % quantity == 0);
            if times.is_none() || effects.is_some_and(|before| Some(before) != times) {
                let id = &entry.purchase.purchase_id;
                return Err(format!(
                    "purchase {id} is in the store in part: {gone} units"
                ));
            }
            effects = times;
        }
        effects.ok_or_else(|| "the entry has no items".into())
    }

    fn offers(&self, _capability: Capability) -> bool {
        true
    }

    async fn kill_store(&self) -> Result<(), String> {
        self.store.kill();
        Ok(())
    }

    async fn start_store(&self) -> Result<(), String> {
        self.store.start();
        Ok(())
    }
}
