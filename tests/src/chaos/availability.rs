//! Whether those whom nothing hits are served, and how long an outage lasts once its cause is over.
//!
//! A trouble is a time in which something is broken from outside. A purchase may wait as long as troubles
//! last and for [`OUTAGE_MAX`] after each; what it waits beside that may take [`ANSWER_MAX`] in all. Once
//! every client has been served after the last trouble, whatever was broken has recovered, and each
//! purchase is to be answered at once: with its final answer, and not with a "try again".

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::load::Wait;

/// The longest that an outage may last once its cause is over.
pub(super) const OUTAGE_MAX: Duration = Duration::from_secs(5);

/// The longest that a purchase may take that nothing has hit.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A time from its beginning to its end.
type Span = (Instant, Instant);

/// A trouble that is over.
#[derive(Debug, Clone, Copy)]
struct Past {
    span: Span,
    /// Whether nothing of it was left at its end, as far as clients can tell.
    recovered: bool,
}

impl Past {
    /// The time in which it excuses that somebody waits, given when everybody had been served again.
    fn excuse(self, recovered: Instant) -> Span {
        let (begun, ended) = self.span;
        let longest = ended + OUTAGE_MAX;
        let until = match self.recovered {
            true => ended,
            // It came after everybody had been served.
            false if ended > recovered => longest,
            false => longest.min(recovered),
        };
        (begun, until)
    }
}

/// The troubles of a round.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Vec<Past>>);

/// One that goes on until this is dropped.
#[derive(Debug)]
pub(super) struct Trouble<'a> {
    troubles: &'a Troubles,
    begun: Instant,
    recovered: bool,
}

impl Trouble<'_> {
    /// Ends it: everybody has been served meanwhile.
    pub(super) fn recovered(mut self) {
        self.recovered = true;
    }

    /// Ends it as if it had not been.
    pub(super) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Troubles {
    pub(super) fn begin(&self) -> Trouble<'_> {
        Trouble {
            troubles: self,
            begun: Instant::now(),
            recovered: false,
        }
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        self.troubles.0.lock().unwrap().push(Past {
            span: (self.begun, Instant::now()),
            recovered: self.recovered,
        });
    }
}

/// How a round's purchases were served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Service {
    /// Purchases that no trouble has hit, nor what it left.
    pub undisturbed: usize,
    /// The longest that one of these took.
    pub longest: Duration,
    /// The longest that a purchase waited after the end of the trouble that had hit it.
    pub outage: Duration,
}

impl Service {
    /// The worst of both.
    pub(super) fn plus(self, other: Service) -> Service {
        Service {
            undisturbed: self.undisturbed + other.undisturbed,
            longest: self.longest.max(other.longest),
            outage: self.outage.max(other.outage),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} undisturbed, the longest in {} ms; the longest outage ended {} ms after its cause",
            self.undisturbed,
            self.longest.as_millis(),
            self.outage.as_millis()
        )
    }
}

/// Judges all waits. `recovered` is when every client had been served after the last trouble.
///
/// # Errors
/// What breaks a bound.
pub(super) fn judge(
    troubles: &Troubles,
    recovered: Instant,
    waits: &[Wait],
) -> Result<Service, String> {
    let past = troubles.0.lock().unwrap().clone();
    let spans = apart(past.iter().map(|past| past.span).collect());
    let excuses = apart(past.iter().map(|past| past.excuse(recovered)).collect());
    let mut service = Service::default();
    for wait in waits {
        let own = outside(wait, &excuses);
        if own > ANSWER_MAX {
            return Err(format!(
                "invariant_answered_within_bound: {} waited {own:?} beside all troubles, and may wait \
                 {ANSWER_MAX:?}: {}",
                wait.purchase.purchase_id,
                shown(wait, &spans)
            ));
        }
        if own == wait.ended - wait.begun {
            if !wait.before.is_empty() {
                return Err(format!(
                    "invariant_undisturbed_is_answered_at_once: {} was told {:?} before: {}",
                    wait.purchase.purchase_id,
                    wait.before,
                    shown(wait, &spans)
                ));
            }
            service.undisturbed += 1;
            service.longest = service.longest.max(own);
        }
        let hit = spans.iter().rev();
        let hit = hit.map(|span| span.1).find(|end| *end < wait.ended);
        if let Some(end) = hit
            && wait.begun <= end
        {
            service.outage = service.outage.max(wait.ended - end);
        }
    }
    Ok(service)
}

/// When it was, and when the troubles were, in milliseconds from the first of all.
fn shown(wait: &Wait, spans: &[Span]) -> String {
    let first = spans
        .first()
        .map_or(wait.begun, |span| span.0.min(wait.begun));
    let ms = |at: Instant| (at - first).as_millis();
    let spans = spans
        .iter()
        .map(|&(from, to)| format!("{} to {}", ms(from), ms(to)));
    let spans: Vec<String> = spans.collect();
    let (begun, ended) = (ms(wait.begun), ms(wait.ended));
    format!(
        "asked at {begun}, answered at {ended} ms; troubles {}",
        spans.join(", ")
    )
}

/// What of a wait is in no span.
fn outside(wait: &Wait, spans: &[Span]) -> Duration {
    let inside = spans.iter().map(|&(begun, ended)| {
        let (from, to) = (begun.max(wait.begun), ended.min(wait.ended));
        to.saturating_duration_since(from)
    });
    (wait.ended - wait.begun).saturating_sub(inside.sum())
}

/// Spans in order, those that touch made one.
fn apart(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut apart: Vec<Span> = Vec::new();
    for (begun, ended) in spans {
        match apart.last_mut() {
            Some(last) if begun <= last.1 => last.1 = last.1.max(ended),
            _ => apart.push((begun, ended)),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Answer;
    use crate::client::purchase;

    /// Troubles and waits in milliseconds from a beginning; every client was served again at `recovered`.
    fn judged(
        troubles: &[(u64, u64)],
        recovered: u64,
        waits: &[(u64, u64, bool)],
    ) -> Result<Service, String> {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let past = troubles.iter().map(|&(from, to)| Past {
            span: (at(from), at(to)),
            recovered: false,
        });
        let troubles = Troubles(Mutex::new(past.collect()));
        let waits: Vec<Wait> = waits
            .iter()
            .map(|&(from, to, at_once)| Wait {
                begun: at(from),
                ended: at(to),
                before: match at_once {
                    true => Vec::new(),
                    false => vec![Answer::NotMade {
                        reason: "PARTICIPANT_UNAVAILABLE".to_owned(),
                    }],
                },
                purchase: purchase("p-1", &[("tea", 1)]),
            })
            .collect();
        judge(&troubles, at(recovered), &waits)
    }

    fn broken(judged: Result<Service, String>) -> String {
        let text = judged.unwrap_err();
        text.split(':').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn waits_in_troubles_and_shortly_after_them_are_excused() {
        let service = judged(
            &[(1_000, 3_000), (2_000, 4_000)],
            6_000,
            &[
                (0, 20, true),
                (900, 5_900, false),
                (5_000, 5_100, false),
                (6_001, 6_011, true),
            ],
        );
        let service = service.unwrap();
        assert_eq!(service.undisturbed, 2);
        assert_eq!(service.longest.as_millis(), 20);
        assert_eq!(service.outage.as_millis(), 1_900);
    }

    #[test]
    fn who_waits_without_a_trouble_is_named() {
        let slow = judged(&[(5_000, 6_000)], 7_000, &[(0, 1_500, true)]);
        assert_eq!(broken(slow), "invariant_answered_within_bound");
        let after = judged(&[(0, 1_000)], 2_000, &[(1_500, 3_200, true)]);
        assert_eq!(broken(after), "invariant_answered_within_bound");
    }

    #[test]
    fn an_outage_that_outlives_its_cause_is_named() {
        let end = 1_000 + OUTAGE_MAX.as_millis() as u64 + ANSWER_MAX.as_millis() as u64;
        assert!(judged(&[(0, 1_000)], end, &[(500, end, false)]).is_ok());
        let long = judged(&[(0, 1_000)], end + 2, &[(500, end + 2, false)]);
        assert_eq!(broken(long), "invariant_answered_within_bound");
    }

    #[test]
    fn try_again_without_a_trouble_is_named() {
        let again = judged(&[(0, 1_000)], 2_000, &[(2_100, 2_200, false)]);
        assert_eq!(broken(again), "invariant_undisturbed_is_answered_at_once");
    }
}
