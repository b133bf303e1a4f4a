//! Settings of the server that would lose or block decided purchases.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::mysql::MySqlRow;
use tandem_participant::{Description, Error, Finding};
use tokio::time::Instant;

use crate::codes;
use crate::folding;
use crate::layout::{self, Moment};
use crate::participant::Store;
use crate::recover;
use crate::server::Flavour;
use crate::session::{self, Failure, Session};
use crate::tables;
use crate::unique::{self, Keys};

/// Names of all findings.
pub(crate) const FINDINGS: [&str; 15] = [
    FLUSH_LOG_NOT_AT_COMMIT,
    BINLOG_NOT_SYNCED,
    BINLOG_FORMAT_STATEMENT,
    DOUBLEWRITE_OFF,
    READ_ONLY,
    REPLICA,
    REPLICA_STATE_UNKNOWN,
    XA_DETACH_OFF,
    XA_RECOVER_REFUSED,
    TABLE_NOT_INNODB,
    PACKET_TOO_SMALL,
    GALERA,
    TABLES_OF_OLD_LAYOUT,
    ID_FOLDS_CASE,
    NO_UNIQUE_KEY,
];

const FLUSH_LOG_NOT_AT_COMMIT: &str = "FLUSH_LOG_NOT_AT_COMMIT";
const BINLOG_NOT_SYNCED: &str = "BINLOG_NOT_SYNCED";
const BINLOG_FORMAT_STATEMENT: &str = "BINLOG_FORMAT_STATEMENT";
const DOUBLEWRITE_OFF: &str = "DOUBLEWRITE_OFF";
const READ_ONLY: &str = "READ_ONLY";
const REPLICA: &str = "REPLICA";
const REPLICA_STATE_UNKNOWN: &str = "REPLICA_STATE_UNKNOWN";
const XA_DETACH_OFF: &str = "XA_DETACH_OFF";
const XA_RECOVER_REFUSED: &str = "XA_RECOVER_REFUSED";
const TABLE_NOT_INNODB: &str = "TABLE_NOT_INNODB";
const PACKET_TOO_SMALL: &str = "PACKET_TOO_SMALL";
const GALERA: &str = "GALERA";
const TABLES_OF_OLD_LAYOUT: &str = "TABLES_OF_OLD_LAYOUT";
const ID_FOLDS_CASE: &str = "ID_FOLDS_CASE";
const NO_UNIQUE_KEY: &str = "NO_UNIQUE_KEY";

/// How long a session that is there is waited for where no new one is let in.
const SPARE_WAIT: Duration = Duration::from_millis(500);

/// Smallest `max_allowed_packet`: one purchase of 100 items has to fit with room to spare.
const PACKET_BYTES_MIN: usize = 1 << 20;

/// What the server is and what is unsafe about it, read now, on a session of its own: so it is the
/// server that the address leads to now, also where the other sessions are on the one before.
pub(crate) async fn describe(store: &Store) -> Result<Description, Error> {
    let deadline = store.statement_deadline();
    let mut session = match store.service_sessions.lease_anew(deadline).await {
        // Those that were let in before can tell, if they are not all taken.
        Err(_) if store.admission.finding().is_some() => {
            let soon = Instant::now() + SPARE_WAIT;
            match store.service_sessions.lease(soon).await {
                Ok(session) => session,
                Err(error) => {
                    return store
                        .one_server
                        .name()
                        .map(|server| of_denied(store, server))
                        .ok_or(error);
                }
            }
        }
        leased => leased?,
    };
    let doing = "checking the server's settings";
    let mut findings = findings(store, &mut session, deadline)
        .await
        .map_err(|failure| failure.into_error(doing))?;
    let obstacle = layout::migrate(store, &mut session, Moment::Running, deadline)
        .await
        .map_err(|failure| failure.into_error(doing))?;
    findings.extend(obstacle.map(old_layout));
    let server = session.server.name.clone();
    let incarnation = store.coordinators.present_life(&session);
    session.give_back();
    Ok(Description {
        kind: "mysql".into(),
        server,
        address: store.settings.address.clone(),
        incarnation,
        findings,
    })
}

/// What is known of a server that lets nobody in any more while branches keep those who are there.
fn of_denied(store: &Store, server: String) -> Description {
    Description {
        kind: "mysql".into(),
        server,
        address: store.settings.address.clone(),
        incarnation: String::new(),
        findings: Vec::new(),
    }
}

/// Tables of the old layout lack what only a recovery from the stores alone would need: that keeps
/// nobody from working.
fn old_layout(obstacle: String) -> Finding {
    Finding {
        name: TABLES_OF_OLD_LAYOUT.into(),
        detail: format!(
            "tandem_branches has not got its new columns yet ({obstacle}); tandem tries again at \
             each sweep, and this does the same: {}",
            tables::ALTER_BRANCHES
        ),
        accepted: true,
    }
}

/// Everything found, accepted or not.
pub(crate) async fn findings(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<Finding>, Failure> {
    let keys = unique::of_ids(store, session, deadline).await?;
    let mut findings = unsafe_ones(store, session, &keys, deadline).await?;
    // It refuses purchases that nobody has made and loses none: that keeps nobody from working.
    let folding = folding::of_ids(store, session, deadline).await?;
    findings.extend(folding.into_iter().map(|detail| Finding {
        name: ID_FOLDS_CASE.into(),
        detail,
        accepted: true,
    }));
    if let Keys::Unknown(why) = keys {
        findings.push(Finding {
            name: NO_UNIQUE_KEY.into(),
            detail: format!(
                "whether a unique key refuses a purchase that comes again after tandem has forgotten it was \
                 not looked at: {why}; see to it that one does"
            ),
            accepted: true,
        });
    }
    Ok(findings)
}

async fn unsafe_ones(
    store: &Store,
    session: &mut Session,
    keys: &Keys,
    deadline: Instant,
) -> Result<Vec<Finding>, Failure> {
    let mut found = Vec::new();
    variables(session, deadline, &mut found).await?;
    replica(session, deadline, &mut found).await?;
    engines(store, session, deadline, &mut found).await?;
    if let Keys::Missing(keys) = keys {
        found.push((
            NO_UNIQUE_KEY,
            format!(
                "a purchase that comes again after tandem has forgotten it would be sold again: {keys}; or, \
                 where the table can't have one, as a partitioned one, keep the ids in a table of their own \
                 by one statement more: INSERT INTO sold (id) VALUES (:purchase_id)"
            ),
        ));
    }
    match recover::listed(session, &store.name, deadline).await {
        Err(failure) if failure.number() == Some(codes::XA_RESOURCE_ERROR) => found.push((
            XA_RECOVER_REFUSED,
            "XA RECOVER answers 1401, as MySQL does without the privilege: GRANT \
             XA_RECOVER_ADMIN ON *.* to tandem's user, else branches in doubt can't be listed"
                .into(),
        )),
        listed => drop(listed?),
    }
    Ok(found
        .into_iter()
        .map(|(name, detail)| Finding {
            name: name.into(),
            detail,
            accepted: store
                .settings
                .accept
                .iter()
                .any(|accepted| accepted == name),
        })
        .collect())
}

type Found = Vec<(&'static str, String)>;

async fn variables(
    session: &mut Session,
    deadline: Instant,
    found: &mut Found,
) -> Result<(), Failure> {
    let rows = session
        .query(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', \
             'sync_binlog', 'log_bin', 'binlog_format', 'innodb_doublewrite', 'read_only', \
             'super_read_only', 'wsrep_on', 'wsrep_provider')",
            deadline,
        )
        .await?;
    let values: HashMap<String, String> = rows
        .iter()
        .map(|row| Ok((session::field(row, 0)?, session::field(row, 1)?)))
        .collect::<Result<_, Failure>>()?;
    let value = |name: &str| values.get(name).map_or("", String::as_str);
    let is_on = |name: &str| matches!(value(name), "ON" | "1");

    let flush = value("innodb_flush_log_at_trx_commit");
    if flush != "1" {
        found.push((
            FLUSH_LOG_NOT_AT_COMMIT,
            format!(
                "innodb_flush_log_at_trx_commit is {flush}: a crash loses prepared branches and \
                 committed purchases; set it to 1"
            ),
        ));
    }
    if is_on("log_bin") {
        let sync = value("sync_binlog");
        if sync != "1" {
            found.push((
                BINLOG_NOT_SYNCED,
                format!(
                    "the binary log is on and sync_binlog is {sync}: a crash of the machine may \
                     lose prepared branches and make replicas differ; set it to 1"
                ),
            ));
        }
        if value("binlog_format") == "STATEMENT" {
            found.push((
                BINLOG_FORMAT_STATEMENT,
                "binlog_format is STATEMENT, under which READ COMMITTED can't write (error 1665); \
                 set it to MIXED or ROW"
                    .into(),
            ));
        }
    }
    // MySQL's DETECT_ONLY writes no pages to mend with, MariaDB's FAST does not wait for them.
    let doublewrite = value("innodb_doublewrite");
    if !["ON", "1", "DETECT_AND_RECOVER"].contains(&doublewrite) {
        found.push((
            DOUBLEWRITE_OFF,
            format!(
                "innodb_doublewrite is {doublewrite}: a page that is half written in a power cut \
                 is lost, unless the storage writes pages atomically; set it to ON"
            ),
        ));
    }
    let provider = value("wsrep_provider");
    if is_on("wsrep_on") || !["", "none"].contains(&provider) {
        found.push((
            GALERA,
            format!(
                "the server is a node of a Galera cluster (wsrep_provider is {provider}), where XA \
                 is not supported: each prepare fails with error 1235; purchases belong on a server \
                 that replicates in another way"
            ),
        ));
    }
    if is_on("read_only") || is_on("super_read_only") {
        found.push((
            READ_ONLY,
            "the server is read-only: nothing can be prepared, and MariaDB refuses to commit what \
             is prepared (error 1290)"
                .into(),
        ));
    }
    let server = &session.server;
    if server.flavour == Flavour::MySql && !server.detaches {
        found.push((
            XA_DETACH_OFF,
            "xa_detach_on_prepare is off: each branch in doubt keeps a session, and a session \
             lost at the wrong moment leaves a branch that only a restart of the server brings \
             back; set it to ON"
                .into(),
        ));
    }
    if server.packet_bytes_max < PACKET_BYTES_MIN {
        found.push((
            PACKET_TOO_SMALL,
            format!(
                "max_allowed_packet is {} bytes; set it to {PACKET_BYTES_MIN} or more",
                server.packet_bytes_max
            ),
        ));
    }
    Ok(())
}

async fn replica(
    session: &mut Session,
    deadline: Instant,
    found: &mut Found,
) -> Result<(), Failure> {
    let show = match session.server.flavour {
        Flavour::MariaDb => "SHOW ALL REPLICAS STATUS",
        Flavour::MySql => "SHOW REPLICA STATUS",
    };
    match session.query(show, deadline).await {
        Ok(rows) if rows.is_empty() => {}
        Ok(_) => found.push((
            REPLICA,
            "the server replicates from another: purchases belong on the primary".into(),
        )),
        Err(failure) if failure.number().is_some() => found.push((
            REPLICA_STATE_UNKNOWN,
            format!(
                "{show} was refused ({}), so whether this is a replica is not known; grant \
                 REPLICATION CLIENT (MySQL) or REPLICA MONITOR (MariaDB) to tandem's user",
                failure.cause
            ),
        )),
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// Tables of an engine without transactions keep their rows when a branch is rolled back.
async fn engines(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
    found: &mut Found,
) -> Result<(), Failure> {
    let own = tables::names(store.settings.default_schema);
    let mut names = store.settings.templates.tables();
    names.extend(own);
    names.sort_unstable();
    names.dedup();
    let conditions: Vec<String> = names
        .iter()
        .map(|name| {
            let mut condition = String::from("(TABLE_SCHEMA = ");
            let table = match name.split_once('.') {
                Some((schema, table)) => {
                    crate::encode::text(&mut condition, schema);
                    table
                }
                None => {
                    condition.push_str("DATABASE()");
                    name
                }
            };
            condition.push_str(" AND TABLE_NAME = ");
            crate::encode::text(&mut condition, table);
            condition.push(')');
            condition
        })
        .collect();
    let rows: Vec<MySqlRow> = session
        .query(
            &format!(
                "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), ENGINE FROM \
                 information_schema.TABLES WHERE ENGINE <> 'InnoDB' AND ({})",
                conditions.join(" OR ")
            ),
            deadline,
        )
        .await?;
    for row in &rows {
        found.push((
            TABLE_NOT_INNODB,
            format!(
                "table {} is of engine {}, which does not roll back with a branch; ALTER TABLE \
                 … ENGINE=InnoDB",
                session::field(row, 0)?,
                session::field(row, 1)?
            ),
        ));
    }
    Ok(())
}
