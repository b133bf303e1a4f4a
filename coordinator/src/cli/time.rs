//! Times and durations in a person's words.

use std::time::Duration;

use prost_types::Timestamp;

/// Shown where there is no time.
pub(super) const NONE: &str = "-";

/// A cell's text, or [`NONE`] where there is none.
pub(super) fn or_none(text: String) -> String {
    match text.is_empty() {
        true => NONE.to_owned(),
        false => text,
    }
}

/// The same moment, if it is one that a calendar can show.
pub(super) fn moment(time: Option<&Timestamp>) -> Option<jiff::Timestamp> {
    let time = time?;
    jiff::Timestamp::new(time.seconds, time.nanos).ok()
}

/// A moment of the command line.
pub(super) fn parse(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse()
        .map_err(|error: jiff::Error| format!("{error}; write 2026-03-01T12:00:00Z"))
}

/// A moment of the command line, as the wire has it.
pub(super) fn wire(moment: jiff::Timestamp) -> Timestamp {
    Timestamp {
        seconds: moment.as_second(),
        nanos: moment.subsec_nanosecond(),
    }
}

/// The moment in RFC 3339 with milliseconds, or [`NONE`].
pub(super) fn absolute(time: Option<&Timestamp>) -> String {
    moment(time).map_or_else(|| NONE.to_owned(), |moment| format!("{moment:.3}"))
}

/// Two clocks that are this close agree.
const CLOSE: Duration = Duration::from_secs(1);

/// How long ago the moment was: `3m 12s ago`, or [`NONE`]. Another machine's clock may put it into
/// the future: `in 4s`, or `0s ago` where the clocks agree.
pub(super) fn relative(time: Option<&Timestamp>, now: jiff::Timestamp) -> String {
    let Some(moment) = moment(time) else {
        return NONE.to_owned();
    };
    let distance = now.duration_since(moment).unsigned_abs();
    if moment <= now {
        format!("{} ago", span(distance))
    } else if distance <= CLOSE {
        "0s ago".to_owned()
    } else {
        format!("in {}", span(distance))
    }
}

/// When a branch is asked again: `in 4s`, or [`NONE`]. One whose time has passed waits for its
/// participant, which is asked as soon as it can be reached.
pub(super) fn next(time: Option<&Timestamp>, now: jiff::Timestamp) -> String {
    match moment(time) {
        None => NONE.to_owned(),
        Some(moment) if moment <= now => "when it is back".to_owned(),
        Some(moment) => format!("in {}", span(moment.duration_since(now).unsigned_abs())),
    }
}

/// The moment, absolute and relative to `now`.
pub(super) fn both(time: Option<&Timestamp>, now: jiff::Timestamp) -> String {
    match moment(time) {
        Some(_) => format!("{} ({})", absolute(time), relative(time, now)),
        None => NONE.to_owned(),
    }
}

/// A duration in human units: milliseconds below ten seconds, whole seconds above.
pub(super) fn span(duration: Duration) -> String {
    let shown = if duration < Duration::from_secs(10) {
        Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    } else {
        Duration::from_secs(duration.as_secs())
    };
    humantime::format_duration(shown).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_from_now() {
        let now: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().expect("well formed");
        let at = |seconds: i64, nanos: i32| Timestamp {
            seconds: now.as_second() + seconds,
            nanos,
        };
        assert_eq!(relative(Some(&at(-192, 0)), now), "3m 12s ago");
        assert_eq!(relative(Some(&at(3, 250_000_000)), now), "in 3s 250ms");
        assert_eq!(
            absolute(Some(&at(0, 5_000_000))),
            "2026-03-01T12:00:00.005Z"
        );
        assert_eq!(relative(Some(&at(0, 1_000_000)), now), "0s ago");
        assert_eq!(both(None, now), "-");
    }

    #[test]
    fn next_try_is_told_from_now_or_waits_for_the_participant() {
        let now: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().expect("well formed");
        let at = |seconds: i64, nanos: i32| Timestamp {
            seconds: now.as_second() + seconds,
            nanos,
        };
        assert_eq!(next(Some(&at(0, 250_000_000)), now), "in 250ms");
        assert_eq!(next(Some(&at(4, 0)), now), "in 4s");
        assert_eq!(next(Some(&at(-1, 958_000_000)), now), "when it is back");
        assert_eq!(next(None, now), "-");
    }

    #[test]
    fn moment_that_no_calendar_has_is_not_shown() {
        let time = Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        };
        assert_eq!(absolute(Some(&time)), "-");
    }
}
