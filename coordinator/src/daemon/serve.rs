//! `tandem serve`: everything wired together, until a signal or a reason to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tandem_participant::{Acknowledged, Enlist, Finding, Participant};
use tandem_proto::v1::operator_service_server::OperatorServiceServer;
use tandem_proto::v1::purchase_service_server::PurchaseServiceServer;
use tandem_protocol::{Coordinator, CoordinatorId, Epoch, ParticipantName, Settings, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::driver::{Driver, Events};
use super::edge::{bind, guard, server};
use super::link::{Link, LinkState, Times};
use super::log::{self, Begun};
use super::log_reader::{LogReader, READS_MAX};
use super::open_files;
use super::participants::participants;
use super::signals::Signals;
use super::start_check;
use super::turnstile::Turnstile;
use crate::access::findings;
use crate::config::{Address, Config, Listener};
use crate::services::validate::Carried;
use crate::services::{Operator, Purchases};

/// Longest message of a client, in bytes: the largest purchase that the limits can be set to allow takes
/// about 46 KB.
const CLIENT_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a transaction's entries in its decision record: below the log's bound for a record,
/// with room for ids and participants.
const TRANSACTION_BYTES_MAX: usize = 48 * 1024;

/// Transactions that have not ended, at most.
const UNFINISHED_TRANSACTIONS_MAX: usize = 1_000_000;

/// Transactions in a row without a refusal after which groups are prepared at both stores at once:
/// that saves one forced write in series, and a refusal then costs one more round.
const CAUTIOUS_TRANSACTIONS: u32 = 32;

/// How long purchases wait for a participant that is down before they are turned away.
const UNAVAILABLE_GRACE: Duration = Duration::from_secs(1);

/// How long every decision is remembered, whatever the configuration says of numbers: Redis with
/// `appendfsync everysec` was measured to lose up to 13 s of what it had acknowledged, where a forced
/// write takes 10 s.
const RETENTION_AGE_MIN: Duration = Duration::from_secs(60);

/// How long a transaction may still be prepared after it began: many times the longest prepare, so
/// that no call that is still on its way finds its roll back forgotten too early.
const CLOSING_AGE: Duration = Duration::from_secs(60);

/// Repeated calls under way at one participant.
const RETRIES_IN_FLIGHT_MAX: usize = 64;

/// How long the log may take to close after a drain.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// How long connections may take to close once the driver has ended.
///
/// Every call of a purchase has its reply by then. A client that reads is told to go away and has
/// closed its idle connection within milliseconds. This bound is spent on those that do not: a peer
/// that connected and never spoke, a client that is not running now, a stream without an end such
/// as a health watch. They are not told from a client that still reads its reply, which is why they
/// are not cut sooner.
const SERVERS_CLOSE_MAX: Duration = Duration::from_secs(1);

/// Who this coordinator is, for operators.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub coordinator: CoordinatorId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its log.
    pub log_id: String,
    /// What is unsafe about how it listens.
    pub findings: Vec<Finding>,
}

/// Runs the coordinator until a signal asks for its end, or until going on would be unsafe, which is an
/// error that says what to do.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let clock = Clock::new();
    let id = config.coordinator.id.clone();
    let dir = config.coordinator.data_dir.clone();
    let found = {
        let (id, dir) = (id.clone(), dir.clone());
        tokio::task::spawn_blocking(move || log::find(&dir, &id)).await??
    };
    let clock = going_on_from(clock, found.recovered.latest);
    let participants = participants(&config)?;
    tokio::try_join!(
        start_check::refuse_stale_log(&id, &found, &participants),
        start_check::refuse_what_is_missing(&config, &participants),
    )?;
    let begun = tokio::task::spawn_blocking(move || found.begin(&dir, clock.now())).await??;
    tracing::info!(
        coordinator = %id, epoch = %begun.epoch, log_id = begun.log_id,
        unfinished = begun.recovered.unfinished().len(), purchases = begun.recovered.purchases(),
        "the decision log is open"
    );
    let (event_sender, events) = mpsc::unbounded_channel();
    let links = links(&config, participants, &begun, clock, &event_sender);
    let core = Coordinator::new(
        settings(&config),
        id.clone(),
        begun.epoch,
        links.keys().cloned(),
        begun.recovered,
        clock.now(),
    );
    let (driver, handle) = Driver::new(
        core,
        clock,
        begun.log.clone(),
        links.clone(),
        (event_sender, events),
    );
    let (stop, stopping) = watch::channel(false);
    let operator = Operator::new(
        handle.clone(),
        clock,
        Identity {
            coordinator: id,
            epoch: begun.epoch,
            log_id: begun.log_id,
            findings: findings(&config.listeners(), config.tls.is_some()),
        },
        links.clone(),
        LogReader::new(begun.log.clone(), READS_MAX),
        config.attributes.clone(),
    );
    // Operators who read much don't delay the clients who read.
    let log = LogReader::new(begun.log.clone(), READS_MAX);
    let timeout = config.limits.submit_timeout;
    let purchases = Purchases::new(handle.clone(), clock, log, timeout, carried(&config));
    let mut signals = Signals::listen()?;
    let servers = listen(&config, purchases, operator, &links, &stopping).await?;
    for link in links.values() {
        tokio::spawn(Arc::clone(link).run());
    }
    let mut driver = tokio::spawn(driver.run());
    let drained = tokio::select! {
        ended = &mut driver => ended?,
        signal = signals.end() => {
            tracing::info!(signal, "stopping: no new purchases, those in flight may end");
            handle.drain().await.ok();
            drained(driver, config.limits.shutdown_timeout, &mut signals).await
        }
    };
    stop.send_replace(true);
    if tokio::time::timeout(SERVERS_CLOSE_MAX, servers)
        .await
        .is_err()
    {
        tracing::debug!("connections were cut that their peers left open");
    }
    drained?;
    tokio::task::spawn_blocking(move || begun.log.close(CLOSE_MAX)).await??;
    tracing::info!("stopped");
    Ok(())
}

/// The clock, from the latest time in the log on.
fn going_on_from(clock: Clock, latest: Timestamp) -> Clock {
    let clock = clock.not_before(latest);
    if clock.ahead() > Duration::ZERO {
        tracing::warn!(
            behind_s = clock.ahead().as_secs(),
            "the clock of this machine is behind the latest time in the decision log: it was ahead \
             before, or is wrong now. Times go on from there, a twentieth slower, until it has caught \
             up"
        );
    }
    clock
}

/// A link to each participant, which enlists this start of the coordinator.
fn links(
    config: &Config,
    participants: BTreeMap<ParticipantName, Arc<dyn Participant>>,
    begun: &Begun,
    clock: Clock,
    events: &Events,
) -> BTreeMap<ParticipantName, Arc<Link>> {
    let enlist = Enlist {
        coordinator: config.coordinator.id.clone(),
        log_id: begun.log_id.clone(),
        epoch: begun.epoch,
        instance_id: begun.instance_id.clone(),
        acknowledged: Acknowledged::default(),
    };
    let names: Arc<[ParticipantName]> = participants.keys().cloned().collect();
    let link = |(name, participant): (ParticipantName, Arc<dyn Participant>)| {
        let link = Link::new(
            name.clone(),
            participant,
            Arc::clone(&names),
            enlist.clone(),
            times(config),
            clock,
            events.clone(),
        );
        (name, Arc::new(link))
    };
    participants.into_iter().map(link).collect()
}

/// Waits until what is in flight has ended, unless that takes too long or a person does not want to wait.
async fn drained(
    mut driver: JoinHandle<anyhow::Result<()>>,
    limit: Duration,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    tokio::select! {
        ended = &mut driver => return ended?,
        () = tokio::time::sleep(limit) => {
            tracing::warn!("some transactions have not ended; the next start carries them on");
        }
        signal = signals.end_now() => {
            tracing::warn!(signal, "what is in flight is not waited for; the next start carries it on");
        }
    }
    driver.abort();
    Ok(())
}

/// Opens both listeners and serves them until told to stop.
async fn listen(
    config: &Config,
    purchases: Purchases,
    operator: Operator,
    links: &BTreeMap<ParticipantName, Arc<Link>>,
    stopping: &watch::Receiver<bool>,
) -> anyhow::Result<impl Future<Output = ()>> {
    let (gate, tls) = guard(config.tls.as_ref(), config.access.as_ref())?;
    let clients_max = open_files::clients_max();
    let clients = bind(
        &config.coordinator.listen,
        "clients",
        clients_max,
        tls.as_ref(),
        Some(Turnstile::watching()),
    )
    .await?;
    let admin_listen = admin_listen(config)?;
    let operators = bind(
        &admin_listen,
        "operators",
        open_files::OPERATORS_MAX,
        tls.as_ref(),
        None,
    )
    .await?;
    let (health_reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(report_health(
        health_reporter,
        links.values().cloned().collect(),
    ));
    let purchases =
        PurchaseServiceServer::new(purchases).max_decoding_message_size(CLIENT_MESSAGE_BYTES_MAX);
    let clients = server(&gate)?
        .add_service(health.clone())
        .add_service(purchases)
        .serve_with_incoming_shutdown(clients, stopped(stopping.clone()));
    let operators = server(&gate)?
        .add_service(health)
        .add_service(OperatorServiceServer::new(operator))
        .serve_with_incoming_shutdown(operators, stopped(stopping.clone()));
    tracing::info!(
        clients = %config.coordinator.listen, operators = %admin_listen,
        clients_max, "listening"
    );
    let both = tokio::spawn(async move {
        let (clients, operators) = tokio::join!(clients, operators);
        for result in [clients, operators] {
            if let Err(error) = result {
                tracing::error!(%error, "a listener failed");
            }
        }
    });
    Ok(async move {
        // A panic in a listener was logged by the runtime; there is nothing else to end.
        let _ = both.await;
    })
}

/// Where operators connect: as the file says, else at a socket in the first folder that can be made.
fn admin_listen(config: &Config) -> anyhow::Result<Listener> {
    if let Some(listener) = &config.coordinator.admin_listen {
        return Ok(listener.clone());
    }
    let [in_run, in_data_dir] = config.admin_sockets();
    let folder = in_run.path.parent();
    let is_there = folder.is_some_and(|folder| std::fs::create_dir_all(folder).is_ok());
    let socket = if is_there { in_run } else { in_data_dir };
    Ok(Listener::new(Address::Unix(socket)))
}

pub(super) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender is gone only when the process ends.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// The health service says SERVING for purchases while every participant can be asked.
async fn report_health(reporter: tonic_health::server::HealthReporter, links: Vec<Arc<Link>>) {
    const LOOK: Duration = Duration::from_millis(250);
    let mut said = None;
    loop {
        let up = links
            .iter()
            .all(|link| link.status().state == LinkState::Up);
        if said != Some(up) {
            said = Some(up);
            if up {
                reporter
                    .set_serving::<PurchaseServiceServer<Purchases>>()
                    .await;
            } else {
                reporter
                    .set_not_serving::<PurchaseServiceServer<Purchases>>()
                    .await;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn carried(config: &Config) -> Carried {
    Carried {
        attributes: config.attributes.clone(),
        attributes_max: config.limits.attributes_max,
        attribute_bytes_max: config.limits.attribute_bytes_max,
    }
}

fn times(config: &Config) -> Times {
    Times {
        call_timeout: config.limits.call_timeout,
        backoff_min: config.limits.retry_backoff_min,
        backoff_max: config.limits.retry_backoff_max,
        sweep_interval: config.limits.sweep_interval,
    }
}

fn settings(config: &Config) -> Settings {
    let limits = &config.limits;
    Settings {
        queue_purchases_max: limits.queue_purchases_max,
        transaction_purchases_max: limits.transaction_purchases_max,
        transaction_bytes_max: TRANSACTION_BYTES_MAX,
        pipeline_transactions_max: limits.pipeline_transactions_max,
        unfinished_transactions_max: UNFINISHED_TRANSACTIONS_MAX,
        cautious_transactions: CAUTIOUS_TRANSACTIONS,
        prepare_timeout: limits.prepare_timeout,
        unavailable_grace: UNAVAILABLE_GRACE,
        retry_base: limits.retry_backoff_min,
        retry_cap: limits.retry_backoff_max,
        retries_in_flight_max: RETRIES_IN_FLIGHT_MAX,
        retention_age: config.retention.age,
        retention_purchases_max: config.retention.purchases_max,
        retention_age_min: RETENTION_AGE_MIN,
        closing_age: CLOSING_AGE,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use prost::Message;
    use tandem_participant::rules;
    use tandem_proto::v1;
    use tandem_protocol::entry_bytes;

    use super::*;
    use crate::services::validate;

    /// All that the limits can be set to allow fits into one message, and into the record of a decision.
    #[test]
    fn the_largest_purchase_fits_everywhere() {
        let long = |bytes: usize, number: usize| format!("{number:x>bytes$}");
        let item = |number| v1::Item {
            sku: long(rules::SKU_BYTES_MAX, number),
            quantity: rules::QUANTITY_MAX,
            unit_price_minor: -1,
            line_id: long(rules::LINE_ID_BYTES_MAX, number),
            tracked: Some(false),
            pool: long(rules::POOL_BYTES_MAX, number),
        };
        let name = |number| format!("a{number:_>31}");
        let bytes = rules::ATTRIBUTE_BYTES_MAX / rules::ATTRIBUTES_MAX - name(0).len();
        let names: Vec<String> = (0..rules::ATTRIBUTES_MAX).map(name).collect();
        let attribute = |name: &String| (name.clone(), "x".repeat(bytes));
        let mut request = v1::SubmitPurchaseRequest {
            purchase_id: long(rules::PURCHASE_ID_BYTES_MAX, 0),
            customer_id: long(rules::CUSTOMER_ID_BYTES_MAX, 0),
            items: (1..rules::ITEMS_MAX).map(item).collect(),
            currency: "EUR".into(),
            wait_for: 0,
            attributes: names.iter().map(attribute).collect(),
        };
        request.items.push(v1::Item {
            quantity: 1_000,
            unit_price_minor: rules::UNIT_PRICE_MINOR_MAX,
            ..item(0)
        });
        assert!(request.encoded_len() <= CLIENT_MESSAGE_BYTES_MAX);
        let declared = |name: &String| {
            let kind = tandem_participant::attributes::AttributeType::Text;
            let attribute = tandem_participant::attributes::Attribute::new(kind);
            (name.clone(), attribute)
        };
        let carried = Carried {
            attributes: names.iter().map(declared).collect(),
            attributes_max: rules::ATTRIBUTES_MAX,
            attribute_bytes_max: rules::ATTRIBUTE_BYTES_MAX,
        };
        let purchase = validate::purchase(request, &carried).unwrap();
        let bytes = entry_bytes(&purchase);
        assert!(bytes <= TRANSACTION_BYTES_MAX, "{bytes}");
    }
}
