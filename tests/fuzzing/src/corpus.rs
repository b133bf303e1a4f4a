//! What earlier runs kept: a text file for each target, an input on each line, its bytes escaped as
//! in a Rust string.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Inputs of one target that are kept, and their length: a corpus is read by people too.
const KEPT_MAX: usize = 60;
const KEPT_BYTES_MAX: usize = 300;

/// The inputs kept for a target.
pub(crate) fn kept(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(path(target)).unwrap_or_default();
    text.lines().map(unescaped).collect()
}

/// Adds inputs to a target's, as long as there is room.
///
/// # Errors
/// When the file can't be written.
pub fn keep(target: &str, inputs: &[Vec<u8>]) -> Result<()> {
    let mut all: BTreeSet<Vec<u8>> = kept(target).into_iter().collect();
    for input in inputs.iter().filter(|input| input.len() <= KEPT_BYTES_MAX) {
        if all.len() < KEPT_MAX {
            all.insert(input.clone());
        }
    }
    let lines: String = all.iter().map(|input| escaped(input) + "\n").collect();
    let path = path(target);
    fs::write(&path, lines).with_context(|| format!("write {}", path.display()))
}

fn path(target: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    folder.join(format!("{target}.txt"))
}

pub(crate) fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'x') => {
                let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(16));
                let (high, low) = (digit().unwrap_or(0), digit().unwrap_or(0));
                u8::try_from(high * 16 + low).unwrap_or_default()
            }
            Some(other) => other,
            None => b'\\',
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_read_as_it_was_kept() {
        let all: Vec<u8> = (0..=255).collect();
        let text = escaped(&all);
        assert_eq!(text.lines().count(), 1);
        assert_eq!(unescaped(&text), all);
    }
}
