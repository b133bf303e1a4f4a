//! Power cuts: what the disk may hold after one, and what a log must still know.

use std::path::{Path, PathBuf};

use fastrand::Rng;
use tandem_log::{DecisionLog, LogOptions, OpenError};

use super::disk::{Disk, Event, Survives};
use super::workload::{Acknowledged, content};
use super::{close, copy, identity, open, store};

/// What the cuts met; a test that met nothing shows nothing.
#[derive(Debug, Default)]
pub struct Seen {
    pub cuts: usize,
    /// Those after which some sectors of some unsynced writes were there, in no order.
    pub torn: usize,
    pub opened: usize,
    pub never_created: usize,
    pub acknowledged_checked: usize,
    pub unacknowledged_kept: usize,
    /// Events at which a segment had been begun and not been forced yet.
    pub segments_begun: usize,
}

/// Lets the events happen, and cuts the power before each event in `cuts` (sorted). Keeps some of
/// what the cuts left, with what was acknowledged by then.
pub fn cut_power(
    mut acknowledged: Acknowledged,
    folder: &Path,
    mut disk: Disk,
    events: &[Event],
    cuts: &[usize],
    numbers: &mut Rng,
    seen: &mut Seen,
) -> Vec<(PathBuf, Acknowledged)> {
    let mut saved = Vec::new();
    let mut cuts = cuts.iter().peekable();
    for (at, event) in events.iter().enumerate() {
        while cuts.next_if(|cut| **cut == at).is_some() {
            let survives = match seen.cuts % 4 {
                0 | 1 => Survives::Nothing,
                2 => Survives::Some,
                _ => Survives::Everything,
            };
            let target = folder.join(format!("cut-{}", seen.cuts));
            let before = numbers.clone();
            disk.write_to(&target, survives, numbers);
            if seen.cuts.is_multiple_of(7) {
                let kept = folder.join(format!("kept-{}", seen.cuts));
                copy(&target, &kept);
                saved.push((kept, acknowledged.clone()));
            }
            check_after_cut(&target.join("log"), &acknowledged, seen).unwrap_or_else(|why| {
                let (count, cut) = (events.len(), seen.cuts);
                let kept = keep(&disk, survives, before, events, at);
                panic!("cut {cut} at event {at} of {count}, {survives:?}: {why}; see {kept:?}")
            });
            std::fs::remove_dir_all(&target).unwrap();
            seen.torn += usize::from(matches!(survives, Survives::Some));
            seen.cuts += 1;
        }
        disk.apply(event);
        acknowledged.apply(event);
        let begun = disk.segments_begun();
        seen.segments_begun += usize::from(begun > 0);
        assert!(
            begun < 2,
            "{begun} segments were begun without a force, event {at}: sled would take what it lost \
             of the first for stable"
        );
    }
    saved
}

/// Keeps what a cut left that the log could not be opened on, and the last events before it.
fn keep(disk: &Disk, survives: Survives, mut numbers: Rng, events: &[Event], at: usize) -> PathBuf {
    let kept = tempfile::Builder::new().prefix("tandem-cut-").tempdir();
    let kept = kept.unwrap().keep();
    disk.write_to(&kept.join("disk"), survives, &mut numbers);
    let told: String = events[..at].iter().fold(String::new(), |told, event| {
        let Event {
            kind,
            descriptor,
            number,
            bytes,
        } = event;
        let what = match kind {
            b'O' | b'M' | b'U' | b'R' => String::from_utf8_lossy(bytes).into_owned(),
            _ => format!("{} bytes", bytes.len()),
        };
        told + &format!("{} {descriptor} {number} {what}\n", char::from(*kind))
    });
    std::fs::write(kept.join("events"), told).unwrap();
    kept
}

/// Opens the log that a cut has left, and lets it go on from there.
pub fn check_after_cut(
    dir: &Path,
    acknowledged: &Acknowledged,
    seen: &mut Seen,
) -> Result<(), String> {
    let log = match DecisionLog::open(LogOptions::new(dir)) {
        Ok((log, opened)) => {
            acknowledged.check(&opened.records)?;
            seen.opened += 1;
            seen.acknowledged_checked += acknowledged.records.len();
            let last = opened.records.last().map_or(0, |(position, _)| position.0);
            let last_acknowledged = acknowledged.records.keys().next_back().copied();
            seen.unacknowledged_kept += usize::from(last > last_acknowledged.unwrap_or(0));
            log
        }
        Err(OpenError::NoLog { .. } | OpenError::Unfinished { .. })
            if acknowledged.records.is_empty() =>
        {
            seen.never_created += 1;
            DecisionLog::create(LogOptions::new(dir), &identity())
                .map_err(|error| error.to_string())?
                .0
        }
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            return Err(format!("refused: {error}: {source:?}"));
        }
    };
    // The log goes on from there.
    let positions: Vec<_> = (0..3).map(|n| store(&log, &content(900_000 + n))).collect();
    close(log);
    let (log, records) = open(dir);
    acknowledged.check(&records)?;
    close(log);
    match records.last() {
        Some((last, _)) if Some(last) == positions.last() => Ok(()),
        other => Err(format!("after the cut up to {positions:?}, then {other:?}")),
    }
}
