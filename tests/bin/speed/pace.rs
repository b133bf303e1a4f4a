//! An open loop: purchases begin at a fixed rate, whatever becomes of the earlier ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Between two looks at the clock. The runtime's own timers are good to a millisecond, which at
/// these latencies would be seen.
const TICK: Duration = Duration::from_micros(200);

/// Says to the clients when to begin. A purchase that finds no free client is begun late, and its
/// latency is counted from when it should have begun: nothing is left out because the contestant was
/// slow.
#[derive(Debug)]
pub(crate) struct Pace {
    begun: Instant,
    rate: f64,
    total: u64,
    due: Semaphore,
    next: AtomicU64,
}

impl Pace {
    /// From `begun` on, `rate` purchases a second, `total` of them, among so many clients.
    pub(crate) fn start(begun: Instant, rate: f64, total: u64, clients: usize) -> Arc<Pace> {
        let pace = Arc::new(Pace {
            begun,
            rate,
            total,
            due: Semaphore::new(0),
            next: AtomicU64::new(0),
        });
        let ticking = pace.clone();
        thread::spawn(move || ticking.tick(clients));
        pace
    }

    /// When the next purchase should begin, which is now or was before; none after the last.
    pub(crate) async fn next(&self) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let after = Duration::from_secs_f64(number as f64 / self.rate);
        (number < self.total).then(|| self.begun + after)
    }

    fn tick(&self, clients: usize) {
        let mut released = 0;
        while released < self.total {
            thread::sleep(TICK);
            let due = (self.begun.elapsed().as_secs_f64() * self.rate) as u64;
            let due = due.min(self.total);
            self.due.add_permits((due - released) as usize);
            released = due;
        }
        // Each client learns that it was the last.
        self.due.add_permits(clients);
    }
}
