//! What a coordinator is set to.

use std::time::Duration;

/// Bounds and times of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Purchases that wait for a transaction, at most; beyond, submissions are refused.
    pub queue_purchases_max: usize,
    /// Purchases in one transaction, at most.
    pub transaction_purchases_max: usize,
    /// Bytes of all entries of one transaction in its decision record, at most.
    pub transaction_bytes_max: usize,
    /// Transactions under way at once.
    pub pipeline_transactions_max: usize,
    /// Transactions that have not ended, at most; beyond, none is begun.
    pub unfinished_transactions_max: usize,
    /// Transactions in a row without a refusal by a participant that refuses single entries, after
    /// which groups are prepared at all participants at once.
    pub cautious_transactions: u32,
    /// Time from a transaction's begin to its last vote.
    pub prepare_timeout: Duration,
    /// How long purchases wait for a participant that is down before they are turned away.
    pub unavailable_grace: Duration,
    /// First pause before a failed commit or roll back is tried again; doubled each time.
    pub retry_base: Duration,
    /// Longest such pause.
    pub retry_cap: Duration,
    /// Repeated calls under way at one participant, at most; new transactions are not counted.
    pub retries_in_flight_max: usize,
    /// How long an ended transaction is remembered.
    pub retention_age: Duration,
    /// How many purchases with an outcome are remembered, at most, beyond those of the last
    /// [`Settings::retention_age_min`].
    pub retention_purchases_max: usize,
    /// How long every decision is remembered, however many there are: longer than what a store can
    /// lose at its end without a sign of it, so that it can be done again.
    pub retention_age_min: Duration,
    /// How long after its begin a transaction may still be prepared; stores remember for about this
    /// long what they have rolled back.
    pub closing_age: Duration,
}
