//! An entry by itself within a transaction: what it does can be undone without the others.

use tandem_protocol::Entry;

use crate::session::connection::Session;
use crate::sql::fill::Begun;
use crate::sql::line::Line;
use crate::store::Store;

const SAVEPOINT: &str = "SAVEPOINT tandem_entry";

/// Undoes what the last entry did.
pub(crate) const UNDO: &str = "ROLLBACK TO SAVEPOINT tandem_entry";

/// The statements of one entry, behind the place to which it can be undone.
pub(crate) fn statements<'a>(
    store: &'a Store,
    session: &Session,
    begun: Begun<'_>,
    entry: &Entry,
) -> Vec<Line<'a>> {
    let templates = &store.settings.templates;
    let mut statements = vec![Line::from(SAVEPOINT.to_owned())];
    statements.extend(templates.render(begun, &[entry], session.server.statement_bytes()));
    statements
}
