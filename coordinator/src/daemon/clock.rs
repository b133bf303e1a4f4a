//! The one clock of a process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tandem_protocol::Timestamp;

/// By which part of the time that passes a clock that is ahead goes slower: not so much that a client's
/// deadline, of which a tenth is kept back for the way, would pass before its answer.
const SLOWER: u32 = 20;

/// Wall-clock time at the process's start, carried on by the monotonic clock, so that it never
/// goes back.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_time: Duration,
    /// By how much it was ahead of the wall clock at the start.
    ahead: Duration,
}

impl Clock {
    /// A clock that starts now.
    pub fn new() -> Clock {
        Clock {
            start: Instant::now(),
            start_time: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            ahead: Duration::ZERO,
        }
    }

    /// The same clock, ahead of the wall clock where that is behind `latest`, since it was set back.
    /// It goes a little slower then until it is not ahead any more.
    pub fn not_before(self, latest: Timestamp) -> Clock {
        Clock {
            ahead: latest.since(Timestamp(0) + self.start_time),
            ..self
        }
    }

    /// By how much it was ahead of the wall clock at the start.
    pub fn ahead(&self) -> Duration {
        self.ahead
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        Timestamp(0) + self.start_time + self.passed(self.start.elapsed())
    }

    /// The monotonic instant of a timestamp, for timers; now, if it has passed. While the clock goes
    /// slower it is a little early.
    pub fn instant(&self, timestamp: Timestamp) -> Instant {
        Instant::now() + timestamp.since(self.now())
    }

    /// How far the clock is past its start time when so much has passed.
    fn passed(&self, elapsed: Duration) -> Duration {
        elapsed + self.ahead.saturating_sub(elapsed / SLOWER)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn clock_that_was_set_back_goes_on_where_the_log_ends_and_slower_until_it_is_right() {
        let clock = Clock::new();
        let latest = Timestamp(0) + clock.start_time + HOUR;
        let ahead = clock.not_before(latest);
        assert!(ahead.now() >= latest);
        assert_eq!(ahead.passed(Duration::ZERO), HOUR);
        assert_eq!(ahead.passed(10 * HOUR), 10 * HOUR + HOUR / 2);
        assert_eq!(ahead.passed(20 * HOUR), 20 * HOUR);
        assert_eq!(ahead.passed(30 * HOUR), 30 * HOUR);
    }

    #[test]
    fn clock_that_is_not_behind_the_log_is_the_wall_clock() {
        let clock = Clock::new();
        let same = clock.not_before(Timestamp(1));
        assert_eq!(
            (same.ahead(), same.start_time),
            (Duration::ZERO, clock.start_time)
        );
    }
}
