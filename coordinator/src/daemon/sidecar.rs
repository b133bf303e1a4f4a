//! `tandem participant`: one participant, served beside its store.

use std::sync::Arc;
use std::time::Duration;

use tandem_participant::{Participant, ParticipantServer};
use tokio::sync::watch;

use super::crash_point;
use super::edge::{bind, guard, server};
use super::open_files;
use super::serve::stopped;
use super::signals::Signals;
use super::stepped::Stepped;
use crate::access::findings;
use crate::config::{Access, Sidecar, Tls};

/// How long open calls may take to end after a signal.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Serves a participant until a signal asks for its end. What is under way then is settled by the
/// coordinator's next call to the next process.
pub async fn serve_participant(
    sidecar: Sidecar,
    tls: Option<Tls>,
    access: Option<Access>,
    participant: Arc<dyn Participant>,
) -> anyhow::Result<()> {
    // Unwrapped otherwise, since every call would pay for it.
    let participant = if crash_point::is_chosen() {
        Arc::new(Stepped(participant))
    } else {
        participant
    };
    let mut signals = Signals::listen()?;
    let findings = findings(&sidecar.listeners(), tls.is_some());
    let (gate, tls) = guard(tls.as_ref(), access.as_ref())?;
    let max = open_files::clients_max();
    let incoming = bind(&sidecar.listen, "coordinators", max, tls.as_ref(), None).await?;
    let (health_reporter, health) = tonic_health::server::health_reporter();
    let service = ParticipantServer::new(participant)
        .with_findings(findings)
        .into_service();
    health_reporter
        .set_service_status(
            "tandem.v1.ParticipantService",
            tonic_health::ServingStatus::Serving,
        )
        .await;
    let (stop, stopping) = watch::channel(false);
    let mut serving = tokio::spawn(
        server(&gate)?
            .add_service(health)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stopped(stopping)),
    );
    tracing::info!(participant = %sidecar.name, listen = %sidecar.listen, "listening");
    tokio::select! {
        ended = &mut serving => return Ok(ended??),
        signal = signals.end() => tracing::info!(signal, "stopping"),
    }
    stop.send_replace(true);
    tokio::select! {
        _ = &mut serving => return Ok(()),
        () = tokio::time::sleep(CLOSE_MAX) => {}
        _ = signals.end_now() => {}
    }
    tracing::warn!("open calls were cut; the coordinator asks again");
    Ok(())
}
