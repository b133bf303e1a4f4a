//! One store, as its participant has examined it.

use tandem_participant::{CheckedStore, Error, Examined, Finding, Trial};

use super::{Ailment, Found, Severity, Subject};

/// How far a store's clock may be from this machine's, in milliseconds, before it is told: NTP keeps machines
/// within a tenth of it.
const CLOCK_MS_MAX: i64 = 2_000;

/// What is known of a store now.
pub(super) fn subject(name: &str, examined: Result<Examined, Error>) -> Subject {
    let mut subject = Subject::named(name);
    let examined = match examined {
        Ok(examined) => examined,
        Err(error @ Error::Invalid { .. }) => {
            let refused = Found::of(Ailment::StatementRefused, error.to_string());
            subject.found.push(refused);
            return subject;
        }
        Err(error) => {
            let unasked = Found::of(Ailment::NotAsked, error.to_string());
            subject.found.push(unasked);
            return subject;
        }
    };
    let CheckedStore {
        description,
        faults,
    } = &examined.checked;
    let mut fact = format!("{} at {}", description.server, description.address);
    match &examined.trial {
        Trial::Passed => fact.push_str(", where a trial was committed and one rolled back"),
        Trial::Skipped(why) => fact.push_str(&format!(", where nothing was tried: {why}")),
        Trial::Failed(why) => {
            let what = format!("a trial transaction failed: {why}");
            subject.found.push(Found::of(Ailment::TrialFailed, what));
        }
    }
    subject.facts.push(fact);
    for fault in faults {
        let fault = fault.trim_end().to_owned();
        subject
            .found
            .push(Found::of(Ailment::StatementRefused, fault));
    }
    let findings = description.findings.iter();
    subject
        .found
        .extend(findings.map(|one| found(one, &examined)));
    subject
        .found
        .extend(examined.clock_ahead_ms.and_then(clock));
    subject
}

fn found(finding: &Finding, examined: &Examined) -> Found {
    Found {
        name: finding.name.clone(),
        severity: match (finding.accepted, finding.told) {
            (false, _) => Severity::Unsafe,
            (true, false) => Severity::Accepted,
            (true, true) => Severity::Told,
        },
        detail: finding.detail.clone(),
        remedies: examined.remedies_of(finding).cloned().collect(),
    }
}

fn clock(ahead_ms: i64) -> Option<Found> {
    if ahead_ms.abs() <= CLOCK_MS_MAX {
        return None;
    }
    let apart = std::time::Duration::from_millis(ahead_ms.unsigned_abs());
    let apart = humantime::format_duration(apart);
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let what = format!("the store's clock is {apart} {side} this machine's");
    Some(Found::of(Ailment::ClockDiffers, what))
}
