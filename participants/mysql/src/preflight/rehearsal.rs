//! The app's statements, tried at the server without carrying them out.

use std::sync::Arc;

use tandem_participant::{Error, clock};
use tandem_protocol::{Entry, Epoch, Item, Purchase, TransactionId};
use tokio::time::Instant;

use crate::session::codes::Class;
use crate::session::connection::Session;
use crate::sql::encode;
use crate::sql::fill::Begun;
use crate::store::Store;

/// Lets the server parse each statement and look up what it names: tables, columns and rights that
/// are missing are told here, and not by the first purchase.
///
/// [`Error::Invalid`] with the server's words. What an error of another kind says is left to the
/// purchases: it may be of the values, which are made up.
pub(crate) async fn of_statements(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<(), Error> {
    let (transaction, entry) = sample();
    let bytes_max = session.server.statement_bytes();
    let templates = &store.settings.templates;
    let begun = Begun {
        transaction: &transaction,
        time: clock::now(),
    };
    let lines = templates.render(begun, &[&entry], bytes_max);
    let statements = lines.iter().filter(|line| line.guard().is_none());
    for (statement, number) in statements.zip(1..) {
        let mut text = String::new();
        encode::text(&mut text, &statement.sql);
        // A PREPARE takes a plain literal or a variable.
        let packet = format!(
            "SET @tandem_rehearsal = {text}; PREPARE tandem_rehearsal FROM @tandem_rehearsal; \
             DEALLOCATE PREPARE tandem_rehearsal"
        );
        let Err(failure) = session.run(&packet, deadline).await else {
            continue;
        };
        match failure.class() {
            Some(Class::Configuration) => {
                return Err(Error::Invalid {
                    detail: format!(
                        "statement {number} can't run at {}: {}",
                        store.settings.address, failure.cause
                    ),
                });
            }
            Some(_) => {}
            None => return Err(failure.into_error("trying the statements")),
        }
    }
    Ok(())
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
