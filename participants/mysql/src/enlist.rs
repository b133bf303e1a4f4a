//! Which coordinators are known, and which of their epochs and transactions are past.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tandem_participant::{Enlist, Enlisted, Error, KnownCoordinator, Look, Looked};
use tandem_protocol::{CoordinatorId, Epoch, TransactionId};
use tokio::time::Instant;

use crate::codes;
use crate::encode;
use crate::evidence;
use crate::participant::Store;
use crate::preflight;
use crate::prepare::Admission;
use crate::rehearsal;
use crate::session::{self, Failure, Session};
use crate::tables;

/// Longest log or instance id, in bytes.
const ID_BYTES_MAX: usize = 64;

/// Most coordinators whose rows are kept in memory; the table keeps all.
const COORDINATORS_MAX: usize = 1_024;

/// What the table says of coordinators, as far as it was read. It may be behind: the marker row's
/// own statement checks the epoch at the server again.
#[derive(Debug, Default)]
pub(crate) struct Coordinators(Mutex<HashMap<CoordinatorId, Known>>);

/// What is remembered of a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// The highest epoch enlisted; 0 for none.
    epoch: Epoch,
    /// Transactions before this epoch and sequence are forgotten.
    forgotten: (Epoch, u64),
    /// When the server was started that it was read from, in seconds since the Unix epoch.
    server_start: u64,
}

/// What the tables say of a coordinator; where there are none, nothing.
pub(crate) async fn look(store: &Store, look: &Look) -> Result<Looked, Error> {
    let deadline = store.statement_deadline();
    let mut session = store.service_sessions.lease(deadline).await?;
    let query = format!(
        "SELECT log_id, epoch, instance_id FROM tandem_coordinators WHERE {}",
        condition(store, &look.coordinator)
    );
    let doing = format!("looking for coordinator {}", look.coordinator);
    let rows = match session.query(&query, deadline).await {
        Err(failure) if failure.number() == Some(codes::NO_SUCH_TABLE) => {
            session.give_back();
            return Ok(Looked::default());
        }
        rows => rows.map_err(|failure| failure.into_error(&doing))?,
    };
    let known = rows.first().map(|row| {
        Ok(KnownCoordinator {
            log_id: session::field(row, 0)?,
            epoch: Epoch(session::field_number(row, 1)?),
            instance_id: session::field(row, 2)?,
        })
    });
    let known = known
        .transpose()
        .map_err(|failure: Failure| failure.into_error(&doing))?;
    let newest_committed = newest_committed(store, &mut session, &look.coordinator, deadline)
        .await
        .map_err(|failure| failure.into_error(&doing))?;
    session.give_back();
    Ok(Looked {
        known,
        newest_committed,
    })
}

/// Checks the server, makes the tables, and stores the epoch if no other fences it off.
pub(crate) async fn enlist(store: &Store, enlist: &Enlist) -> Result<Enlisted, Error> {
    for (name, value) in [
        ("log_id", &enlist.log_id),
        ("instance_id", &enlist.instance_id),
    ] {
        if value.is_empty() || value.len() > ID_BYTES_MAX {
            return Err(Error::Invalid {
                detail: format!(
                    "{name} must be 1 to {ID_BYTES_MAX} bytes, not {}",
                    value.len()
                ),
            });
        }
    }
    let deadline = store.statement_deadline();
    let mut session = store.service_sessions.lease(deadline).await?;
    create_tables(store, &mut session, deadline).await?;
    let findings = preflight::findings(store, &mut session, deadline)
        .await
        .map_err(|failure| failure.into_error("checking the server's settings"))?;
    if findings.iter().any(|finding| !finding.accepted) {
        session.give_back();
        return Err(Error::Unsafe { findings });
    }
    // Once a coordinator is here its decisions come first, whatever becomes of the app's tables.
    if !store.coordinators.knows(&enlist.coordinator) {
        rehearsal::of_statements(store, &mut session, deadline).await?;
    }

    let known = match remember(store, &mut session, enlist, deadline).await {
        Ok(known) => known,
        Err(Refused::Fenced(detail)) => return Err(Error::Fenced { detail }),
        Err(Refused::Failed(failure)) => {
            return Err(failure.into_error(&format!("enlisting {}", enlist.coordinator)));
        }
    };
    store.coordinators.learn(&enlist.coordinator, known);
    let newest_committed = newest_committed(store, &mut session, &enlist.coordinator, deadline)
        .await
        .map_err(|failure| failure.into_error("reading marker rows"))?;
    session.give_back();
    tracing::info!(
        coordinator = %enlist.coordinator,
        epoch = %enlist.epoch,
        participant = %store.name,
        "coordinator enlisted"
    );
    Ok(Enlisted {
        incarnation: String::new(),
        changes: 0,
        newest_committed,
        refuses_singly: false,
    })
}

impl Coordinators {
    /// Whether a transaction may be prepared: its epoch must not be past, and it must not be one
    /// that the coordinator has said it will never ask about again.
    pub(crate) async fn admit(
        &self,
        store: &Store,
        transaction: &TransactionId,
        deadline: Instant,
    ) -> Result<Admission, Error> {
        let known = self
            .check(store, &transaction.coordinator, transaction.epoch, deadline)
            .await?;
        let forgotten = (transaction.epoch, transaction.sequence) < known;
        Ok(if forgotten {
            Admission::Forgotten
        } else {
            Admission::Admitted
        })
    }

    /// Refuses a caller of an epoch that is past. Gives the point before which transactions are
    /// forgotten.
    pub(crate) async fn check(
        &self,
        store: &Store,
        coordinator: &CoordinatorId,
        caller: Epoch,
        deadline: Instant,
    ) -> Result<(Epoch, u64), Error> {
        let in_memory = self.known().get(coordinator).copied();
        let known = match in_memory {
            Some(known) => known,
            // This process began after the coordinator enlisted.
            None => self.read(store, coordinator, deadline).await?,
        };
        if caller < known.epoch {
            return Err(Error::Fenced {
                detail: format!(
                    "epoch {} of coordinator {coordinator} is enlisted at {}; epoch {caller} is \
                     past and its coordinator must stop",
                    known.epoch, store.settings.address
                ),
            });
        }
        Ok(known.forgotten)
    }

    /// Whether the server was started again since the coordinator enlisted: nobody has asked it yet
    /// what it may have lost. A start within the same second as the one before can't be told from it.
    pub(crate) fn is_restarted(&self, coordinator: &CoordinatorId, session: &Session) -> bool {
        let known = self.known();
        let known = known.get(coordinator);
        known.is_some_and(|known| known.server_start != session.server.start)
    }

    /// Raises the point before which transactions are forgotten.
    pub(crate) fn forgot(&self, before: &TransactionId) {
        if let Some(known) = self.known().get_mut(&before.coordinator) {
            known.forgotten = known.forgotten.max((before.epoch, before.sequence));
        }
    }

    async fn read(
        &self,
        store: &Store,
        coordinator: &CoordinatorId,
        deadline: Instant,
    ) -> Result<Known, Error> {
        let mut session = store.service_sessions.lease(deadline).await?;
        let query = format!(
            "SELECT epoch, forgotten_epoch, forgotten_sequence FROM tandem_coordinators WHERE {}",
            condition(store, coordinator)
        );
        let rows = session.query(&query, deadline).await;
        let server_start = session.server.start;
        let known = rows.and_then(|rows| {
            let Some(row) = rows.first() else {
                return Ok(Known {
                    epoch: Epoch(0),
                    forgotten: (Epoch(0), 0),
                    server_start,
                });
            };
            Ok(Known {
                epoch: Epoch(session::field_number(row, 0)?),
                forgotten: (
                    Epoch(session::field_number(row, 1)?),
                    session::field_number(row, 2)?,
                ),
                server_start,
            })
        });
        let known = known.map_err(|failure| {
            failure.into_error(&format!("reading the epoch of coordinator {coordinator}"))
        })?;
        session.give_back();
        self.learn(coordinator, known);
        Ok(known)
    }

    fn knows(&self, coordinator: &CoordinatorId) -> bool {
        self.known().contains_key(coordinator)
    }

    fn learn(&self, coordinator: &CoordinatorId, known: Known) {
        let mut all = self.known();
        if all.len() >= COORDINATORS_MAX && !all.contains_key(coordinator) {
            all.clear();
        }
        all.insert(coordinator.clone(), known);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<CoordinatorId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The condition that selects a coordinator's row.
pub(crate) fn condition(store: &Store, coordinator: &CoordinatorId) -> String {
    // Both are made of `a-z 0-9 -` only.
    format!(
        "participant = '{}' AND coordinator = '{coordinator}'",
        store.name
    )
}

async fn create_tables(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<(), Error> {
    let default_schema = store.settings.default_schema;
    let names = tables::names(default_schema);
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND \
         TABLE_NAME IN ({})",
        quoted.join(", ")
    );
    let found = session
        .query(&query, deadline)
        .await
        .and_then(|rows| session::number(&rows, 0))
        .map_err(|failure| failure.into_error("looking for tandem's tables"))?;
    if found == names.len() as u64 {
        return Ok(());
    }
    let ddl = tables::ddl(default_schema);
    let by_hand = |reason: &str| Error::Invalid {
        detail: format!(
            "tables are missing at {} ({reason}); create them: {};",
            store.settings.address,
            ddl.join("; ")
        ),
    };
    if !store.settings.create_tables {
        return Err(by_hand("create_tables is false"));
    }
    match session.run(&ddl.join("; "), deadline).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.number().is_some() => Err(by_hand(&failure.cause.to_string())),
        Err(failure) => Err(failure.into_error("creating tandem's tables")),
    }
}

enum Refused {
    Fenced(String),
    Failed(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Refused::Failed(failure)
    }
}

/// Stores the epoch, under the row's lock, unless a rule refuses it. Any way out but the last
/// leaves the transaction to be rolled back with the session.
async fn remember(
    store: &Store,
    session: &mut Session,
    enlist: &Enlist,
    deadline: Instant,
) -> Result<Known, Refused> {
    let mut log_id = String::new();
    encode::text(&mut log_id, &enlist.log_id);
    let mut instance_id = String::new();
    encode::text(&mut instance_id, &enlist.instance_id);
    let condition = condition(store, &enlist.coordinator);
    // Epochs begin at 1, so the row of a coordinator that is new fences nobody.
    let packet = format!(
        "START TRANSACTION; \
         INSERT INTO tandem_coordinators (participant, coordinator, log_id, epoch, instance_id) \
         SELECT '{name}', '{coordinator}', {log_id}, 0, '' FROM DUAL WHERE NOT EXISTS (SELECT 1 \
         FROM tandem_coordinators WHERE {condition}); \
         SELECT log_id, epoch, instance_id, forgotten_epoch, forgotten_sequence FROM \
         tandem_coordinators WHERE {condition} FOR UPDATE",
        name = store.name,
        coordinator = enlist.coordinator,
    );
    let rows = session.query(&packet, deadline).await?;
    let row = rows
        .first()
        .ok_or_else(|| Failure::lost(0, "the coordinator's row vanished"))?;
    let known_log = session::field(row, 0)?;
    let known_epoch = Epoch(session::field_number(row, 1)?);
    let known_instance = session::field(row, 2)?;
    let forgotten = (
        Epoch(session::field_number(row, 3)?),
        session::field_number(row, 4)?,
    );
    let at = &store.settings.address;
    let coordinator = &enlist.coordinator;
    if known_log != enlist.log_id {
        return Err(Refused::Fenced(format!(
            "{at} knows coordinator {coordinator} by log {known_log:?}, not {:?}: start it on its \
             own log, or give a new coordinator a new id",
            enlist.log_id
        )));
    }
    if known_epoch > enlist.epoch {
        return Err(Refused::Fenced(format!(
            "{at} knows epoch {known_epoch} of coordinator {coordinator}, and this is epoch {}: \
             its log is an old copy, or a newer coordinator runs elsewhere",
            enlist.epoch
        )));
    }
    if known_epoch == enlist.epoch && known_instance != enlist.instance_id {
        return Err(Refused::Fenced(format!(
            "{at} knows epoch {known_epoch} of coordinator {coordinator} by another process \
             ({known_instance:?}): if one runs on a copy of this log, stop it; if that was a start \
             that was refused for its old copy, start this one again, which begins the next epoch",
        )));
    }
    // Committed, and so flushed: a lost epoch would let a stale coordinator in.
    let packet = format!(
        "UPDATE tandem_coordinators SET epoch = {}, instance_id = {instance_id} WHERE \
         {condition}; COMMIT",
        enlist.epoch
    );
    session.run(&packet, deadline).await?;
    Ok(Known {
        epoch: enlist.epoch,
        forgotten,
        server_start: session.server.start,
    })
}

/// A plain read at READ COMMITTED: it waits for nothing and sees committed rows only.
async fn newest_committed(
    store: &Store,
    session: &mut Session,
    coordinator: &CoordinatorId,
    deadline: Instant,
) -> Result<Vec<TransactionId>, Failure> {
    let query = format!(
        "SELECT epoch, `sequence` FROM tandem_branches WHERE {} AND {} ORDER BY epoch DESC, \
         `sequence` DESC LIMIT {}",
        condition(store, coordinator),
        evidence::committed_condition(),
        Enlisted::NEWEST_COMMITTED_MAX
    );
    let rows = session.query(&query, deadline).await?;
    rows.iter()
        .map(|row| {
            Ok(TransactionId {
                coordinator: coordinator.clone(),
                epoch: Epoch(session::field_number(row, 0)?),
                sequence: session::field_number(row, 1)?,
            })
        })
        .collect()
}
