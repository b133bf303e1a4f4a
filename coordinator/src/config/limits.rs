//! Bounds, deadlines and retention, each with its default and its range.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::rules::{count, millis, seconds};

const DAY_S: u64 = 24 * 3_600;

/// The section `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Purchases that wait for a transaction; more are answered RESOURCE_EXHAUSTED.
    #[serde(deserialize_with = "count::<_, 1, 1_000_000>")]
    pub queue_purchases_max: usize,
    /// Purchases in one transaction.
    #[serde(deserialize_with = "count::<_, 1, 1_000>")]
    pub transaction_purchases_max: usize,
    /// Attributes of one purchase.
    #[serde(deserialize_with = "count::<_, 0, 64>")]
    pub attributes_max: usize,
    /// Bytes of their names and values together.
    #[serde(deserialize_with = "count::<_, 0, 16_384>")]
    pub attribute_bytes_max: usize,
    /// Transactions under way at once. At 1 ms a forced write four are worth a sixth more than two at
    /// 256 clients, and half as much again at 1,024 (19,900 and 30,100 a second); six no more than
    /// four. At 0.12 ms it makes no difference. A participant names at most 64 newest commits at
    /// enlistment, and that catches a stale log only while fewer are in flight.
    #[serde(deserialize_with = "count::<_, 1, 32>")]
    pub pipeline_transactions_max: usize,
    /// Threads that serve calls; the decision log has its own. One spends a third less processor
    /// time on a purchase than two do (57 against 87 us, measured at 128 clients on two cores): more
    /// of them pay only where one is busy all the time, at some 10 to 20 thousand purchases a second.
    #[serde(deserialize_with = "count::<_, 1, 256>")]
    pub worker_threads: usize,
    /// Until a participant has voted; then the transaction is aborted.
    #[serde(
        rename = "prepare_timeout_ms",
        deserialize_with = "millis::<_, 10, 600_000>"
    )]
    pub prepare_timeout: Duration,
    /// Until a participant has answered any other call; then it is asked again.
    #[serde(
        rename = "call_timeout_ms",
        deserialize_with = "millis::<_, 10, 600_000>"
    )]
    pub call_timeout: Duration,
    /// Until a client is answered that set no deadline of its own.
    #[serde(
        rename = "submit_timeout_ms",
        deserialize_with = "millis::<_, 10, 600_000>"
    )]
    pub submit_timeout: Duration,
    /// The first wait before a failed call is repeated; doubled at each failure, with jitter.
    #[serde(
        rename = "retry_backoff_min_ms",
        deserialize_with = "millis::<_, 1, 600_000>"
    )]
    pub retry_backoff_min: Duration,
    /// The longest wait before a failed call is repeated.
    #[serde(
        rename = "retry_backoff_max_ms",
        deserialize_with = "millis::<_, 1, 600_000>"
    )]
    pub retry_backoff_max: Duration,
    /// Between two sweeps for branches that nobody waits for.
    #[serde(
        rename = "sweep_interval_s",
        deserialize_with = "seconds::<_, 1, 3_600>"
    )]
    pub sweep_interval: Duration,
    /// For transactions in flight to end when the daemon is told to stop.
    #[serde(
        rename = "shutdown_timeout_ms",
        deserialize_with = "millis::<_, 0, 600_000>"
    )]
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_purchases_max: 10_000,
            transaction_purchases_max: 256,
            attributes_max: 32,
            attribute_bytes_max: 4_096,
            pipeline_transactions_max: 4,
            worker_threads: 1,
            prepare_timeout: Duration::from_millis(5_000),
            call_timeout: Duration::from_millis(10_000),
            submit_timeout: Duration::from_millis(30_000),
            retry_backoff_min: Duration::from_millis(50),
            retry_backoff_max: Duration::from_millis(5_000),
            sweep_interval: Duration::from_secs(30),
            shutdown_timeout: Duration::from_millis(10_000),
        }
    }
}

/// The section `[retention]`: an ended transaction is forgotten when either bound is passed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How long an ended transaction is remembered.
    #[serde(
        rename = "age_s",
        deserialize_with = "seconds::<_, 1, { 366 * DAY_S }>"
    )]
    pub age: Duration,
    /// How many purchases of ended transactions are remembered.
    #[serde(deserialize_with = "count::<_, 1, 10_000_000>")]
    pub purchases_max: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(DAY_S),
            purchases_max: 250_000,
        }
    }
}

/// [`Limits`] whose values agree with each other.
pub(super) fn consistent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
    let limits = Limits::deserialize(deserializer)?;
    if limits.retry_backoff_min > limits.retry_backoff_max {
        return Err(D::Error::custom(format!(
            "retry_backoff_min_ms is {}, more than retry_backoff_max_ms, which is {}",
            limits.retry_backoff_min.as_millis(),
            limits.retry_backoff_max.as_millis()
        )));
    }
    Ok(limits)
}
