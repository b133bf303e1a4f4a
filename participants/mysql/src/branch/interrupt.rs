//! Ending what a prepare is doing at the server.

use tandem_participant::Error;
use tokio::time::Instant;

use crate::branch::processes;
use crate::store::Store;

/// Interrupts what a prepare's connection is doing. It is tandem that ends the call, which says
/// nothing about the server: the session goes on. Without a session to say it on, the prepare comes
/// to its own end.
pub(crate) async fn interrupt(store: &Store, connection_id: u64, deadline: Instant) {
    let interruption = async {
        let mut service = store.service_sessions.lease(deadline).await?;
        processes::interrupt(&mut service, connection_id, deadline)
            .await
            .map_err(|failure| failure.into_error("interrupting a prepare"))?;
        service.give_back();
        Ok::<(), Error>(())
    };
    match interruption.await {
        Ok(()) => tracing::debug!(connection_id, "interrupted a prepare"),
        Err(error) => tracing::debug!(connection_id, %error, "a prepare goes on"),
    }
}
