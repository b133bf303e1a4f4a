//! tandem's tables: created where they are missing, and brought to the present layout where an older
//! tandem made them.
//!
//! Branches in doubt hold metadata locks on `tandem_branches`, and only a coordinator that has
//! enlisted can end them. So nothing here waits for them: all that enlisting needs is in a table of
//! its own, and the columns of layout 2 are added when no branch is in doubt. Until then marker rows
//! are written without them.

use std::collections::BTreeSet;

use tandem_participant::{Error, PreparedId};
use tokio::time::Instant;

use crate::preflight::rehearsal;
use crate::records::{xa_recover, xid};
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::{answer, codes};
use crate::sql::tables::{self, ALTER_BRANCHES, LAYOUT, LAYOUT_COMMENT};
use crate::store::Store;

/// When the columns are to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Only while nothing of tandem's is prepared: what is, may wait for this very enlistment.
    Enlisting,
    /// Also while what is prepared was not so at the look before: others' purchases wait for it, and
    /// it for them, for `lock_wait_timeout_s` at most.
    Running,
}

/// Whether the tables are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    Present,
    Missing,
    Created,
}

/// Makes the tables that are missing.
pub(crate) async fn create(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Tables, Error> {
    if look(store, session, deadline).await? == Tables::Present {
        return Ok(Tables::Present);
    }
    let ddl = tables::ddl(store.settings.default_schema);
    match session.run(&ddl.join("; "), deadline).await {
        Ok(_) => Ok(Tables::Created),
        Err(failure) if failure.number().is_some() => Err(Error::Invalid {
            detail: by_hand(store, &failure.cause.to_string()),
        }),
        Err(failure) => Err(failure.into_error("creating tandem's tables")),
    }
}

/// Whether they could be made, without making one: what to do by hand where not.
pub(crate) async fn rehearse(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    for sql in tables::ddl(store.settings.default_schema) {
        if let Some(refusal) = rehearsal::of(session, sql, deadline).await? {
            return Ok(Some(by_hand(store, &refusal)));
        }
    }
    Ok(None)
}

fn by_hand(store: &Store, reason: &str) -> String {
    format!(
        "tables are missing at {} ({reason}); create them: {};",
        store.settings.address,
        tables::ddl(store.settings.default_schema).join("; ")
    )
}

/// Whether there is one to make; an error where it may not be made, or a newer tandem made them.
pub(crate) async fn look(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Tables, Error> {
    let default_schema = store.settings.default_schema;
    let names = tables::names(default_schema);
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let query = format!(
        "SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND \
         TABLE_NAME IN ({})",
        quoted.join(", ")
    );
    let comments: Vec<String> = session
        .query(&query, deadline)
        .await
        .and_then(|rows| rows.iter().map(|row| answer::field(row, 0)).collect())
        .map_err(|failure| failure.into_error("looking for tandem's tables"))?;
    let layout = comments
        .iter()
        .find_map(|comment| comment.strip_prefix(LAYOUT_COMMENT)?.parse::<u32>().ok());
    if let Some(layout) = layout
        && layout > LAYOUT
    {
        return Err(Error::Invalid {
            detail: format!(
                "tandem's tables at {} are of layout {layout}, and this tandem knows layout \
                 {LAYOUT}: a newer tandem made them; start that one",
                store.settings.address
            ),
        });
    }
    if comments.len() == names.len() {
        return Ok(Tables::Present);
    }
    if !store.settings.create_tables {
        return Err(Error::Invalid {
            detail: by_hand(store, "create_tables is false"),
        });
    }
    Ok(Tables::Missing)
}

/// Adds the columns of layout 2 where they are missing, if that may be done now. Gives what keeps
/// it from being done, for a person.
pub(crate) async fn migrate(
    store: &Store,
    session: &mut Session,
    moment: Moment,
    deadline: Instant,
) -> Result<Option<String>, PacketFailure> {
    if store.layout.has_contents() {
        return Ok(None);
    }
    match columns(session, deadline).await? {
        Columns::NoTable => return Ok(None),
        Columns::All => {
            store.layout.set_has_contents();
            return Ok(None);
        }
        Columns::Old => {}
    }
    if !store.settings.create_tables {
        return Ok(Some("create_tables is false".into()));
    }
    let prepared = prepared(store, session, deadline).await?;
    let is_quiet = prepared.is_empty();
    let are_new = store.layout.are_new(prepared);
    if !(is_quiet || moment == Moment::Running && are_new) {
        return Ok(Some("branches are in doubt, which lock the table".into()));
    }
    match session.run(ALTER_BRANCHES, deadline).await {
        Ok(_) => {
            tracing::info!(participant = %store.name, "tandem's tables are of layout {LAYOUT} now")
        }
        // Another coordinator was first.
        Err(failure) if failure.number() == Some(codes::DUPLICATE_COLUMN) => {}
        Err(failure) if failure.number().is_some() => return Ok(Some(failure.cause.to_string())),
        Err(failure) => return Err(failure),
    }
    store.layout.set_has_contents();
    Ok(None)
}

/// Columns of `tandem_branches`.
enum Columns {
    NoTable,
    Old,
    All,
}

async fn columns(session: &mut Session, deadline: Instant) -> Result<Columns, PacketFailure> {
    let query = "SELECT COUNT(*), COUNT(IF(COLUMN_NAME IN ('entries', 'participants'), 1, NULL)) FROM \
                 information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = \
                 'tandem_branches'";
    let rows = session.query(query, deadline).await?;
    let (all, new) = (answer::number(&rows, 0)?, answer::number(&rows, 1)?);
    Ok(match (all, new) {
        (0, _) => Columns::NoTable,
        (_, 2) => Columns::All,
        _ => Columns::Old,
    })
}

/// What of tandem is prepared at the server, of any participant: all share the table. Where the
/// user may not ask, the lock's own timeout has to do.
async fn prepared(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<BTreeSet<String>, PacketFailure> {
    let listed = match xa_recover::listed(session, &store.name, deadline).await {
        Err(failure) if failure.number() == Some(codes::XA_RESOURCE_ERROR) => Vec::new(),
        listed => listed?,
    };
    let names = listed.into_iter().filter_map(|id| match id {
        PreparedId::Transaction(transaction) => Some(transaction.to_string()),
        PreparedId::Foreign(text) => text
            .starts_with(&format!("{}:", xid::FORMAT_ID))
            .then_some(text),
    });
    Ok(names.collect())
}
