//! The lives of a server.
//!
//! A life is named by which server it is, by its start, and by a number that is kept in the
//! coordinator's row. Another one begins, and with it the coordinator looks through everything that
//! it remembers, when the server is another or was started again, and when it does not know a commit
//! that it acknowledged: it was restored from a copy, or is a replica that lagged behind.

use std::collections::BTreeMap;

use tandem_participant::{Acknowledged, Enlist};
use tandem_protocol::{CoordinatorId, Epoch, Timestamp, TransactionId};
use tokio::time::Instant;

use crate::coordinators::{self, Known, condition};
use crate::evidence;
use crate::participant::{self, Store};
use crate::server::Server;
use crate::session::{self, Failure, Session};

/// What the tables say of a coordinator; an empty incarnation where no life of it has begun yet.
pub(crate) async fn read(
    store: &Store,
    session: &mut Session,
    coordinator: &CoordinatorId,
    deadline: Instant,
) -> Result<Option<Known>, Failure> {
    let query = format!(
        "SELECT epoch, forgotten_epoch, forgotten_sequence, IFNULL(closed_epoch, 0), \
         IFNULL(closed_sequence, 0), incarnation FROM tandem_coordinators LEFT JOIN tandem_lives \
         USING (participant, coordinator) WHERE {}",
        condition(store, coordinator)
    );
    let rows = session.query(&query, deadline).await?;
    rows.first()
        .map(|row| {
            Ok(Known {
                epoch: Epoch(session::field_number(row, 0)?),
                forgotten: coordinators::point(row, 1)?,
                closed: coordinators::point(row, 3)?,
                incarnation: session::field(row, 5)?,
            })
        })
        .transpose()
}

/// Whether it is a life of this run of the server.
pub(crate) fn is_of(incarnation: &str, server: &Server) -> bool {
    incarnation
        .rsplit_once('.')
        .is_some_and(|(run, _)| run == server.identity)
}

/// The life in which the coordinator is to be enlisted: the one that its row names, unless the
/// server is another, runs anew, or has lost something. Called under the row's lock, on a session
/// that was just opened.
pub(crate) async fn present(
    store: &Store,
    session: &mut Session,
    enlist: &Enlist,
    forgotten: (Epoch, u64),
    deadline: Instant,
) -> Result<String, Failure> {
    let coordinator = &enlist.coordinator;
    let query = format!(
        "SELECT incarnation, connection_id FROM tandem_lives WHERE {}",
        condition(store, coordinator)
    );
    let rows = session.query(&query, deadline).await?;
    let (before, connection_id) = match rows.first() {
        Some(row) => (session::field(row, 0)?, session::field_number(row, 1)?),
        None => (String::new(), 0),
    };
    // Connection ids grow in one run, and two runs may begin in the same second.
    let is_same_run = is_of(&before, &session.server) && session.id > connection_id;
    let needed = needed(&enlist.acknowledged, coordinator, |transaction| {
        (transaction.epoch, transaction.sequence) < forgotten
    });
    let lost = missing(store, session, &needed, deadline).await?;
    let number = before
        .rsplit_once('.')
        .and_then(|(_, number)| number.parse().ok());
    let incarnation = match number {
        Some(_) if is_same_run && lost.is_empty() => before,
        number => begun(number.unwrap_or(0), &session.server, participant::now()),
    };
    if !lost.is_empty() {
        tracing::error!(
            coordinator = %coordinator,
            participant = %store.name,
            incarnation,
            "the server does not know commits that it acknowledged, {}: it was restored from a \
             copy, or a replica that lagged behind has taken its place",
            listed(&lost)
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

/// The commits of the coordinator that the server must know, but for those that it may have
/// forgotten.
pub(crate) fn needed(
    acknowledged: &Acknowledged,
    coordinator: &CoordinatorId,
    is_forgotten: impl Fn(&TransactionId) -> bool,
) -> Vec<TransactionId> {
    let own = acknowledged.committed.iter().filter(|transaction| {
        transaction.coordinator == *coordinator && !is_forgotten(transaction)
    });
    let mut needed: Vec<TransactionId> = own.cloned().collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// Those of the transactions, all of one coordinator, whose marker rows are not there as committed.
pub(crate) async fn missing(
    store: &Store,
    session: &mut Session,
    transactions: &[TransactionId],
    deadline: Instant,
) -> Result<Vec<TransactionId>, Failure> {
    let mut missing = Vec::new();
    // A query for each epoch, since a list of pairs makes MariaDB 10.11 scan all rows.
    for (epoch, some) in by_epoch(transactions) {
        let query = format!(
            "SELECT `sequence` FROM tandem_branches WHERE {} AND epoch = {epoch} AND `sequence` IN \
             ({}) AND {}",
            condition(store, &some[0].coordinator),
            sequences(&some),
            evidence::committed_condition()
        );
        let rows = session.query(&query, deadline).await?;
        let there: Vec<u64> = rows
            .iter()
            .map(|row| session::field_number(row, 0))
            .collect::<Result<_, _>>()?;
        let lost = |id: &&&TransactionId| !there.contains(&id.sequence);
        missing.extend(some.iter().filter(lost).map(|id| (*id).clone()));
    }
    Ok(missing)
}

/// The transactions of each epoch.
pub(crate) fn by_epoch(transactions: &[TransactionId]) -> BTreeMap<Epoch, Vec<&TransactionId>> {
    let mut by_epoch: BTreeMap<Epoch, Vec<&TransactionId>> = BTreeMap::new();
    for transaction in transactions {
        by_epoch
            .entry(transaction.epoch)
            .or_default()
            .push(transaction);
    }
    by_epoch
}

/// Their sequences as a list of SQL.
pub(crate) fn sequences(transactions: &[&TransactionId]) -> String {
    let texts: Vec<String> = transactions
        .iter()
        .map(|transaction| transaction.sequence.to_string())
        .collect();
    texts.join(", ")
}

/// Their ids, for people.
pub(crate) fn listed(transactions: &[TransactionId]) -> String {
    let texts: Vec<String> = transactions.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
