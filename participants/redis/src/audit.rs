//! What an audit is shown: the memory of transactions, the holds, their sums and the debts.

use redis::pipe;
use tandem_participant::Error;
use tandem_participant::audit::{
    AuditAnswer, AuditQuestion, Holdings, MemoryPage, Remembered, StockUnits, TransactionHolding,
};
use tandem_protocol::{CoordinatorId, TransactionId};

use crate::participant::RedisParticipant;
use crate::{keys, scripts};

/// Transactions of each kind of memory that one page reads: about a millisecond of the server's
/// time.
const PAGE_MAX: usize = 2_000;

/// Prepared transactions whose holds are read in one script, which keeps others waiting meanwhile:
/// a few milliseconds.
const PREPARED_MAX: usize = 2_000;

/// Members of a sorted set with their scores.
type Scored = Vec<(String, u64)>;

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
            AuditQuestion::Deducted { .. } => {
                Ok(AuditAnswer::NotKept("deductions are not counted".into()))
            }
        }
    }

    async fn read_memory(
        &self,
        coordinator: &CoordinatorId,
        after: Option<&TransactionId>,
    ) -> Result<MemoryPage, Error> {
        let begin = match after {
            Some(after) => format!("({}", keys::order(after)?),
            None => "-inf".to_owned(),
        };
        let page_max = isize::try_from(PAGE_MAX).unwrap_or(isize::MAX);
        let mut commands = pipe();
        for key in [
            self.keys.committed(coordinator),
            self.keys.released(coordinator),
        ] {
            commands.zrangebyscore_limit_withscores(key, &begin, "+inf", 0, page_max);
        }
        let what = format!("reading what is remembered of {coordinator}");
        let (committed, released): (Scored, Scored) =
            self.connection.commands(&what, &commands).await?;
        // What is behind the end of a full list is not known, so the page ends there.
        let end = [&committed, &released]
            .into_iter()
            .filter(|list| list.len() == PAGE_MAX)
            .filter_map(|list| list.last())
            .map(|(_, order)| *order)
            .min();
        let mut found: Vec<(u64, bool)> = Vec::new();
        for (list, is_committed) in [(committed, true), (released, false)] {
            found.extend(list.into_iter().map(|(_, order)| (order, is_committed)));
        }
        found.retain(|(order, _)| end.is_none_or(|end| *order <= end));
        found.sort_unstable();
        Ok(MemoryPage {
            transactions: found
                .into_iter()
                .map(|(order, committed)| Remembered {
                    transaction: keys::transaction_at(coordinator, order),
                    committed,
                })
                .collect(),
            next: end.map(|end| keys::transaction_at(coordinator, end)),
        })
    }

    async fn read_holdings(&self) -> Result<Holdings, Error> {
        let what = "reading what is held";
        let mut call = scripts::HOLDINGS.prepare_invoke();
        call.key(self.keys.held())
            .key(self.keys.prepared())
            .key(self.keys.debt())
            .arg(self.keys.holds_prefix())
            .arg(PREPARED_MAX);
        let limit = self.connection.response_timeout();
        let mut reply = self.run(what, limit, &call).await?;
        match reply.word() {
            "HOLDINGS" => {}
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
        let transactions: Vec<String> = reply.next()?;
        let holds: Vec<Vec<(String, i64)>> = reply.next()?;
        Ok(Holdings {
            holds: transactions
                .into_iter()
                .zip(holds)
                .map(|(transaction, units)| TransactionHolding {
                    transaction,
                    units: stock_units(units),
                })
                .collect(),
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
