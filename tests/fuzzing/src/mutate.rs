//! Changes of bytes, and which change an input gets.

use crate::random::Random;
use crate::{Grammar, messages, replies, texts};

/// Longest input, in bytes.
pub(crate) const INPUT_BYTES_MAX: usize = 8 * 1024;

/// Texts that are a boundary somewhere: ids, numbers, what ends a string, what is long.
pub(crate) const TEXTS: &[&str] = &[
    "",
    "shop",
    "shop.3.1042",
    "shop.0.0",
    "other.1.2",
    "shop.18446744073709551615.18446744073709551615",
    "shop.01.2",
    "mysql",
    "stock",
    "p-1",
    "p-2",
    "ann@example",
    "EUR",
    "XXX",
    "eur",
    "lamp",
    "{a}",
    "a b",
    "INSUFFICIENT_STOCK",
    "UNKNOWN_SKU",
    "NOT_A_NUMBER",
    "DUPLICATE_PURCHASE",
    "CONSTRAINT_VIOLATED",
    "LOCKED",
    "HEURISTIC_ROLLBACK",
    "HEURISTIC_COMMIT",
    "HEURISTIC_MIXED",
    "'",
    "\\",
    "\"",
    "`",
    "\0",
    "é",
    "' OR 1=1 -- ",
    "\u{bf}'",
    "%s",
    "0",
    "-1",
    "-0",
    "+1",
    "9007199254740992",
    "-9223372036854775808",
    "18446744073709551616",
    "1e3",
    "NaN",
    ".",
    "..",
    "tandem:",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Numbers that are a boundary somewhere.
pub(crate) const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    1_000_000,
    1_000_001,
    999_999_999,
    1_000_000_000,
    0x7461_6E64,
    1 << 31,
    (1 << 31) - 1,
    (1 << 32) - 1,
    1 << 32,
    1_000_000_000_000,
    1_000_000_000_001,
    1 << 53,
    (1 << 53) - 1,
    253_402_300_799,
    253_402_300_800,
    315_576_000_000,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// A changed copy of `base`; `other` is one to take parts of.
pub(crate) fn mutated(grammar: Grammar, base: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut input = match grammar {
        Grammar::Message if !random.one_in(10) => messages::mutated(base, other, random),
        Grammar::Replies if !random.one_in(20) => replies::mutated(base, other, random),
        Grammar::Text(words) if !random.one_in(4) => texts::mutated(base, other, words, random),
        _ => bytes(base, other, random),
    };
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// Changes some bytes.
pub(crate) fn bytes(base: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut input = base.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(9) {
            0 => input.truncate(at),
            1 => input.insert(at, random.byte()),
            2 => {
                let end = (at + 1 + random.below(16)).min(input.len());
                input.drain(at.min(end)..end);
            }
            3 => {
                let from = random.below(other.len() + 1);
                let to = (from + random.below(32)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            4 => {
                let end = (at + random.below(32)).min(input.len());
                let copied = input[at..end].to_vec();
                input.splice(at..at, copied);
            }
            5 => {
                let text = random.of(TEXTS).copied().unwrap_or_default();
                input.splice(at..at, text.bytes());
            }
            6 => {
                let number = random
                    .of(NUMBERS)
                    .copied()
                    .unwrap_or_default()
                    .to_be_bytes();
                let kept = &number[random.below(8)..];
                for (byte, new) in input.iter_mut().skip(at).zip(kept) {
                    *byte = *new;
                }
            }
            7 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.byte();
                }
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    input
}
