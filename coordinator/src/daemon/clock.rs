//! The one clock of a process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tandem_protocol::Timestamp;

/// Wall-clock time at the process's start, carried on by the monotonic clock, so that it never
/// goes back.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_time: Duration,
}

impl Clock {
    /// A clock that starts now.
    pub fn new() -> Clock {
        Clock {
            start: Instant::now(),
            start_time: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        Timestamp(0) + self.start_time + self.start.elapsed()
    }

    /// The monotonic instant of a timestamp, for timers; now, if it has passed.
    pub fn instant(&self, timestamp: Timestamp) -> Instant {
        Instant::now() + timestamp.since(self.now())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
