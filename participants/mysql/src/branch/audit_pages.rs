//! What an audit is shown: marker rows, and the app's rows as far as the statements say where they
//! keep what. Plain reads of what is committed, each bounded: nothing waits for them.

use std::collections::HashMap;

use tandem_participant::Error;
use tandem_participant::audit_question::{
    AuditAnswer, AuditQuestion, KeptItem, KeptPurchase, MemoryPage, Remembered, RowsPage,
};
use tandem_protocol::{CoordinatorId, Timestamp, TransactionId};
use tokio::time::Instant;

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
        let store = self.store;
        let (Some(kept), items) = store.settings.templates.kept() else {
            return Ok(AuditAnswer::NotKept(NO_COLUMN.into()));
        };
        if ids.is_empty() {
            return Ok(AuditAnswer::Purchases(Vec::new()));
        }
        let condition = |kept: &Kept| format!("{} IN ({})", kept.id_column(), listed(ids));
        let columns = columns(kept, &PURCHASE);
        let query = format!(
            "SELECT {columns} FROM {} WHERE {} LIMIT {ROWS_MAX}",
            kept.table,
            condition(kept)
        );
        let rows = self.session.query(&query, self.deadline).await?;
        let mut purchases = Vec::with_capacity(rows.len());
        for row in &rows {
            purchases.push(purchase(kept, row)?);
        }
        if let Some(items) = items {
            self.add_items(items, &condition(items), &mut purchases)
                .await?;
        }
        Ok(AuditAnswer::Purchases(purchases))
    }

    async fn rows(
        &mut self,
        since: Timestamp,
        until: Timestamp,
        after: &str,
    ) -> Result<AuditAnswer, PacketFailure> {
        let store = self.store;
        let (Some(kept), items) = store.settings.templates.kept() else {
            return Ok(AuditAnswer::NotKept(NO_COLUMN.into()));
        };
        if kept.column(Param::TransactionId).is_none() {
            let why = "the statements keep no :transaction_id, so that tandem's rows can't be told \
                       from others";
            return Ok(AuditAnswer::NotKept(why.into()));
        }
        let within = match kept.column(Param::PurchaseTime) {
            Some(column) => {
                let mut within = format!("{column} BETWEEN ");
                encode::time(&mut within, since);
                within.push_str(" AND ");
                encode::time(&mut within, until);
                within
            }
            None => "1".to_owned(),
        };
        let id = kept.id_column();
        let mut bound = String::new();
        encode::text(&mut bound, after);
        // By the unique key: there need be no index on the time. Each page looks at so many rows,
        // whether they are of the time or not.
        let query = format!(
            "SELECT {}, {within} FROM {} WHERE {id} > {bound} ORDER BY {id} LIMIT {ROWS_MAX}",
            columns(kept, &PURCHASE),
            kept.table,
        );
        let rows = self.session.query(&query, self.deadline).await?;
        let flag = PURCHASE.len();
        let mut purchases = Vec::new();
        for row in &rows {
            if answer::field(row, flag)? == "1" {
                purchases.push(purchase(kept, row)?);
            }
        }
        let next = match rows.get(ROWS_MAX - 1) {
            Some(last) => Some(answer::field(last, 0)?),
            None => None,
        };
        if let Some(items) = items
            && !purchases.is_empty()
        {
            let ids: Vec<String> = purchases.iter().map(|p| p.purchase_id.clone()).collect();
            let condition = format!("{} IN ({})", items.id_column(), listed(&ids));
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
            columns(kept, &ITEM),
            kept.table
        );
        let rows = self.session.query(&query, self.deadline).await?;
        let mut items: HashMap<String, Vec<KeptItem>> = HashMap::new();
        for row in &rows {
            let cell = |at: usize| cell(kept, &ITEM, row, at);
            let item = KeptItem {
                sku: cell(1)?,
                quantity: cell(2)?.map(|text| number(&text)),
                unit_price_minor: cell(3)?.map(|text| number(&text)),
            };
            items.entry(answer::field(row, 0)?).or_default().push(item);
        }
        for purchase in purchases {
            purchase.items = Some(
                items
                    .get(&purchase.purchase_id)
                    .cloned()
                    .unwrap_or_default(),
            );
        }
        Ok(())
    }
}

const NO_COLUMN: &str = "the statements name no column for :purchase_id, so that its row can't be \
                         looked up";

const PURCHASE: [Param; 5] = [
    Param::PurchaseId,
    Param::CustomerId,
    Param::Currency,
    Param::TotalMinor,
    Param::TransactionId,
];

const ITEM: [Param; 4] = [
    Param::PurchaseId,
    Param::Sku,
    Param::Quantity,
    Param::UnitPriceMinor,
];

/// The columns of the parameters, in their order; NULL for what is not kept.
fn columns(kept: &Kept, params: &[Param]) -> String {
    let columns: Vec<&str> = params
        .iter()
        .map(|param| kept.column(param.clone()).unwrap_or("NULL"))
        .collect();
    columns.join(", ")
}

fn purchase(kept: &Kept, row: &sqlx::mysql::MySqlRow) -> Result<KeptPurchase, PacketFailure> {
    let cell = |at: usize| cell(kept, &PURCHASE, row, at);
    Ok(KeptPurchase {
        purchase_id: answer::field(row, 0)?,
        customer_id: cell(1)?,
        currency: cell(2)?,
        total_minor: cell(3)?.map(|text| number(&text)),
        transaction_id: cell(4)?,
        items: None,
    })
}

/// What a column holds, if the statements keep something there; NULL is an empty text.
fn cell(
    kept: &Kept,
    params: &[Param],
    row: &sqlx::mysql::MySqlRow,
    at: usize,
) -> Result<Option<String>, PacketFailure> {
    match kept.column(params[at].clone()) {
        None => Ok(None),
        Some(_) => answer::field(row, at).map(Some),
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
