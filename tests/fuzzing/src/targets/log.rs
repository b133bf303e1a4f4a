//! What the decision log's files hold, below the records.

use tandem_log::fuzzing;

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
            read: fuzzing::batch,
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
            read: fuzzing::mark,
        },
        Target {
            name: "log_damaged",
            grammar: Grammar::Bytes,
            seeds: || {
                (0..11)
                    .map(|step| vec![step, 5, 0, 9, step, 3, 1, 200])
                    .collect()
            },
            read: fuzzing::damaged,
        },
    ]
}
