//! What would be said over and over is said once in a while, with how often it happened.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two times that it is said.
const PAUSE: Duration = Duration::from_secs(60);

/// Counts how often something happens, and when it is to be said.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    /// How often it has happened since then.
    unsaid: u64,
}

impl Seldom {
    /// It happened. How often is to be said now, this time included; `None` if it is too soon.
    pub fn happened(&self) -> Option<u64> {
        // Whatever happened to another thread, the numbers are whole.
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.tell(Instant::now())
    }
}

impl Said {
    fn tell(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < PAUSE)
        {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_many_times_in_a_row_is_said_once_and_counted() {
        let mut said = Said::default();
        let begun = Instant::now();
        assert_eq!(said.tell(begun), Some(1));
        for _ in 0..5 {
            assert_eq!(said.tell(begun + PAUSE / 2), None);
        }
        assert_eq!(said.tell(begun + PAUSE), Some(6));
    }
}
