//! A store that does not let tandem in: what only a person can mend is tried rarely, since servers
//! lock accounts after a few wrong passwords, and the account may be the app's own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Finding;

/// The finding that a store denies tandem the access.
pub const ACCESS_DENIED: &str = "ACCESS_DENIED";

/// Pauses before it is tried again. The first is for an account that was just being made anew; the
/// third try in a row is the one that locks where three are allowed, so it comes late.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(240),
    Duration::from_secs(300),
];

/// Whether the store lets tandem in, as far as is known.
#[derive(Debug, Default)]
pub struct Admission(Mutex<Option<Denial>>);

#[derive(Debug)]
struct Denial {
    /// What the store said, for a person.
    detail: String,
    /// How often it has said so in a row.
    times: usize,
    at: Instant,
    /// A person has said since that it is mended.
    is_permitted: bool,
}

impl Admission {
    /// What the store said when it denied tandem the access, if it is too early to try again.
    pub fn refusal(&self) -> Option<String> {
        let denial = self.lock();
        let denial = denial.as_ref()?;
        let is_early = !denial.is_permitted && denial.at.elapsed() < pause(denial.times);
        is_early.then(|| advice(&denial.detail))
    }

    /// A person says that it is mended: it is tried once without a pause. If it is denied again, the
    /// pause is the one that would have followed anyway.
    pub fn permit(&self) {
        if let Some(denial) = self.lock().as_mut() {
            denial.is_permitted = true;
        }
    }

    /// The store denied it: a password, an account or a right. Gives it with what is to be done.
    pub fn deny(&self, detail: String) -> String {
        let mut denial = self.lock();
        let times = denial.as_ref().map_or(0, |denial| denial.times) + 1;
        let advised = advice(&detail);
        *denial = Some(Denial {
            detail,
            times,
            at: Instant::now(),
            is_permitted: false,
        });
        advised
    }

    /// The store let tandem in.
    pub fn admit(&self) {
        *self.lock() = None;
    }

    /// It as a finding, for people.
    pub fn finding(&self) -> Option<Finding> {
        let denial = self.lock();
        let denial = denial.as_ref()?;
        Some(Finding {
            name: ACCESS_DENIED.into(),
            detail: format!(
                "no new connection is let in, those that are there serve on: {}",
                advice(&denial.detail)
            ),
            accepted: false,
            told: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Denial>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long nothing is tried after so many denials in a row.
fn pause(times: usize) -> Duration {
    PAUSES[times.clamp(1, PAUSES.len()) - 1]
}

fn advice(detail: &str) -> String {
    format!(
        "{detail}; mend the account at the store, or the url and restart: it is tried again after 1, \
         60, 120, 240 and then every 300 seconds, so that no account is locked by it, and at once by \
         a restart or by `tandem participants retry`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_rarely() {
        let tries = (1..7).scan(0, |since, times| {
            *since += pause(times).as_secs();
            Some(*since)
        });
        assert_eq!(tries.collect::<Vec<_>>(), [1, 61, 181, 421, 721, 1_021]);
    }

    #[test]
    fn a_person_has_it_tried_once() {
        let admission = Admission::default();
        admission.permit();
        assert_eq!(admission.refusal(), None);
        admission.deny("error 1045".into());
        admission.permit();
        assert_eq!(admission.refusal(), None);
        assert!(
            admission.finding().is_some(),
            "it is denied until it is let in"
        );
        admission.deny("error 1045".into());
        assert!(admission.refusal().is_some());
    }

    #[test]
    fn a_denial_holds_until_the_store_lets_in() {
        let admission = Admission::default();
        assert_eq!(admission.refusal(), None);
        assert!(admission.deny("error 1045".into()).contains("error 1045"));
        assert!(
            admission
                .refusal()
                .is_some_and(|said| said.contains("error 1045"))
        );
        assert_eq!(admission.finding().expect("denied").name, ACCESS_DENIED);
        admission.admit();
        assert_eq!(admission.refusal(), None);
        assert_eq!(admission.finding(), None);
    }
}
