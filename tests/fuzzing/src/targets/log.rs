//! What the decision log's files hold, below the records.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use tandem_log::Identity;
use tandem_log::format::{Batch, BatchBuilder, CELL_BYTES_MAX, Mark, MarkKind, Point, scan_values};

use crate::{Grammar, Target};

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "log_batch",
            grammar: Grammar::Bytes,
            seeds: || {
                let mut content = vec![1; 57];
                content[5..25]
                    .copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
                content.extend([0, 0, 0, 2, b'a', b'b', 0, 0, 0, 1, b'c']);
                vec![content]
            },
            read: batch,
        },
        Target {
            name: "log_mark",
            grammar: Grammar::Bytes,
            seeds: || {
                let mark = |kind: u8| {
                    let mut bytes = [0; 512];
                    bytes[..8].copy_from_slice(b"tandemlg");
                    (bytes[8], bytes[9]) = (1, kind);
                    bytes[58..64].copy_from_slice(b"\x05log-1");
                    bytes[123..128].copy_from_slice(b"\x04shop");
                    bytes[511] = 1;
                    bytes.to_vec()
                };
                vec![mark(b'B'), mark(b'H')]
            },
            read: mark,
        },
        Target {
            name: "log_damaged",
            grammar: Grammar::Bytes,
            seeds: || {
                (0..11)
                    .map(|step| vec![step, 5, 0, 9, step, 3, 1, 200])
                    .collect()
            },
            read: damaged,
        },
    ]
}

/// A batch whose length and checksum are made good: what is read is built again to the same bytes.
fn batch(content: &[u8]) -> String {
    let mut bytes = content.to_vec();
    // Every other one keeps a wrong length or checksum.
    if content.len() >= 5 && content.last() != Some(&0) {
        bytes[0] = 1;
        let length = u32::try_from(bytes.len() + 32).expect("short");
        bytes[1..5].copy_from_slice(&length.to_be_bytes());
        bytes.extend(sha256(&bytes));
    }
    match Batch::decode(&bytes) {
        Ok(read) => {
            let mut builder = BatchBuilder::new(read.sequence, read.first_position, &read.previous);
            for record in &read.records {
                builder.push(record);
            }
            assert_eq!(builder.finish(), (bytes, read.hash));
            format!("{} records", read.records.len())
        }
        Err(error) => word(&error),
    }
}

/// A mark, its checksum made good or not: what is read is written again to the same bytes.
fn mark(content: &[u8]) -> String {
    let mut bytes = content.to_vec();
    if bytes.len() > 32 && bytes.last() != Some(&0) {
        let checksum_at = bytes.len() - 32;
        let checksum = sha256(&bytes[..checksum_at]);
        bytes[checksum_at..].copy_from_slice(&checksum);
    }
    let read = [MarkKind::Base, MarkKind::Head].map(|kind| Mark::decode(&bytes, kind));
    match &read {
        [Ok(_), Ok(_)] => panic!("both a base and a head"),
        [Ok(mark), _] | [_, Ok(mark)] => {
            let kind = if read[0].is_ok() {
                MarkKind::Base
            } else {
                MarkKind::Head
            };
            let again = Mark::decode(&mark.encode(kind), kind);
            assert_eq!(again.as_ref(), Ok(mark));
            format!("{kind:?}")
        }
        [Err(error), _] => word(error),
    }
}

/// A database and its head, damaged step by step as `steps` says (four bytes a step). What is
/// believed of it was written so, and everything up to the head is there.
fn damaged(steps: &[u8]) -> String {
    let written = &*WRITTEN;
    let mut values = written.values.clone();
    let mut head = written.head.encode(MarkKind::Head).to_vec();
    let mut durable = written.head.point.position;
    for step in steps.chunks_exact(4).take(STEPS_MAX) {
        let keys: Vec<Vec<u8>> = values.keys().cloned().collect();
        let Some(key) = keys.get(usize::from(step[1]) % keys.len().max(1)) else {
            break;
        };
        let at = usize::from(u16::from_be_bytes([step[2], step[3]]));
        let value = values.get_mut(key).expect("it is a key");
        match step[0] % 11 {
            0 => flip(value, at, step[1]),
            1 => value.truncate(at),
            2 => drop(values.remove(key)),
            3 => value
                .iter_mut()
                .skip(at)
                .take(512)
                .for_each(|byte| *byte = 0),
            4 => {
                let other = keys[at % keys.len()].clone();
                let (one, two) = (value.clone(), values[&other].clone());
                values.insert(key.clone(), two);
                values.insert(other, one);
            }
            5 => {
                let mut moved = key.clone();
                let value = value.clone();
                flip(&mut moved, at, step[1]);
                values.insert(moved, value);
            }
            6 => {
                if let Some(other) = written.other.get(key) {
                    value.clone_from(other);
                }
            }
            7 => value.extend(vec![step[3]; at % 600]),
            8 => flip(&mut head, at, step[1]),
            9 => head.truncate(at),
            // An older head is what a power cut may leave.
            _ => {
                let older = &written.points[at % written.points.len()];
                durable = durable.min(older.position);
                head = Mark {
                    identity: written.head.identity.clone(),
                    point: *older,
                }
                .encode(MarkKind::Head)
                .to_vec();
            }
        }
    }
    let pairs = values.iter().map(|(key, value)| (&key[..], &value[..]));
    let scan = scan_values(pairs, &head);
    if let Some(damage) = scan.damage.first() {
        return word(damage);
    }
    let base = scan.base.expect("a log without damage has a base");
    let mut next = base.point.position;
    for (position, record) in &scan.records {
        next += 1;
        assert_eq!(position.0, next, "a gap");
        assert_eq!(*record, self::record(next), "record {next} is another one");
    }
    assert!(next >= durable, "{durable} was durable, {next} is the last");
    format!("sound up to {next}")
}

const STEPS_MAX: usize = 6;

/// A log of some batches, the head behind the last but one.
struct Written {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Another log with the same keys.
    other: BTreeMap<Vec<u8>, Vec<u8>>,
    /// After each batch, up to the head.
    points: Vec<Point>,
    head: Mark,
}

static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let (values, points, identity) = write("log-1");
    let point = points[points.len() - 2];
    Written {
        values,
        other: write("log-2").0,
        points: points[..points.len() - 1].to_vec(),
        head: Mark { identity, point },
    }
});

fn write(log_id: &str) -> (BTreeMap<Vec<u8>, Vec<u8>>, Vec<Point>, Identity) {
    let identity = Identity {
        log_id: log_id.to_owned(),
        coordinator_id: "shop".to_owned(),
    };
    let mut point = Point {
        sequence: 7,
        position: 20,
        ..Point::genesis(&identity)
    };
    let mut points = vec![point];
    let base = Mark {
        identity: identity.clone(),
        point,
    };
    let mut values = BTreeMap::from([(b"base".to_vec(), base.encode(MarkKind::Base).to_vec())]);
    for records in [1, 3, 2, 1, 4, 2] {
        let mut builder = BatchBuilder::new(point.sequence + 1, point.position + 1, &point.hash);
        for number in 1..=records {
            builder.push(&record(point.position + number));
        }
        let (bytes, hash) = builder.finish();
        point = Point {
            sequence: point.sequence + 1,
            position: point.position + records,
            hash,
        };
        points.push(point);
        for (cell, part) in (0_u16..).zip(bytes.chunks(CELL_BYTES_MAX)) {
            let mut key = vec![b'r'];
            key.extend(point.sequence.to_be_bytes());
            key.extend(cell.to_be_bytes());
            values.insert(key, part.to_vec());
        }
    }
    (values, points, identity)
}

/// The record of a position; some take several cells.
fn record(position: u64) -> Vec<u8> {
    let length = if position.is_multiple_of(5) {
        7_000
    } else {
        40
    };
    let text = format!("record {position} ");
    text.bytes().cycle().take(length).collect()
}

fn flip(bytes: &mut [u8], at: usize, bit: u8) {
    if !bytes.is_empty() {
        let at = at % bytes.len();
        bytes[at] ^= 1 << (bit % 8);
    }
}

/// The name of an error's variant.
fn word(error: &impl std::fmt::Debug) -> String {
    let shown = format!("{error:?}");
    shown
        .split([' ', '(', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
