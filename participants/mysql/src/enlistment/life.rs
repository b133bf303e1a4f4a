//! The life in which a coordinator is enlisted, and when another one begins.

use tandem_participant::{Enlist, clock};
use tandem_protocol::{Epoch, Timestamp};
use tokio::time::Instant;

use crate::records::lives::{condition, is_of, needed};
use crate::records::{evidence, ids};
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::server::Server;
use crate::store::Store;

/// The life in which the coordinator is to be enlisted: the one that its row names, unless the
/// server is another, runs anew, or has lost something. Called under the row's lock, on a session
/// that was just opened.
pub(super) async fn present(
    store: &Store,
    session: &mut Session,
    enlist: &Enlist,
    forgotten: (Epoch, u64),
    deadline: Instant,
) -> Result<String, PacketFailure> {
    let coordinator = &enlist.coordinator;
    let query = format!(
        "SELECT incarnation, connection_id FROM tandem_lives WHERE {}",
        condition(&store.name, coordinator)
    );
    let rows = session.query(&query, deadline).await?;
    let (before, connection_id) = match rows.first() {
        Some(row) => (answer::field(row, 0)?, answer::field_number(row, 1)?),
        None => (String::new(), 0),
    };
    // Connection ids grow in one run, and two runs may begin in the same second.
    let is_same_run = is_of(&before, &session.server) && session.id > connection_id;
    let needed = needed(&enlist.acknowledged, coordinator, |transaction| {
        (transaction.epoch, transaction.sequence) < forgotten
    });
    let lost = evidence::missing(session, &store.name, &needed, deadline).await?;
    let number = before
        .rsplit_once('.')
        .and_then(|(_, number)| number.parse().ok());
    let incarnation = match number {
        Some(_) if is_same_run && lost.is_empty() => before,
        number => begun(number.unwrap_or(0), &session.server, clock::now()),
    };
    if !lost.is_empty() {
        tracing::error!(
            coordinator = %coordinator,
            participant = %store.name,
            incarnation,
            "the server does not know commits that it acknowledged, {}: it was restored from a \
             copy, or a replica that lagged behind has taken its place",
            ids::listed(&lost)
        );
    }
    let columns = "participant, coordinator, incarnation, connection_id";
    let write = format!(
        "INSERT INTO tandem_lives ({columns}) VALUES ('{}', '{coordinator}', '{incarnation}', {id}) \
         ON DUPLICATE KEY UPDATE incarnation = '{incarnation}', connection_id = {id}",
        store.name,
        id = session.id
    );
    session.run(&write, deadline).await?;
    Ok(incarnation)
}

/// Names a life that begins now. Its number is the time, so that a server that is put back in time
/// twice does not give one name to two lives.
fn begun(before: u64, server: &Server, now: Timestamp) -> String {
    format!("{}.{}", server.identity, now.0.max(before + 1))
}
