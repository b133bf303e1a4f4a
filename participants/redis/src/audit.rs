//! What an audit is shown: the memory of transactions, the holds, their sums and the debts.

use redis::pipe;
use tandem_participant::Error;
use tandem_participant::audit_question::{
    AuditAnswer, AuditQuestion, Holdings, MemoryPage, Remembered, SkuDeducted, StockUnits,
    TransactionHolding,
};
use tandem_protocol::{CoordinatorId, TransactionId, sku_and_pool, stock_name};

use crate::participant::RedisParticipant;
use crate::place::{Location, StockPlace};
use crate::view::{Holds, HoldsTexts};
use crate::{keys, refusal, scripts};

/// Transactions of each kind of memory that one page reads: about a millisecond of the server's
/// time.
const PAGE_MAX: usize = 2_000;

/// What is there of a stock, and of the count of what was deducted of it.
type StockTexts = (Option<String>, Option<String>);

/// Prepared transactions whose holds are read in one script, which keeps others waiting meanwhile:
/// a few milliseconds.
const PREPARED_MAX: usize = 2_000;

impl RedisParticipant {
    pub(crate) async fn answer_audit(
        &self,
        question: &AuditQuestion,
    ) -> Result<AuditAnswer, Error> {
        match question {
            AuditQuestion::Memory { coordinator, after } => {
                let page = self.read_memory(coordinator, after.as_ref()).await?;
                Ok(AuditAnswer::Memory(page))
            }
            AuditQuestion::Purchases { .. } | AuditQuestion::Rows { .. } => {
                Ok(AuditAnswer::NotKept("this store keeps no rows".into()))
            }
            AuditQuestion::Holdings => self.read_holdings().await.map(AuditAnswer::Holdings),
            AuditQuestion::Deducted { coordinator, skus } => {
                self.read_deducted(coordinator, skus).await
            }
        }
    }

    async fn read_memory(
        &self,
        coordinator: &CoordinatorId,
        after: Option<&TransactionId>,
    ) -> Result<MemoryPage, Error> {
        let begin = match after {
            Some(after) => format!("({}", keys::member(after)),
            None => "-".to_owned(),
        };
        let page_max = isize::try_from(PAGE_MAX).unwrap_or(isize::MAX);
        let mut commands = pipe();
        for key in [
            self.keys.committed(coordinator),
            self.keys.released(coordinator),
        ] {
            commands.zrangebylex_limit(key, &begin, "+", 0, page_max);
        }
        let what = format!("reading what is remembered of {coordinator}");
        let (committed, released): (Vec<String>, Vec<String>) =
            self.connection.commands(&what, &commands).await?;
        // What is behind the end of a full list is not known, so the page ends there.
        let end = [&committed, &released]
            .into_iter()
            .filter(|list| list.len() == PAGE_MAX)
            .filter_map(|list| list.last())
            .min()
            .cloned();
        let mut found: Vec<(String, bool)> = Vec::new();
        for (list, is_committed) in [(committed, true), (released, false)] {
            found.extend(list.into_iter().map(|member| (member, is_committed)));
        }
        found.retain(|(member, _)| end.as_ref().is_none_or(|end| member <= end));
        found.sort_unstable();
        Ok(MemoryPage {
            transactions: found
                .into_iter()
                .filter_map(|(member, committed)| {
                    Some(Remembered {
                        transaction: keys::transaction_of(coordinator, &member)?,
                        committed,
                    })
                })
                .collect(),
            next: end.and_then(|end| keys::transaction_of(coordinator, &end)),
        })
    }

    /// What was deducted of each sku in all, and the app's value of it.
    async fn read_deducted(
        &self,
        coordinator: &CoordinatorId,
        skus: &[String],
    ) -> Result<AuditAnswer, Error> {
        let what = format!("reading what was deducted for {coordinator}");
        if !self.keys.counts() {
            return Ok(AuditAnswer::NotKept(
                "deductions from hashes are not counted (count_in_hash)".into(),
            ));
        }
        if skus.is_empty() {
            return Ok(AuditAnswer::Deducted(Vec::new()));
        }
        // A sku that would be one of tandem's own keys was never sold.
        let names = skus
            .iter()
            .map(|sku| self.stock_named(sku).unwrap_or_default());
        let names: Vec<String> = names.collect();
        let counts = names.iter().map(|name| self.count_of(coordinator, name));
        let counts: Vec<String> = counts.collect();
        let both = match &self.place {
            StockPlace::Hashes { .. } => self.read_of_hashes(&what, &names, &counts).await?,
            StockPlace::Keys(_) => self.read_both(&what, None, &names, &counts).await?,
            StockPlace::Hash { key, .. } => {
                self.read_both(&what, Some(key), &names, &counts).await?
            }
        };
        let read = |(sku, (value, count)): (&String, (Option<String>, Option<String>))| {
            let value = value.and_then(|text| refusal::read_value(&text).0);
            let deducted = count.map_or(Some(0), |text| text.parse().ok());
            deducted.map(|deducted| SkuDeducted {
                sku: sku.clone(),
                value,
                deducted,
                also: self.also(sku),
            })
        };
        let found: Option<Vec<SkuDeducted>> = skus.iter().zip(both).map(read).collect();
        Ok(match found {
            Some(found) => AuditAnswer::Deducted(found),
            None => AuditAnswer::NotKept(
                "a count of what was deducted is no number: somebody has written there".into(),
            ),
        })
    }

    /// The other name of a stock that has two: the default pool's.
    fn also(&self, name: &str) -> Option<String> {
        let default = self.place.default_pool()?;
        match sku_and_pool(name) {
            (sku, "") => Some(stock_name(sku, default).into_owned()),
            (sku, pool) => (pool == default).then(|| sku.to_owned()),
        }
    }

    /// Texts of stocks and of their counts, seen at one moment: of keys, or of fields of one hash.
    async fn read_both(
        &self,
        what: &str,
        hash: Option<&str>,
        names: &[String],
        counts: &[String],
    ) -> Result<Vec<StockTexts>, Error> {
        let mut commands = pipe();
        commands.atomic();
        match hash {
            None => commands.mget(names).mget(counts),
            Some(hash) => commands.hmget(hash, names).hmget(hash, counts),
        };
        type Texts = Vec<Option<String>>;
        let (values, counts): (Texts, Texts) = self.connection.commands(what, &commands).await?;
        Ok(values.into_iter().zip(counts).collect())
    }

    /// The same of fields of several hashes. What is none has no fields: one that the app has made
    /// something else does not hide the others.
    async fn read_of_hashes(
        &self,
        what: &str,
        names: &[String],
        counts: &[String],
    ) -> Result<Vec<StockTexts>, Error> {
        let located = names.iter().map(|name| match self.place.locate(name) {
            Location::Field { hash, field } => (hash, field),
            Location::Key(key) => (key, ""),
        });
        let located: Vec<(&str, &str)> = located.collect();
        let mut commands = pipe();
        for (hash, _) in &located {
            commands.key_type(hash);
        }
        let types: Vec<String> = self.connection.commands(what, &commands).await?;
        let mut commands = pipe();
        commands.atomic();
        let mut are_read = Vec::with_capacity(names.len());
        for (((hash, field), count), found) in located.iter().zip(counts).zip(types) {
            let is_hash = found == "hash";
            if is_hash {
                commands.hmget(hash, &[*field, count]);
            }
            are_read.push(is_hash);
        }
        let mut found: Vec<StockTexts> = Vec::new();
        if are_read.contains(&true) {
            found = self.connection.commands(what, &commands).await?;
        }
        let mut found = found.into_iter();
        let texts = are_read.into_iter().map(|is_read| match is_read {
            true => found.next().unwrap_or_default(),
            false => StockTexts::default(),
        });
        Ok(texts.collect())
    }

    async fn read_holdings(&self) -> Result<Holdings, Error> {
        let what = "reading what is held";
        let mut call = scripts::HOLDINGS.prepare_invoke();
        call.key(self.keys.held())
            .key(self.keys.prepared())
            .key(self.keys.debt())
            .key(self.keys.busy())
            .arg(self.keys.holds_prefix())
            .arg(PREPARED_MAX);
        let limit = self.connection.response_timeout();
        let mut reply = self.run(what, limit, &call).await?;
        match reply.word() {
            "HOLDINGS" => {}
            "BUSY" => {
                let busy: String = reply.next()?;
                return Err(Error::Busy {
                    detail: format!(
                        "a script about {busy} was stopped half way, and what is held is counted again \
                         by the next one; try again when it has run"
                    ),
                });
            }
            "TOO_MANY" => {
                let prepared: u64 = reply.next()?;
                return Err(Error::Busy {
                    detail: format!(
                        "{prepared} transactions are prepared, and an audit looks at the holds of \
                         {PREPARED_MAX} at most; try again when some of them have ended"
                    ),
                });
            }
            _ => return Err(reply.unexpected()),
        }
        let held: Vec<(String, i64)> = reply.next()?;
        let debts: Vec<(String, i64)> = reply.next()?;
        let branches: Vec<String> = reply.next()?;
        let holds: Vec<HoldsTexts> = reply.next()?;
        let here = |(branch, texts): (String, HoldsTexts)| {
            let holds = Holds::of(texts);
            (holds.place == self.keys.place()).then(|| TransactionHolding {
                transaction: match self.keys.transaction_of_branch(&branch) {
                    Ok(transaction) => transaction.to_string(),
                    Err(_) => branch,
                },
                units: stock_units(holds.units.into_iter().collect()),
            })
        };
        Ok(Holdings {
            holds: branches.into_iter().zip(holds).filter_map(here).collect(),
            held: stock_units(held),
            debts: stock_units(debts),
        })
    }
}

fn stock_units(units: Vec<(String, i64)>) -> Vec<StockUnits> {
    let units = units.into_iter();
    units
        .map(|(stock, units)| StockUnits { stock, units })
        .collect()
}
