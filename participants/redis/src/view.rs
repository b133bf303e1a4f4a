//! What people and recovery read: prepared transactions, one transaction's truth, a sku's stock.

use std::collections::BTreeMap;

use redis::pipe;
use tandem_participant::{
    BranchState, BranchTruth, Error, Hold, PreparedBranch, PreparedId, Stock,
};
use tandem_protocol::{Timestamp, TransactionId};

use crate::participant::RedisParticipant;
use crate::place::Location;
use crate::reply::Row;
use crate::{refusal, scripts};

/// Prepared transactions that are asked for their holds in one round trip.
const HOLDS_BATCH_MAX: usize = 500;

/// Holds that one transaction's truth names.
const HOLDS_NAMED_MAX: usize = 20;

impl RedisParticipant {
    pub(crate) async fn read_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        let what = "listing prepared transactions";
        let mut commands = pipe();
        commands.zrange_withscores(self.keys.prepared(), 0, -1);
        let (prepared,): (Vec<(String, u64)>,) = self.connection.commands(what, &commands).await?;
        // Another participant of the same stock is asked for its own.
        let known = prepared.into_iter().filter_map(|(branch, time)| {
            let id = match self.keys.transaction_of_branch(&branch) {
                Ok(transaction) => PreparedId::Transaction(transaction),
                Err(true) => return None,
                Err(false) => PreparedId::Foreign(branch),
            };
            Some(PreparedBranch {
                id,
                prepare_time: Some(at_micros(time)),
            })
        });
        Ok(known.collect())
    }

    pub(crate) async fn read_truth(
        &self,
        transaction: &TransactionId,
    ) -> Result<BranchTruth, Error> {
        let what = format!("inspection of {transaction}");
        let call = self.about(&scripts::INSPECT, transaction, transaction.epoch);
        let limit = self.connection.response_timeout();
        let mut reply = self.run(&what, limit, &call).await?;
        let (state, detail) = match reply.word() {
            "PREPARED" => {
                let time: u64 = reply.next()?;
                let holds = Holds::of(reply.next()?).units;
                let named: Vec<String> = holds
                    .iter()
                    .take(HOLDS_NAMED_MAX)
                    .map(|(stock, units)| format!("{units} of {stock}"))
                    .collect();
                let more = match holds.len().saturating_sub(HOLDS_NAMED_MAX) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let named = match named.is_empty() {
                    true => "nothing".to_owned(),
                    false => named.join(", "),
                };
                let detail = format!(
                    "holds {named}{more}, since {} ms of Unix time",
                    at_micros(time).0
                );
                (BranchState::Prepared, detail)
            }
            "COMMITTED" => {
                let debts = self.debts(&[], &reply.next::<Vec<Row>>()?);
                let owed: Vec<String> = debts
                    .iter()
                    .map(|debt| format!("; {} not deducted: {}", debt.quantity, debt.detail))
                    .collect();
                let detail = format!("remembered as committed{}", owed.concat());
                (BranchState::Committed, detail)
            }
            "RELEASED" => {
                let refused: Vec<Row> = reply.next()?;
                let detail = match refused.len() {
                    0 => "remembered as rolled back".to_owned(),
                    n => format!("remembered as refused, all {n} entries"),
                };
                (BranchState::RolledBack, detail)
            }
            "FORGOTTEN" => (
                BranchState::Absent,
                "before what the coordinator let the store forget".to_owned(),
            ),
            "ABSENT" => (
                BranchState::Absent,
                "neither held nor remembered".to_owned(),
            ),
            _ => return Err(reply.unexpected()),
        };
        Ok(BranchTruth { state, detail })
    }

    pub(crate) async fn read_stock(&self, sku: &str) -> Result<Option<Stock>, Error> {
        let what = format!("stock of {sku}");
        let name = self.stock_named(sku).map_err(|no_stock| Error::Invalid {
            detail: no_stock.refusal(sku).detail,
        })?;
        let (value, problem) = self.read_stock_value(&what, &name).await?;
        let mut commands = pipe();
        commands.hget(self.keys.debt(), &name);
        let (debt,): (Option<u64>,) = self.connection.commands(&what, &commands).await?;
        let debt = debt.unwrap_or(0);
        Ok(Some(Stock {
            value,
            holds: self.read_holds(&what, &name).await?,
            debt,
            debt_remedy: match debt {
                0 => String::new(),
                _ => format!("`HDEL {} {name}`", self.keys.debt()),
            },
            detail: problem
                .and_then(|problem| refusal::problem_text(&self.place, problem, &name))
                .unwrap_or_default(),
        }))
    }

    /// The app's value, and the problem that a script would see in it.
    async fn read_stock_value(
        &self,
        what: &str,
        name: &str,
    ) -> Result<(Option<i64>, Option<&'static str>), Error> {
        let location = self.place.locate(name);
        let (container, good_type) = match location {
            Location::Key(key) => (key, "string"),
            Location::Field { hash, .. } => (hash, "hash"),
        };
        let mut commands = pipe();
        commands.key_type(container);
        let (found,): (String,) = self.connection.commands(what, &commands).await?;
        if found == "none" {
            return Ok((None, Some("MISSING")));
        }
        if found != good_type {
            return Ok((None, Some("WRONG_TYPE")));
        }
        let mut commands = pipe();
        match location {
            Location::Key(key) => commands.get(key),
            Location::Field { hash, field } => commands.hget(hash, field),
        };
        let (text,): (Option<Vec<u8>>,) = self.connection.commands(what, &commands).await?;
        Ok(text.map_or((None, Some("MISSING")), |text| {
            refusal::read_value(&String::from_utf8_lossy(&text))
        }))
    }

    /// Who holds units of a stock, oldest first. This is what the scripts count too: the sums are made
    /// of it.
    async fn read_holds(&self, what: &str, name: &str) -> Result<Vec<Hold>, Error> {
        let mut commands = pipe();
        commands.zrange_withscores(self.keys.prepared(), 0, -1);
        let (prepared,): (Vec<(String, u64)>,) = self.connection.commands(what, &commands).await?;
        let mut holds = Vec::new();
        for batch in prepared.chunks(HOLDS_BATCH_MAX) {
            let mut commands = pipe();
            for (branch, _) in batch {
                commands.hmget(self.keys.holds(branch), &Holds::FIELDS);
            }
            let found: Vec<HoldsTexts> = self.connection.commands(what, &commands).await?;
            for ((branch, since), fields) in batch.iter().zip(found) {
                let held = Holds::of(fields);
                let id = branch.split('/').next().and_then(|id| id.parse().ok());
                let units = held.units.get(name).copied();
                if held.place == self.keys.place()
                    && let (Some(transaction), Some(quantity)) = (id, units)
                {
                    holds.push(Hold {
                        transaction,
                        quantity: quantity.unsigned_abs(),
                        since: at_micros(*since),
                    });
                }
            }
        }
        Ok(holds)
    }
}

/// What a branch holds, as `common.lua` keeps it.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// The stock hash; empty where each stock is a key.
    pub(crate) place: String,
    /// Units of each stock, of all entries together.
    pub(crate) units: BTreeMap<String, i64>,
}

/// Texts of [`Holds::FIELDS`].
pub(crate) type HoldsTexts = (Option<String>, Option<String>);

impl Holds {
    /// The fields of a branch's hash that are read.
    pub(crate) const FIELDS: [&str; 2] = ["held", "place"];

    /// What is none of tandem's holds nothing.
    pub(crate) fn of((held, place): HoldsTexts) -> Holds {
        let units = held.and_then(|held| serde_json::from_str(&held).ok());
        Holds {
            place: place.unwrap_or_default(),
            units: units.unwrap_or_default(),
        }
    }
}

/// Times in Redis are finer than [`Timestamp`], so that holds of one millisecond keep their order.
fn at_micros(time: u64) -> Timestamp {
    Timestamp(time / 1_000)
}
