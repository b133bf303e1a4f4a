//! What an audit is shown: marker rows, and the app's rows as far as the statements say where they
//! keep what. Plain reads of what is committed, each bounded: nothing waits for them.

use std::collections::HashMap;

use sqlx::mysql::MySqlRow;
use tandem_participant::Error;
use tandem_participant::audit_question::{
    AuditAnswer, AuditQuestion, KeptItem, KeptPurchase, MemoryPage, More, PurchaseRows, Remembered,
    RowsPage, Uncompared, comparable,
};
use tandem_protocol::{CoordinatorId, Timestamp, TransactionId};
use tokio::time::Instant;

use crate::danger::Danger;
use crate::preflight::audited::{self, Audited, ITEM, PURCHASE, Shape, is_more};
use crate::records::marker;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::encode;
use crate::sql::kept::Kept;
use crate::sql::param::Param;
use crate::store::Store;

/// Marker rows of one page.
const MARKERS_MAX: usize = 5_000;

/// Rows of the app's that one page looks at.
const ROWS_MAX: usize = 2_000;

pub(crate) async fn answer(store: &Store, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
    let deadline = store.statement_deadline();
    let mut session = store.service_sessions.lease(deadline).await?;
    let mut audit = Audit {
        store,
        session: &mut session,
        deadline,
    };
    let answer = match question {
        AuditQuestion::Memory { coordinator, after } => {
            audit.memory(coordinator, after.as_ref()).await
        }
        AuditQuestion::Purchases { purchase_ids } => audit.purchases(purchase_ids).await,
        AuditQuestion::Rows {
            since,
            until,
            after,
        } => audit.rows(*since, *until, after).await,
        AuditQuestion::Holdings | AuditQuestion::Deducted { .. } => {
            Ok(AuditAnswer::NotKept("this store keeps no stock".into()))
        }
    };
    let answer = answer.map_err(|failure| failure.into_error("reading for an audit"))?;
    session.give_back();
    Ok(answer)
}

struct Audit<'a> {
    store: &'a Store,
    session: &'a mut Session,
    deadline: Instant,
}

impl Audit<'_> {
    async fn memory(
        &mut self,
        coordinator: &CoordinatorId,
        after: Option<&TransactionId>,
    ) -> Result<AuditAnswer, PacketFailure> {
        let (epoch, sequence) = after.map_or((0, 0), |id| (id.epoch.0, id.sequence));
        let query = format!(
            "SELECT CONCAT(coordinator, '.', epoch, '.', `sequence`), {committed} FROM \
             tandem_branches WHERE participant = '{name}' AND coordinator = '{coordinator}' AND \
             (epoch > {epoch} OR (epoch = {epoch} AND `sequence` > {sequence})) ORDER BY epoch, \
             `sequence` LIMIT {MARKERS_MAX}",
            committed = marker::committed_condition(),
            name = self.store.name,
        );
        let rows = self.session.query(&query, self.deadline).await?;
        let mut transactions = Vec::with_capacity(rows.len());
        for row in &rows {
            let text = answer::field(row, 0)?;
            let transaction: TransactionId = text
                .parse()
                .map_err(|_| PacketFailure::lost(0, &format!("{text:?} for a transaction")))?;
            transactions.push(Remembered {
                transaction,
                committed: answer::field_number(row, 1)? != 0,
            });
        }
        let last = transactions.get(MARKERS_MAX - 1);
        let next = last.map(|last| last.transaction.clone());
        Ok(AuditAnswer::Memory(MemoryPage { transactions, next }))
    }

    async fn purchases(&mut self, ids: &[String]) -> Result<AuditAnswer, PacketFailure> {
        let audited = audited::of(self.store, self.session, self.deadline).await?;
        let uncompared = self.uncompared(audited.left_out);
        let Some(kept) = &audited.purchases else {
            return Ok(AuditAnswer::Uncompared(uncompared));
        };
        let mut purchases = Vec::new();
        if ids.is_empty() {
            return Ok(AuditAnswer::Purchases(PurchaseRows {
                purchases,
                uncompared,
            }));
        }
        let condition = |kept: &Kept| format!("{} IN ({})", kept.id_in_source(), listed(ids));
        let query = format!(
            "SELECT {} FROM {} WHERE {} LIMIT {ROWS_MAX}",
            self.columns(kept, &PURCHASE),
            kept.source(),
            condition(kept)
        );
        let rows = self.session.query(&query, self.deadline).await?;
        for row in &rows {
            let mut found = self.purchase(kept, row, 0)?;
            // As it was asked for, also where the column has it as a number.
            let is_it = |id: &&String| comparable(id) == comparable(&found.purchase_id);
            if let Some(id) = ids.iter().find(is_it) {
                found.purchase_id.clone_from(id);
            }
            purchases.push(found);
        }
        if let Some(items) = &audited.items {
            self.add_items(items, &condition(items), &mut purchases)
                .await?;
        }
        Ok(AuditAnswer::Purchases(PurchaseRows {
            purchases,
            uncompared,
        }))
    }

    fn uncompared(&self, what: Vec<String>) -> Uncompared {
        let danger = Danger::NotAudited(what.clone());
        Uncompared {
            what,
            accepted: danger.is_among(&self.store.settings.accept),
        }
    }

    async fn rows(
        &mut self,
        since: Timestamp,
        until: Timestamp,
        after: &str,
    ) -> Result<AuditAnswer, PacketFailure> {
        let Audited {
            purchases,
            items,
            left_out,
        } = audited::of(self.store, self.session, self.deadline).await?;
        let Some(kept) = &purchases else {
            return Ok(AuditAnswer::Uncompared(self.uncompared(left_out)));
        };
        if kept.column(Param::TransactionId).is_none() {
            let why = "the statements keep no :transaction_id, so that tandem's rows can't be told \
                       from others";
            return Ok(AuditAnswer::NotKept(why.into()));
        }
        let within = match kept.column(Param::PurchaseTime) {
            Some(column) => {
                let mut within = format!("kept.{column} BETWEEN ");
                encode::time(&mut within, since);
                within.push_str(" AND ");
                encode::time(&mut within, until);
                within
            }
            None => "1".to_owned(),
        };
        let id = kept.id_in_source();
        let mut bound = String::new();
        encode::text(&mut bound, after);
        // By the unique key: there need be no index on the time. Each page looks at so many rows,
        // whether they are of the time or not.
        let query = format!(
            "SELECT {within}, {} FROM {} WHERE {id} > {bound} ORDER BY {id} LIMIT {ROWS_MAX}",
            self.columns(kept, &PURCHASE),
            kept.source(),
        );
        let rows = self.session.query(&query, self.deadline).await?;
        let mut purchases = Vec::new();
        for row in &rows {
            if answer::field(row, 0)? == "1" {
                purchases.push(self.purchase(kept, row, 1)?);
            }
        }
        let next = match rows.get(ROWS_MAX - 1) {
            Some(last) => Some(answer::field(last, 1)?),
            None => None,
        };
        if let Some(items) = &items
            && !purchases.is_empty()
        {
            let ids: Vec<String> = purchases.iter().map(|p| p.purchase_id.clone()).collect();
            let condition = format!("{} IN ({})", items.id_in_source(), listed(&ids));
            self.add_items(items, &condition, &mut purchases).await?;
        }
        Ok(AuditAnswer::Rows(RowsPage { purchases, next }))
    }

    async fn add_items(
        &mut self,
        kept: &Kept,
        condition: &str,
        purchases: &mut [KeptPurchase],
    ) -> Result<(), PacketFailure> {
        let query = format!(
            "SELECT {} FROM {} WHERE {condition}",
            self.columns(kept, &ITEM),
            kept.source()
        );
        let rows = self.session.query(&query, self.deadline).await?;
        let mut items: HashMap<String, Vec<KeptItem>> = HashMap::new();
        for row in &rows {
            let cell = |at: usize| cell(kept, &ITEM, row, at, 0);
            let item = KeptItem {
                sku: cell(1)?,
                quantity: cell(2)?.map(|text| number(&text)),
                unit_price_minor: cell(3)?.map(|text| number(&text)),
                item_number: cell(4)?.map(|text| number(&text)),
                more: self.more(kept, row, ITEM.len())?,
            };
            let id = comparable(&answer::field(row, 0)?);
            items.entry(id).or_default().push(item);
        }
        for purchase in purchases {
            let found = items.get(&comparable(&purchase.purchase_id));
            purchase.items = Some(found.cloned().unwrap_or_default());
        }
        Ok(())
    }

    /// The columns of the parameters, in their order, and those of what else is read; NULL for what is not kept,
    /// and a time in seconds of the Unix epoch.
    fn columns(&self, kept: &Kept, params: &[Param]) -> String {
        let column = |param: &Param| match (param, kept.column(param.clone())) {
            (Param::PurchaseId, _) => kept.id_in_source(),
            (_, None) => "NULL".to_owned(),
            (Param::PurchaseTime, Some(column)) => format!("UNIX_TIMESTAMP(kept.{column})"),
            (_, Some(column)) => format!("kept.{column}"),
        };
        let more = kept.plain().filter(|(param, _)| is_more(param));
        // NULL is told from an empty text by the letter.
        let more = more.map(|(param, column)| match self.is_time(param) {
            true => format!("CONCAT('v', UNIX_TIMESTAMP(kept.{column}))"),
            false => format!("CONCAT('v', kept.{column})"),
        });
        let columns: Vec<String> = params.iter().map(column).chain(more).collect();
        columns.join(", ")
    }

    fn is_time(&self, param: &Param) -> bool {
        let attributes = self.store.settings.templates.attributes();
        audited::shape(param, attributes) == Some(Shape::Time)
    }

    /// What else is read, from this column of the row on.
    fn more(&self, kept: &Kept, row: &MySqlRow, from: usize) -> Result<More, PacketFailure> {
        let params = kept.plain().filter(|(param, _)| is_more(param));
        let value = |(at, (param, _)): (usize, (&Param, &str))| {
            let text = answer::field(row, from + at)?;
            let text = text
                .strip_prefix('v')
                .map(|text| match self.is_time(param) {
                    true => micros(text).to_string(),
                    false => text.to_owned(),
                });
            Ok((param.name().into_owned(), text))
        };
        params.enumerate().map(value).collect()
    }

    /// A purchase's row, from this column on.
    fn purchase(
        &self,
        kept: &Kept,
        row: &MySqlRow,
        from: usize,
    ) -> Result<KeptPurchase, PacketFailure> {
        let cell = |at: usize| cell(kept, &PURCHASE, row, at, from);
        Ok(KeptPurchase {
            purchase_id: answer::field(row, from)?,
            customer_id: cell(1)?,
            currency: cell(2)?,
            total_minor: cell(3)?.map(|text| number(&text)),
            transaction_id: cell(4)?,
            purchase_time: cell(5)?.map(|text| Timestamp(micros(&text) / 1_000)),
            items: None,
            more: self.more(kept, row, from + PURCHASE.len())?,
        })
    }
}

/// What a column holds, if the statements keep something there; NULL is an empty text.
fn cell(
    kept: &Kept,
    params: &[Param],
    row: &MySqlRow,
    at: usize,
    from: usize,
) -> Result<Option<String>, PacketFailure> {
    match kept.column(params[at].clone()) {
        None => Ok(None),
        Some(_) => answer::field(row, from + at).map(Some),
    }
}

/// A number as a column of any numeric type prints it. What is none, as NULL, is no purchase's
/// number either, so that it is told as a difference.
fn number(text: &str) -> i64 {
    let whole = text.split_once('.').map_or(text, |(whole, fraction)| {
        if fraction.bytes().all(|digit| digit == b'0') {
            whole
        } else {
            text
        }
    });
    whole.parse().unwrap_or(i64::MIN)
}

/// Microseconds since 1970 from seconds as the server prints them, with a fraction or without. What is none, as
/// NULL, is the epoch's begin, at which nothing was decided.
fn micros(seconds: &str) -> u64 {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let fraction = format!("{fraction:0<6}");
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let whole = number(Some(whole)).saturating_mul(1_000_000);
    whole.saturating_add(number(fraction.get(..6)))
}

fn listed(ids: &[String]) -> String {
    let mut list = String::new();
    for id in ids {
        if !list.is_empty() {
            list.push_str(", ");
        }
        encode::text(&mut list, id);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_with_any_fraction() {
        for (text, time) in [
            ("1772366400.007", 1_772_366_400_007_000),
            ("1772366400", 1_772_366_400_000_000),
            ("1772366400.5", 1_772_366_400_500_000),
            ("1772366400.007900", 1_772_366_400_007_900),
            ("", 0),
        ] {
            assert_eq!(micros(text), time, "{text}");
        }
    }
}
