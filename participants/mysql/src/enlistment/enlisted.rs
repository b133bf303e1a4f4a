//! Whether a coordinator is enlisted in the server's present life.

use tandem_participant::Error;
use tandem_protocol::{CoordinatorId, Epoch};
use tokio::time::Instant;

use crate::records::lives::{self, Known};
use crate::session::codes;
use crate::store::Store;

/// Refuses a caller that is not enlisted in the server's present life, or whose epoch is past.
pub(crate) async fn check(
    store: &Store,
    coordinator: &CoordinatorId,
    caller: Epoch,
    deadline: Instant,
) -> Result<Known, Error> {
    let known = match store
        .coordinators
        .known(coordinator, store.one_server.term())
    {
        Some(known) => known,
        // What the server said in the term before was said to a coordinator that must hear of
        // the change first.
        None if store.one_server.term() > 0 => {
            return Err(not_enlisted(
                store,
                coordinator,
                "it was started again since",
            ));
        }
        // This process began after the coordinator enlisted.
        None => read(store, coordinator, deadline).await?,
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
    Ok(known)
}

/// What the tables say now. [`Error::NotEnlisted`] unless it is of the server's present run.
pub(crate) async fn read(
    store: &Store,
    coordinator: &CoordinatorId,
    deadline: Instant,
) -> Result<Known, Error> {
    let mut session = store.service_sessions.lease(deadline).await?;
    let row = match lives::read(&mut session, &store.name, coordinator, deadline).await {
        Err(failure) if failure.number() == Some(codes::NO_SUCH_TABLE) => None,
        row => row.map_err(|failure| {
            failure.into_error(&format!("reading the epoch of coordinator {coordinator}"))
        })?,
    };
    let known = row.filter(|known| lives::is_of(&known.incarnation, &session.server));
    let Some(known) = known else {
        session.give_back();
        return Err(not_enlisted(store, coordinator, "its tables do not say so"));
    };
    store
        .coordinators
        .learn(coordinator, known.clone(), &session);
    session.give_back();
    Ok(known)
}

/// The error for a coordinator that has to enlist first.
pub(crate) fn not_enlisted(store: &Store, coordinator: &CoordinatorId, why: &str) -> Error {
    Error::NotEnlisted {
        detail: format!(
            "coordinator {coordinator} is not enlisted in the present life of the server at {}: {why}",
            store.settings.address
        ),
    }
}
