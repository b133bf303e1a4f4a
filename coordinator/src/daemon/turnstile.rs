//! Whose turn it is to be read from, while more is asked than can be done.
//!
//! Calls, the driver and its calls to the stores are tasks on the same threads, each of which gets its turn.
//! Where thousands of clients ask at once a round of all tasks takes long even though most are turned away,
//! and a transaction, which takes many turns one after the other, would come to nothing. So while rounds are
//! long, connections wait to be read from, who has waited longest first, and so many are let on at a time as
//! keep a round short. What is not read waits at the peers, as TCP has it wait. Operators have no turnstile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connections::Activity;
use crate::logging::Seldom;

/// Between two looks at how long a round takes, while nobody waits.
const LOOK: Duration = Duration::from_millis(20);

/// Between two times that some are let on.
const TICK: Duration = Duration::from_millis(2);

/// A round that is too long. At 1,024 clients that each ask again at once, which is full load and no more,
/// one takes up to 40 ms.
const ROUND_MAX: Duration = Duration::from_millis(60);

/// So many rounds in a row are too long before anybody waits: one may be the machine's doing.
const LONG_ROUNDS: u32 = 3;

/// What a round may take while connections wait.
const ROUND_AIM: Duration = Duration::from_millis(15);

/// How many are let on first.
const SHARE_FIRST: usize = 16;

/// So many times in a row nobody waits before all may come as they like.
const QUIET_TICKS: u32 = 50;

/// Where connections wait for their turn to be read from.
#[derive(Debug, Default)]
pub(super) struct Turnstile {
    is_shut: AtomicBool,
    waiting: Mutex<VecDeque<Arc<Activity>>>,
    shut: Seldom,
}

impl Turnstile {
    /// One that watches over the runtime that it is made in, until it is dropped.
    pub(super) fn watching() -> Arc<Turnstile> {
        let turnstile = Arc::new(Turnstile::default());
        let watched = Arc::downgrade(&turnstile);
        tokio::spawn(async move {
            let mut share = Share::default();
            loop {
                let due = Instant::now() + if share.is_shut() { TICK } else { LOOK };
                tokio::time::sleep_until(due.into()).await;
                let late = due.elapsed();
                let Some(turnstile) = watched.upgrade() else {
                    return;
                };
                turnstile.turn(&mut share, late);
            }
        });
        turnstile
    }

    /// Whether a connection may be read from now. If not its task is woken when it may.
    pub(super) fn lets_on(&self, one: &Arc<Activity>) -> bool {
        if !self.is_shut.load(Ordering::Acquire) || one.turn.is_come.swap(false, Ordering::AcqRel) {
            return true;
        }
        if !one.turn.is_waited_for.swap(true, Ordering::AcqRel) {
            self.lock().push_back(Arc::clone(one));
        }
        // It may have been opened before it stood there.
        !self.is_shut.load(Ordering::Acquire)
    }

    fn turn(&self, share: &mut Share, late: Duration) {
        let was_shut = share.is_shut();
        let lets_on = share.after(late, self.lock().len());
        self.is_shut.store(share.is_shut(), Ordering::Release);
        if !was_shut
            && share.is_shut()
            && let Some(times) = self.shut.happened()
        {
            tracing::warn!(
                times,
                round_ms = late.as_millis(),
                "more is asked than can be done: clients are read from in turns"
            );
        }
        for _ in 0..lets_on {
            let Some(one) = self.lock().pop_front() else {
                return;
            };
            one.turn.is_waited_for.store(false, Ordering::Release);
            one.turn.is_come.store(true, Ordering::Release);
            one.wake();
        }
    }

    /// Whatever happened to a thread that held it, the list is whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Activity>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place at the turnstile.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Whether it stands there.
    is_waited_for: AtomicBool,
    /// Whether it may read once.
    is_come: AtomicBool,
}

/// How many are let on at a time.
#[derive(Debug, Default)]
struct Share {
    /// `None` while nobody has to wait.
    shut: Option<usize>,
    long_rounds: u32,
    quiet_ticks: u32,
}

impl Share {
    fn is_shut(&self) -> bool {
        self.shut.is_some()
    }

    /// How many of those that wait are let on after a round that took so long: more each time while rounds
    /// are short, half as many when one was not.
    fn after(&mut self, round: Duration, waiting: usize) -> usize {
        let Some(share) = self.shut else {
            self.long_rounds = if round > ROUND_MAX {
                self.long_rounds + 1
            } else {
                0
            };
            if self.long_rounds >= LONG_ROUNDS {
                *self = Share {
                    shut: Some(SHARE_FIRST),
                    ..Share::default()
                };
            }
            return waiting;
        };
        self.quiet_ticks = if waiting == 0 {
            self.quiet_ticks + 1
        } else {
            0
        };
        if self.quiet_ticks >= QUIET_TICKS {
            *self = Share::default();
            return waiting;
        }
        let share = match round > ROUND_AIM {
            true => (share / 2).max(1),
            false if waiting > share => share + share / 8 + 1,
            false => share,
        };
        self.shut = Some(share);
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_millis(200);

    fn shut() -> Share {
        let mut share = Share::default();
        for _ in 0..LONG_ROUNDS {
            assert!(!share.is_shut());
            share.after(LONG, 0);
        }
        assert!(share.is_shut());
        share
    }

    #[test]
    fn a_long_round_now_and_then_shuts_nobody_out() {
        let mut share = Share::default();
        for _ in 0..100 {
            share.after(LONG, 0);
            share.after(LONG, 0);
            share.after(SHORT, 0);
            assert!(!share.is_shut());
        }
    }

    #[test]
    fn fewer_are_let_on_while_rounds_are_long_and_more_while_they_are_short() {
        let mut share = shut();
        let first = share.after(SHORT, 1_000);
        assert!(first > SHARE_FIRST);
        assert!(share.after(LONG, 1_000) <= first / 2);
        for _ in 0..20 {
            share.after(LONG, 1_000);
        }
        assert_eq!(share.after(LONG, 1_000), 1, "somebody always is");
        let mut before = 1;
        for _ in 0..50 {
            let now = share.after(SHORT, 1_000);
            assert!(now > before || now > 500, "{now}");
            before = now;
        }
    }

    #[test]
    fn all_come_as_they_like_once_nobody_has_waited_for_a_while() {
        let mut share = shut();
        for _ in 1..QUIET_TICKS {
            share.after(SHORT, 0);
            assert!(share.is_shut());
        }
        share.after(SHORT, 0);
        assert!(!share.is_shut());
    }

    #[test]
    fn who_waits_longest_is_let_on_first_and_for_one_read() {
        let turnstile = Turnstile::default();
        turnstile.is_shut.store(true, Ordering::Release);
        let all: Vec<Arc<Activity>> = (0..3).map(|_| Arc::default()).collect();
        for one in &all {
            assert!(!turnstile.lets_on(one));
            assert!(!turnstile.lets_on(one), "it stands there once");
        }
        let mut share = Share {
            shut: Some(4),
            ..Share::default()
        };
        turnstile.turn(&mut share, LONG);
        let may: Vec<bool> = all.iter().map(|one| turnstile.lets_on(one)).collect();
        assert_eq!(may, [true, true, false]);
        assert!(!turnstile.lets_on(&all[0]), "its turn is over");
        share = Share::default();
        turnstile.turn(&mut share, SHORT);
        assert!(all.iter().all(|one| turnstile.lets_on(one)));
        assert!(turnstile.lock().is_empty());
    }
}
