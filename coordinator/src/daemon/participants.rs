//! The participants as the configuration names them: in this process, or by way of their sidecars.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use tandem_participant::{Participant, RemoteParticipant, Timeouts};
use tandem_protocol::ParticipantName;

use crate::config::{Config, ParticipantSettings};

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
        ParticipantSettings::Sidecar(sidecar) => Arc::new(RemoteParticipant::new(
            name.clone(),
            &sidecar.endpoint.to_string(),
            Timeouts {
                call: config.limits.call_timeout,
                ..Timeouts::default()
            },
        )?),
    })
}
