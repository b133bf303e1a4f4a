//! Whether the user has each right that is needed, tried by what it is needed for and without a trace.

use tandem_participant::Error;
use tokio::time::Instant;

use crate::rights::Right;
use crate::session::answer;
use crate::session::connection::Session;
use crate::sql::{encode, tables};
use crate::store::Store;

/// With what a server says that a right is missing (both manuals, "Server Error Message Reference"): of a
/// schema, a table, a column, or the server.
const DENIED: [u16; 4] = [1044, 1142, 1143, 1227];

/// Those that are missing. What findings of their own tell of is left to them.
pub(crate) async fn missing(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<Right>, Error> {
    let flavour = session.server.flavour;
    let mut missing = Vec::new();
    for right in &store.settings.rights {
        if right.only.is_some_and(|only| only != flavour) {
            continue;
        }
        let Some(trial) = trial(right, session, deadline).await? else {
            continue;
        };
        match session.run(&trial, deadline).await {
            Ok(_) => {}
            Err(failure)
                if failure
                    .number()
                    .is_some_and(|number| DENIED.contains(&number)) =>
            {
                missing.push(right.clone());
            }
            // A table that is not there is told elsewhere.
            Err(failure) if failure.number().is_some() => {}
            Err(failure) => return Err(failure.into_error("trying the user's rights")),
        }
    }
    Ok(missing)
}

/// What only somebody with the right can do, and does nothing.
async fn trial(
    right: &Right,
    session: &mut Session,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    let on = &right.on;
    let statement = match right.privilege {
        "PROCESS" => {
            return Ok(Some(
                "SELECT COUNT(*) FROM information_schema.INNODB_TRX".into(),
            ));
        }
        "SELECT" => format!("SELECT 1 FROM {on} LIMIT 0"),
        "INSERT" => format!("INSERT INTO {on} () VALUES ()"),
        "DELETE" => format!("DELETE FROM {on} WHERE 0"),
        "UPDATE" => match a_column(on, session, deadline).await? {
            Some(column) => format!("UPDATE {on} SET {column} = NULL WHERE 0"),
            None => return Ok(None),
        },
        "CREATE" => {
            // One that is there need not be made.
            if a_column(on, session, deadline).await?.is_some() {
                return Ok(None);
            }
            let ddl = tables::ddl(true).iter();
            let name = on.rsplit('.').next().unwrap_or_default().trim_matches('`');
            let made = ddl.zip(tables::names(true)).find(|(_, one)| **one == name);
            match made {
                Some((ddl, _)) => (*ddl).to_owned(),
                None => return Ok(None),
            }
        }
        // XA RECOVER, SHOW REPLICA STATUS and the triggers are findings of their own.
        _ => return Ok(None),
    };
    let text = encode::literal(&statement);
    Ok(Some(format!(
        "SET @tandem_rehearsal = {text}; PREPARE tandem_rehearsal FROM @tandem_rehearsal; DEALLOCATE PREPARE \
         tandem_rehearsal"
    )))
}

/// A column of a table of this name between backticks, if the user may see one.
async fn a_column(
    on: &str,
    session: &mut Session,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    let failed = |failure: crate::session::failure::PacketFailure| {
        failure.into_error("looking for a table's columns")
    };
    let query = format!(
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), \
         '`.`', REPLACE(TABLE_NAME, '`', '``'), '`') = {} LIMIT 1",
        encode::literal(on)
    );
    let rows = session.query(&query, deadline).await.map_err(failed)?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let name = answer::field(row, 0).map_err(failed)?;
    Ok(Some(encode::identifier(&name)))
}
