//! The machine's clock, for times that people read. What must not go back asks elsewhere.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tandem_protocol::Timestamp;

/// The time of the machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default() + since.unwrap_or(Duration::ZERO)
}

/// How far another clock is ahead of this machine's, in milliseconds: it showed `theirs`, in milliseconds since
/// 1970, in answer to a question that was asked at `asked` and is answered now. Good to half the round trip.
pub fn ahead_ms(asked: Timestamp, theirs: i64) -> i64 {
    let millis = |time: Timestamp| i64::try_from(time.0).unwrap_or(i64::MAX);
    let (before, after) = (millis(asked), millis(now()));
    theirs.saturating_sub(before + (after - before) / 2)
}
