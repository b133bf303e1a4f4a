//! The participants as the configuration names them: in this process, or by way of their sidecars.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use tandem_participant::{Credentials, Participant, RemoteParticipant, Timeouts};
use tandem_protocol::ParticipantName;

use crate::config::{Config, ParticipantSettings, SidecarEndpoint};

/// Each that the configuration names, not connected yet.
pub fn participants(
    config: &Config,
) -> anyhow::Result<BTreeMap<ParticipantName, Arc<dyn Participant>>> {
    let named = config.participants.iter().map(|(name, settings)| {
        let participant = participant(name, settings, config)
            .with_context(|| format!("[participants.{name}]"))?;
        Ok((name.clone(), participant))
    });
    named.collect()
}

fn participant(
    name: &ParticipantName,
    settings: &ParticipantSettings,
    config: &Config,
) -> anyhow::Result<Arc<dyn Participant>> {
    Ok(match settings {
        ParticipantSettings::Mysql(settings) => Arc::new(tandem_mysql::MysqlParticipant::new(
            name.clone(),
            settings.clone(),
        )?),
        ParticipantSettings::Redis(settings) => Arc::new(tandem_redis::RedisParticipant::new(
            name.clone(),
            settings.clone(),
        )?),
        ParticipantSettings::Sidecar(sidecar) => Arc::new(RemoteParticipant::with_credentials(
            name.clone(),
            &sidecar.endpoint,
            Timeouts {
                call: config.limits.call_timeout,
                ..Timeouts::default()
            },
            &credentials(sidecar, config),
        )?),
    })
}

/// What a sidecar is shown: what its table names, else the certificate that clients are shown too.
fn credentials(sidecar: &SidecarEndpoint, config: &Config) -> Credentials {
    let own = sidecar
        .certificate_file
        .clone()
        .zip(sidecar.key_file.clone());
    let tls = config.tls.as_ref().filter(|_| sidecar.is_encrypted());
    let shared = tls.map(|tls| (tls.certificate_file.clone(), tls.key_file.clone()));
    Credentials {
        ca_file: sidecar.ca_file.clone(),
        own: own.or(shared),
        token_file: sidecar.token_file.clone(),
    }
}
