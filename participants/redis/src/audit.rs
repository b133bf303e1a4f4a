//! What an audit is shown: the memory of transactions, the holds, their sums and the debts.

use redis::pipe;
use tandem_participant::Error;
use tandem_participant::audit_question::{
    AuditAnswer, AuditQuestion, Holdings, MemoryPage, Remembered, SkuDeducted, StockUnits,
    TransactionHolding,
};
use tandem_protocol::{CoordinatorId, TransactionId};

use crate::participant::RedisParticipant;
use crate::settings::StockPlace;
use crate::view::{Holds, HoldsTexts};
use crate::{keys, refusal, scripts};

/// Transactions of each kind of memory that one page reads: about a millisecond of the server's
/// time.
const PAGE_MAX: usize = 2_000;

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
                "deductions from the stock hash are not counted (count_in_hash)".into(),
            ));
        }
        let mut names = Vec::with_capacity(skus.len());
        let mut counts = Vec::with_capacity(skus.len());
        for sku in skus {
            // A sku that would be one of tandem's own keys was never sold.
            let name = self.stock_of(sku).unwrap_or_default();
            counts.push(self.keys.count(coordinator, &name));
            names.push(name);
        }
        if names.is_empty() {
            return Ok(AuditAnswer::Deducted(Vec::new()));
        }
        let mut commands = pipe();
        commands.atomic();
        match &self.place {
            StockPlace::Keys(_) => commands.mget(&names).mget(&counts),
            StockPlace::Hash { key, .. } => commands.hmget(key, &names).hmget(key, &counts),
        };
        type Texts = Vec<Option<String>>;
        let (values, counts): (Texts, Texts) = self.connection.commands(&what, &commands).await?;
        let both = values.into_iter().zip(counts);
        let read = |(sku, (value, count)): (&String, (Option<String>, Option<String>))| {
            let value = value.and_then(|text| refusal::read_value(&text).0);
            let deducted = count.map_or(Some(0), |text| text.parse().ok());
            deducted.map(|deducted| SkuDeducted {
                sku: sku.clone(),
                value,
                deducted,
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
