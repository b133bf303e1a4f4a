//! The server's variables that decide whether it keeps what it has acknowledged.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::danger::{Danger, PACKET_BYTES_MIN};
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::server::{Flavour, Server};

/// What is unsafe about them.
pub(crate) async fn of(
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<Danger>, PacketFailure> {
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
        .map(|row| Ok((answer::field(row, 0)?, answer::field(row, 1)?)))
        .collect::<Result<_, PacketFailure>>()?;
    Ok(unsafe_ones(&values, &session.server))
}

fn unsafe_ones(values: &HashMap<String, String>, server: &Server) -> Vec<Danger> {
    let value = |name: &str| values.get(name).map_or("", String::as_str).to_owned();
    let is_on = |name: &str| matches!(&*value(name), "ON" | "1");
    let mut found = Vec::new();
    let flush = value("innodb_flush_log_at_trx_commit");
    if flush != "1" {
        found.push(Danger::FlushLogNotAtCommit { value: flush });
    }
    if is_on("log_bin") {
        let sync = value("sync_binlog");
        if sync != "1" {
            found.push(Danger::BinlogNotSynced { value: sync });
        }
        if value("binlog_format") == "STATEMENT" {
            found.push(Danger::BinlogFormatStatement);
        }
    }
    // MySQL's DETECT_ONLY writes no pages to mend with, MariaDB's FAST does not wait for them.
    let doublewrite = value("innodb_doublewrite");
    if !["ON", "1", "DETECT_AND_RECOVER"].contains(&&*doublewrite) {
        found.push(Danger::DoublewriteOff { value: doublewrite });
    }
    let provider = value("wsrep_provider");
    if is_on("wsrep_on") || !["", "none"].contains(&&*provider) {
        found.push(Danger::Galera { provider });
    }
    if is_on("read_only") || is_on("super_read_only") {
        found.push(Danger::ReadOnly);
    }
    if server.flavour == Flavour::MySql && !server.detaches {
        found.push(Danger::XaDetachOff);
    }
    let bytes = server.packet_bytes_max;
    if bytes < PACKET_BYTES_MIN {
        found.push(Danger::PacketTooSmall { bytes });
    }
    found
}
