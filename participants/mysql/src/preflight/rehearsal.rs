//! The app's statements, tried at the server without carrying them out.

use std::sync::Arc;

use tandem_participant::{Error, clock};
use tandem_protocol::{Entry, Epoch, Item, Purchase, TransactionId};
use tokio::time::Instant;

use crate::preflight::columns::{self, Columns};
use crate::session::codes::Class;
use crate::session::connection::Session;
use crate::sql::encode;
use crate::sql::fill::Begun;
use crate::sql::template::Template;
use crate::store::Store;

/// What is wrong with the first statement that can't run, in the server's words: a table, a column or a right is
/// missing, and the first purchase would have told it.
pub(crate) async fn of_statements(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    let (transaction, entry) = sample();
    let bytes_max = session.server.statement_bytes();
    let templates = &store.settings.templates;
    let begun = Begun {
        transaction: &transaction,
        time: clock::now(),
    };
    let lines = templates.render(begun, &[&entry], bytes_max);
    let statements = lines.iter().filter(|line| line.guard().is_none());
    let columns = columns::of(session, templates, deadline)
        .await
        .map_err(|failure| failure.into_error("looking at the statements' columns"))?;
    for (statement, template) in statements.zip(templates.each()) {
        let refusal = match of(session, &statement.sql, deadline).await? {
            None => generated(template, &columns),
            refusal => refusal,
        };
        if let Some(refusal) = refusal {
            return Ok(Some(format!(
                "{} can't run at {}: {refusal}",
                template.located, store.settings.address
            )));
        }
    }
    Ok(None)
}

/// That a statement writes to a column which the table makes of others: MariaDB tells it only when a row is
/// written.
fn generated(template: &Template, columns: &Columns) -> Option<String> {
    let kept = template.kept.as_ref()?;
    let plain = kept.plain().map(|(_, column)| column);
    let mut written = plain.chain(kept.made()).chain(kept.constants());
    let is_generated = |column: &&str| {
        let facts = columns.of(&kept.table, column);
        facts.is_some_and(|facts| facts.is_generated)
    };
    let column = written.find(is_generated)?;
    Some(format!(
        "{column} of {} is a generated column, to which nothing can be written",
        kept.table
    ))
}

/// Lets the server parse a statement and look up what it names. What an error of another kind says is left to
/// the purchases: it may be of the values, which are made up.
pub(crate) async fn of(
    session: &mut Session,
    sql: &str,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    let mut text = String::new();
    encode::text(&mut text, sql);
    // A PREPARE takes a plain literal or a variable.
    let packet = format!(
        "SET @tandem_rehearsal = {text}; PREPARE tandem_rehearsal FROM @tandem_rehearsal; DEALLOCATE PREPARE \
         tandem_rehearsal"
    );
    let Err(failure) = session.run(&packet, deadline).await else {
        return Ok(None);
    };
    match failure.class() {
        Some(Class::Configuration) => Ok(Some(failure.cause.to_string())),
        Some(_) => Ok(None),
        None => Err(failure.into_error("trying the statements")),
    }
}

/// One purchase of one item, so that each template makes one statement.
fn sample() -> (TransactionId, Entry) {
    let transaction = TransactionId {
        coordinator: "tandem".parse().expect("well formed"),
        epoch: Epoch(1),
        sequence: 1,
    };
    let purchase = Purchase {
        purchase_id: "tandem".into(),
        customer_id: "tandem".into(),
        currency: "EUR".into(),
        items: vec![Item {
            sku: "tandem".into(),
            quantity: 1,
            unit_price_minor: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    let entry = Entry {
        number: 0,
        purchase: Arc::new(purchase),
    };
    (transaction, entry)
}
