//! A transaction on a marker row of nobody's: prepared and rolled back, and prepared and committed.

use tandem_participant::Trial;
use tokio::time::Instant;

use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;

/// A branch of a format that no coordinator takes for its own.
const XID: &str = "'tandem.trial','tandem.trial',1";

/// The row's key: no coordinator's name is empty, and no participant's has a point.
const ROW: &str = "participant = 'tandem.trial' AND coordinator = ''";

/// Runs it on tandem's own table, which is there, and leaves nothing.
pub(crate) async fn run(session: &mut Session, deadline: Instant) -> Trial {
    // What a trial that was killed has left.
    clean(session, deadline).await;
    let done = both(session, deadline).await;
    clean(session, deadline).await;
    match done {
        Ok(None) => Trial::Passed,
        Ok(Some(what)) => Trial::Failed(what.to_owned()),
        Err(failure) => Trial::Failed(failure.cause.to_string()),
    }
}

async fn both(
    session: &mut Session,
    deadline: Instant,
) -> Result<Option<&'static str>, PacketFailure> {
    for (end, rows) in [("ROLLBACK", 0), ("COMMIT", 1)] {
        let packet = format!(
            "XA START {XID}; INSERT INTO tandem_branches (participant, coordinator, epoch, `sequence`, state, \
             connection_id, server_start, prepare_time_ms) VALUES ('tandem.trial', '', 0, 0, 2, \
             CONNECTION_ID(), 0, 0); XA END {XID}; XA PREPARE {XID}"
        );
        session.run(&packet, deadline).await?;
        session.run(&format!("XA {end} {XID}"), deadline).await?;
        let count = format!("SELECT COUNT(*) FROM tandem_branches WHERE {ROW}");
        let found = session.query(&count, deadline).await?;
        if answer::number(&found, 0)? != rows {
            return Ok(Some(match rows {
                0 => "a row was there after its branch was rolled back",
                _ => "a row was not there after its branch was committed",
            }));
        }
    }
    Ok(None)
}

/// Ends and deletes whatever of it is there. Most of it is not, which the server says as errors.
async fn clean(session: &mut Session, deadline: Instant) {
    for statement in [
        format!("XA END {XID}"),
        format!("XA ROLLBACK {XID}"),
        format!("DELETE FROM tandem_branches WHERE {ROW}"),
    ] {
        let _ = session.run(&statement, deadline).await;
    }
}
