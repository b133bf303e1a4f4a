//! A Redis server's replies (RESP 2): taken apart, changed, put together.

use crate::mutate::{self, NUMBERS, TEXTS};
use crate::random::Random;

/// Longest array that is read.
const ITEMS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(Vec<u8>),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
}

/// The words of tandem's scripts, and the errors that a server knows.
const WORDS: &[&str] = &[
    "VOTE",
    "NO",
    "FENCED",
    "APPLIED",
    "ALREADY",
    "REDONE",
    "RELEASED",
    "FORGOTTEN",
    "COMMITTED",
    "DONE",
    "MORE",
    "PREPARED",
    "ABSENT",
    "ENLISTED",
    "NEW",
    "KNOWN",
    "LOG",
    "EPOCH",
    "INSTANCE",
    "INSUFFICIENT",
    "MISSING",
    "WRONG_TYPE",
    "NOT_INTEGER",
    "TOO_LARGE",
    "SHORT",
    "string",
    "hash",
    "none",
    "stock:lamp",
    "3.1042",
    "shop.3.1042",
    "appendonly",
    "yes",
    "role:master\r\nredis_version:7.0.15\r\n",
];
const ERRORS: &[&str] = &[
    "NOSCRIPT No matching script",
    "OOM command not allowed",
    "BUSY Redis is busy",
    "LOADING",
    "ERR x",
    "MISCONF",
    "NOPERM",
    "READONLY You can't write against a read only replica.",
    "MOVED 1 127.0.0.1:1",
    "ASK 1 h:2",
    "CROSSSLOT",
    "NOAUTH",
    "WRONGPASS",
    "EXECABORT",
    "TRYAGAIN",
    "NOREPLICAS",
    "",
];

/// All replies in `bytes`, and whether that was all of them.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Reply>, bool) {
    let mut rest = bytes;
    let mut replies = Vec::new();
    while !rest.is_empty() {
        let mut ahead = rest;
        match one(&mut ahead, 0) {
            Some(reply) => replies.push(reply),
            None => return (replies, false),
        }
        rest = ahead;
    }
    (replies, true)
}

pub(crate) fn write(replies: &[Reply]) -> Vec<u8> {
    let mut out = Vec::new();
    replies.iter().for_each(|reply| put(&mut out, reply));
    out
}

/// Replies with one to four changes.
pub(crate) fn mutated(base: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    // The first byte says what is asked.
    let Some((asked, base)) = base.split_first() else {
        return mutate::bytes(base, other, random);
    };
    let asked = if random.one_in(30) {
        random.byte()
    } else {
        *asked
    };
    let (mut replies, _) = parse(base);
    let (others, _) = parse(other.get(1..).unwrap_or_default());
    for _ in 0..=random.below(4) {
        change(&mut replies, &others, random, 0);
    }
    let mut out = vec![asked];
    out.extend(write(&replies));
    out
}

fn change(replies: &mut Vec<Reply>, others: &[Reply], random: &mut Random, depth: usize) {
    let at = random.below(replies.len());
    if replies.is_empty() || random.one_in(10) {
        let reply = match random.of(others) {
            Some(reply) if random.one_in(2) => reply.clone(),
            _ => any(random),
        };
        let at = random.below(replies.len() + 1);
        return replies.insert(at, reply);
    }
    match random.below(10) {
        0 => drop(replies.remove(at)),
        1 => {
            let reply = replies[at].clone();
            replies.insert(at, reply);
        }
        2 => replies[at] = any(random),
        _ => match &mut replies[at] {
            Reply::Array(inner) if depth < 5 && !random.one_in(12) => {
                change(inner, others, random, depth + 1);
            }
            Reply::Status(text) | Reply::Error(text) => {
                *text = mutate::bytes(text, b" ", random);
                text.retain(|byte| !matches!(byte, b'\r' | b'\n'));
            }
            Reply::Bulk(text) => {
                *text = match random.below(3) {
                    0 => mutate::bytes(text, b":", random),
                    1 => random.of(WORDS).copied().unwrap_or_default().into(),
                    _ => random.of(TEXTS).copied().unwrap_or_default().into(),
                }
            }
            _ => replies[at] = any(random),
        },
    }
}

fn any(random: &mut Random) -> Reply {
    match random.below(9) {
        0 => Reply::Status(random.of(WORDS).copied().unwrap_or_default().into()),
        1 => Reply::Error(random.of(ERRORS).copied().unwrap_or_default().into()),
        2 => Reply::Nil,
        3 => Reply::Array(Vec::new()),
        4 => Reply::Array(vec![any(random), any(random)]),
        5 => {
            let number = random.of(NUMBERS).copied().unwrap_or_default();
            Reply::Integer(number.cast_signed().to_string().into())
        }
        6 => Reply::Bulk(random.of(TEXTS).copied().unwrap_or_default().into()),
        _ => Reply::Bulk(random.of(WORDS).copied().unwrap_or_default().into()),
    }
}

fn one(rest: &mut &[u8], depth: usize) -> Option<Reply> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let (line, after) = (&rest[..end], &rest[end + 2..]);
    let (kind, line) = line.split_first()?;
    *rest = after;
    let length = || std::str::from_utf8(line).ok()?.parse::<i64>().ok();
    Some(match kind {
        b'+' => Reply::Status(line.to_vec()),
        b'-' => Reply::Error(line.to_vec()),
        b':' => {
            length()?;
            Reply::Integer(line.to_vec())
        }
        b'$' | b'*' if length()? == -1 => Reply::Nil,
        b'$' => {
            let length = usize::try_from(length()?).ok()?;
            let (text, after) = rest.split_at_checked(length)?;
            *rest = after.strip_prefix(b"\r\n")?;
            Reply::Bulk(text.to_vec())
        }
        b'*' if depth < 8 => {
            let items = usize::try_from(length()?)
                .ok()
                .filter(|n| *n <= ITEMS_MAX)?;
            let items: Option<Vec<Reply>> = (0..items).map(|_| one(rest, depth + 1)).collect();
            Reply::Array(items?)
        }
        _ => return None,
    })
}

fn put(out: &mut Vec<u8>, reply: &Reply) {
    let mut line = |kind: u8, text: &[u8]| {
        out.push(kind);
        out.extend(text);
        out.extend(b"\r\n");
    };
    match reply {
        Reply::Status(text) => line(b'+', text),
        Reply::Error(text) => line(b'-', text),
        Reply::Integer(text) => line(b':', text),
        Reply::Nil => line(b'$', b"-1"),
        Reply::Bulk(text) => {
            line(b'$', text.len().to_string().as_bytes());
            line_end(out, text);
        }
        Reply::Array(items) => {
            line(b'*', items.len().to_string().as_bytes());
            items.iter().for_each(|item| put(out, item));
        }
    }
}

fn line_end(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text);
    out.extend(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_written_as_they_were_read() {
        let bytes = b"*3\r\n$4\r\nVOTE\r\n:-7\r\n*1\r\n$-1\r\n+OK\r\n-ERR no\r\n";
        let (replies, whole) = parse(bytes);
        assert!(whole && replies.len() == 3, "{replies:?}");
        assert_eq!(write(&replies), bytes);
        assert_eq!(parse(&bytes[..20]), (Vec::new(), false));
    }
}
