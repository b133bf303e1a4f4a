//! What a log tells about itself.

use std::time::Duration;

use crate::Position;

/// Upper bounds of the histogram of force durations, in microseconds; a last bucket without a bound
/// follows them.
pub const FORCE_TIME_BUCKETS_US: [u64; 12] = [
    125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 250_000, 1_000_000,
];

/// The weight of the newest force in the moving average is one of this many parts.
const MEAN_PARTS: u32 = 16;

/// A log's contents and speed at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogStats {
    /// Retained records.
    pub records: u64,
    /// Retained batches.
    pub batches: u64,
    /// The first retained record, if there is one.
    pub first_position: Option<Position>,
    /// The last durable record, if there ever was one.
    pub last_position: Option<Position>,
    /// Records stored since the log was opened.
    pub records_stored: u64,
    /// Bytes of those records.
    pub bytes_stored: u64,
    /// How many forces it took, and how long.
    pub forces: ForceTimes,
    /// Records that wait for the committer.
    pub queue_records: usize,
    /// Bytes of records that wait for the committer.
    pub queue_bytes: usize,
    /// The size of all files in the log's folder, in bytes.
    pub disk_bytes: u64,
}

/// How long forces took since the log was opened: writing the batches, flush and sync.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForceTimes {
    /// How many forces there were.
    pub count: u64,
    /// All of them together.
    pub total: Duration,
    /// The latest.
    pub last: Duration,
    /// A moving average: an older force weighs less.
    pub mean: Duration,
    /// The slowest.
    pub max: Duration,
    /// How many took at most the bound of the same index in [`FORCE_TIME_BUCKETS_US`] and more than
    /// the bound before; the last one: more than any bound.
    pub buckets: [u64; FORCE_TIME_BUCKETS_US.len() + 1],
}

impl ForceTimes {
    pub(crate) fn record(&mut self, took: Duration) {
        let bucket = FORCE_TIME_BUCKETS_US
            .partition_point(|bound_us| took > Duration::from_micros(*bound_us));
        self.buckets[bucket] += 1;
        self.mean = if self.count == 0 {
            took
        } else {
            (self.mean * (MEAN_PARTS - 1) + took) / MEAN_PARTS
        };
        self.count += 1;
        self.total += took;
        self.last = took;
        self.max = self.max.max(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_force_is_counted_in_the_bucket_of_its_duration() {
        let mut times = ForceTimes::default();
        times.record(Duration::from_micros(125));
        times.record(Duration::from_micros(126));
        times.record(Duration::from_secs(2));
        assert_eq!(times.buckets[0], 1);
        assert_eq!(times.buckets[1], 1);
        assert_eq!(times.buckets[FORCE_TIME_BUCKETS_US.len()], 1);
        assert_eq!(times.count, 3);
        assert_eq!(times.max, Duration::from_secs(2));
        assert!(times.mean > Duration::from_micros(126));
    }
}
