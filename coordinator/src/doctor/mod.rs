//! What keeps a coordinator from its work, or would one day, found before purchases find it: at its stores, and
//! on its machine. Nothing of it stays behind.

mod ailment;
mod folder;
mod listener;
mod report;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;

use tandem_participant::Participant;
use tandem_protocol::ParticipantName;

use crate::config::Config;

pub(crate) use ailment::{Ailment, Severity};
pub(crate) use report::{Found, Report, Subject};

/// What a name stands for in a report that is no participant's.
pub(crate) const MACHINE: &str = "this machine";

/// Looks at each store, and tries it.
pub(crate) async fn look_at_stores(
    participants: &BTreeMap<ParticipantName, Arc<dyn Participant>>,
    report: &mut Report,
) {
    let examined = participants.iter().map(async |(name, participant)| {
        store::subject(name.as_str(), participant.as_ref().examine().await)
    });
    report.subjects.extend(join_all(examined).await);
}

/// Looks at what the daemon's file says of the machine: its ports and the log's folder.
pub(crate) async fn look_at_machine(config: &Config, report: &mut Report) {
    let coordinator = &config.coordinator;
    let mut machine = Subject::named(MACHINE);
    for (setting, listener) in config.listeners() {
        let is_encrypted = listener.is_encrypted(config.tls.is_some());
        listener::look(setting, listener, is_encrypted, &mut machine).await;
    }
    let dir = coordinator.data_dir.clone();
    let id = coordinator.id.to_string();
    let machine = tokio::task::spawn_blocking(move || {
        folder::look(&dir, &id, &mut machine);
        machine
    });
    report
        .subjects
        .push(machine.await.expect("it does not panic"));
}

/// What is unsafe about the file's secrets.
pub(crate) fn look_at_secrets(path: &Path, warnings: &[String], report: &mut Report) {
    let mut file = Subject::named(path.display().to_string());
    for warning in warnings {
        file.found
            .push(Found::of(Ailment::SecretOpen, warning.clone()));
    }
    report.subjects.push(file);
}
