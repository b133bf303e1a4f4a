//! What the stores themselves hold, compared with each other and with what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::AsyncCommands;
use sqlx::{AssertSqlSafe, Row};

use crate::answer::{Answer, Asked};
use crate::client::Operator;
use crate::schema::Schema;
use crate::stores::Stores;
use crate::wait::until;

/// How long transactions may take to end once everything is up.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// Violations that are spelled out; more are counted.
const SHOWN_MAX: usize = 10;

/// Purchases by id, each with units by sku.
type Rows = BTreeMap<String, BTreeMap<String, u64>>;

/// What was judged: figures for people, and proof that there was something to judge.
#[derive(Debug, Clone, Copy, Default)]
pub struct Books {
    /// Purchases that clients submitted.
    pub asked: usize,
    /// Rows that are there.
    pub committed: usize,
    /// Purchases that a store refused.
    pub refused: usize,
    /// Answers that promised nothing, before the final one.
    pub unknown: usize,
    /// Answers that said that nothing was made, before the final one.
    pub not_made: usize,
}

/// Reads both stores directly.
#[derive(Debug)]
pub struct Judge<'a>(pub &'a Stores);

impl Books {
    /// Both together.
    pub fn plus(self, other: Books) -> Books {
        Books {
            asked: self.asked + other.asked,
            committed: self.committed + other.committed,
            refused: self.refused + other.refused,
            unknown: self.unknown + other.unknown,
            not_made: self.not_made + other.not_made,
        }
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} purchases: {} committed, {} refused; answers on the way: {} unknown, {} not made",
            self.asked, self.committed, self.refused, self.unknown, self.not_made
        )
    }
}

impl Judge<'_> {
    /// Waits until the coordinator and both stores say that nothing is under way.
    ///
    /// # Errors
    /// If something still is at the deadline; what.
    pub async fn quiet(&self, operator: &Operator) -> Result<()> {
        let mut last = String::new();
        let done = until("everything has ended", QUIET_MAX, async || {
            last = match operator.unfinished().await {
                Ok(unfinished) if unfinished.is_empty() => match self.leftovers().await {
                    Ok(left) if left.is_empty() => return Ok(true),
                    Ok(left) => left.join("; "),
                    Err(error) => format!("{error:#}"),
                },
                Ok(unfinished) => format!("unfinished: {unfinished:?}"),
                Err(error) => error.to_string(),
            };
            Ok(false)
        });
        let done = done.await;
        done.with_context(|| last)
    }

    /// What is prepared, held or owed, for people; empty when nothing is.
    ///
    /// # Errors
    /// If a store can't be read.
    pub async fn leftovers(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for xid in self.prepared_branches().await? {
            left.push(format!("invariant_no_branch_left: {xid} is prepared"));
        }
        let mut kv = self.0.kv().await?;
        let keys: Vec<String> = kv.keys("tandem:*").await?;
        let of_transactions = keys.iter().filter(|key| key.starts_with("tandem:tx:"));
        for key in of_transactions {
            left.push(format!("invariant_no_hold_left: the key {key} is there"));
        }
        // With a stock hash its name follows.
        for key in keys.iter().filter(|key| key.starts_with("tandem:held")) {
            let held: BTreeMap<String, String> = kv.hgetall(key).await?;
            for (stock, units) in held {
                left.push(format!(
                    "invariant_no_hold_left: {units} units of {stock} are held"
                ));
            }
        }
        let prepared: Vec<String> = kv.zrange("tandem:prepared", 0, -1).await?;
        for id in prepared {
            left.push(format!("invariant_no_hold_left: {id} is prepared in Redis"));
        }
        for key in keys.iter().filter(|key| key.starts_with("tandem:debt")) {
            let debt: BTreeMap<String, String> = kv.hgetall(key).await?;
            for (stock, units) in debt {
                left.push(format!(
                    "invariant_no_debt: {units} units of {stock} are owed"
                ));
            }
        }
        Ok(left)
    }

    /// All branches that `XA RECOVER` lists.
    ///
    /// # Errors
    /// If the server is down.
    pub async fn prepared_branches(&self) -> Result<Vec<String>> {
        let mut session = self.0.sql().await?;
        let rows = sqlx::raw_sql("XA RECOVER").fetch_all(&mut session).await?;
        let mut branches = Vec::new();
        for row in rows {
            let data: Vec<u8> = row.try_get_unchecked("data")?;
            branches.push(data.escape_ascii().to_string());
        }
        Ok(branches)
    }

    /// Compares rows, stock and answers. `prefix` is that of the purchase ids of the time since
    /// the stores' [`take_stock`](Stores::take_stock); empty for all.
    ///
    /// # Errors
    /// With every invariant that does not hold, by name.
    pub async fn judge(&self, prefix: &str, asked: &[Asked]) -> Result<Books> {
        let mut broken = self.leftovers().await?;
        let rows = self.rows(prefix).await?;
        self.compare_stock(&rows, &mut broken).await?;
        let mut books = Books {
            asked: asked.len(),
            committed: rows.len(),
            ..Books::default()
        };
        let mut known = BTreeSet::new();
        for one in asked {
            let id = one.purchase.purchase_id.as_str();
            known.insert(id);
            let wanted = units(self.0.schema, one);
            compare_answers(one, &wanted, rows.get(id), &mut broken);
            for answer in &one.answers {
                match answer {
                    Answer::Committed { .. } | Answer::Refused { .. } => {}
                    Answer::NotMade { .. } => books.not_made += 1,
                    Answer::Unknown { .. } => books.unknown += 1,
                }
            }
            let refused = |answer: &Answer| matches!(answer, Answer::Refused { .. });
            books.refused += usize::from(one.answers.iter().any(refused));
        }
        for id in rows.keys().filter(|id| !known.contains(id.as_str())) {
            broken.push(format!(
                "invariant_row_was_asked_for: nobody submitted {id}"
            ));
        }
        if broken.is_empty() {
            return Ok(books);
        }
        let count = broken.len();
        broken.truncate(SHOWN_MAX);
        anyhow::bail!(
            "{count} violations on {}, the first of them:\n{}",
            self.0.names(),
            broken.join("\n")
        )
    }

    /// The purchases' rows with their items.
    ///
    /// # Errors
    /// If the server is down.
    pub async fn rows(&self, prefix: &str) -> Result<Rows> {
        let mut session = self.0.sql().await?;
        let select = self.0.schema.rows(prefix);
        let found = sqlx::query(AssertSqlSafe(select))
            .fetch_all(&mut session)
            .await?;
        let mut rows = Rows::new();
        for row in found {
            let items = rows.entry(row.try_get(0)?).or_default();
            if let Some(sku) = row.try_get::<Option<String>, _>(1)? {
                items.insert(sku, row.try_get::<i64, _>(2)?.cast_unsigned());
            }
        }
        Ok(rows)
    }

    async fn compare_stock(&self, rows: &Rows, broken: &mut Vec<String>) -> Result<()> {
        let mut sold: BTreeMap<&str, i64> = BTreeMap::new();
        for (sku, units) in rows.values().flatten() {
            *sold.entry(sku).or_default() += units.cast_signed();
        }
        for (sku, before) in self.0.seeded() {
            let now = self.0.stock(&sku).await?;
            let sold = sold.remove(sku.as_str()).unwrap_or_default();
            if now != Some(before - sold) {
                broken.push(format!(
                    "invariant_row_if_and_only_if_deduction: {sku} had {before} units, rows say \
                     that {sold} were sold, and the stock is {now:?}"
                ));
            }
            if now.is_some_and(|units| units < 0) {
                broken.push(format!("invariant_stock_not_negative: {sku} has {now:?}"));
            }
        }
        for (sku, units) in sold {
            broken.push(format!(
                "invariant_row_if_and_only_if_deduction: rows sell {units} of {sku}, which was \
                 never in stock"
            ));
        }
        Ok(())
    }
}

/// Units that a purchase asks for, by what they are taken from.
fn units(schema: Schema, one: &Asked) -> BTreeMap<String, u64> {
    let mut units = BTreeMap::new();
    for item in &one.purchase.items {
        if let Some(stock) = schema.stock_of(item) {
            *units.entry(stock).or_default() += u64::from(item.quantity);
        }
    }
    units
}

fn compare_answers(
    one: &Asked,
    wanted: &BTreeMap<String, u64>,
    row: Option<&BTreeMap<String, u64>>,
    broken: &mut Vec<String>,
) {
    let id = &one.purchase.purchase_id;
    let mut transactions = BTreeSet::new();
    for answer in &one.answers {
        match answer {
            Answer::Committed { transaction } => {
                transactions.insert(transaction);
                if row.is_none() {
                    broken.push(format!(
                        "invariant_reply_agrees: {id} was answered as committed and has no row: \
                         {:?}",
                        one.answers
                    ));
                }
            }
            Answer::Refused { .. } if row.is_some() => broken.push(format!(
                "invariant_reply_agrees: {id} was refused and has a row: {:?}",
                one.answers
            )),
            Answer::Refused { .. } | Answer::NotMade { .. } | Answer::Unknown { .. } => {}
        }
    }
    if matches!(one.answers.last(), Some(Answer::NotMade { .. })) && row.is_some() {
        broken.push(format!(
            "invariant_reply_agrees: {id} was said not to be made and has a row: {:?}",
            one.answers
        ));
    }
    if transactions.len() > 1 {
        broken.push(format!(
            "invariant_one_outcome: {id} was answered with several transactions: {transactions:?}"
        ));
    }
    if row.is_some_and(|row| row != wanted) {
        broken.push(format!(
            "invariant_row_is_what_was_asked: {id} asked for {wanted:?} and has {row:?}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::purchase;

    fn committed(by: &str) -> Answer {
        Answer::Committed {
            transaction: by.to_owned(),
        }
    }

    /// Names of the invariants that these answers break, with two units of tea in the row.
    fn broken(answers: &[Answer], units_in_row: Option<u64>) -> Vec<String> {
        let asked = Asked {
            purchase: purchase("p-1", &[("tea", 2)]),
            answers: answers.to_vec(),
        };
        let row = units_in_row.map(|units| BTreeMap::from([("tea".to_owned(), units)]));
        let mut broken = Vec::new();
        let wanted = units(Schema::Tandem, &asked);
        compare_answers(&asked, &wanted, row.as_ref(), &mut broken);
        let name = |text: &String| text.split(':').next().unwrap_or_default().to_owned();
        broken.iter().map(name).collect()
    }

    #[test]
    fn answers_that_agree_with_the_row_are_let_pass() {
        let reason = || "SOME_REASON".to_owned();
        let unknown = Answer::Unknown { what: reason() };
        let not_made = Answer::NotMade { reason: reason() };
        let refused = Answer::Refused { reason: reason() };
        for (answers, row) in [
            (vec![committed("shop.1.1")], Some(2)),
            (vec![not_made.clone(), committed("shop.1.1")], Some(2)),
            (vec![unknown.clone()], Some(2)),
            (vec![unknown.clone()], None),
            (vec![unknown, refused], None),
            (vec![not_made], None),
        ] {
            assert_eq!(broken(&answers, row), Vec::<String>::new(), "{answers:?}");
        }
    }

    #[test]
    fn answers_that_contradict_the_row_are_named() {
        let reason = || "SOME_REASON".to_owned();
        let not_made = Answer::NotMade { reason: reason() };
        let refused = Answer::Refused { reason: reason() };
        for (answers, row, name) in [
            (vec![committed("shop.1.1")], None, "invariant_reply_agrees"),
            (vec![refused], Some(2), "invariant_reply_agrees"),
            (vec![not_made], Some(2), "invariant_reply_agrees"),
            (
                vec![committed("shop.1.1"), committed("shop.1.2")],
                Some(2),
                "invariant_one_outcome",
            ),
            (
                vec![committed("shop.1.1")],
                Some(3),
                "invariant_row_is_what_was_asked",
            ),
        ] {
            assert_eq!(broken(&answers, row), [name], "{answers:?}");
        }
    }
}
