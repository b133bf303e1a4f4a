//! Changes of texts by lines and words.

use crate::mutate::{self, NUMBERS, TEXTS};
use crate::random::Random;

/// A text with one to four changes; `words` mean something in it.
pub(crate) fn mutated(base: &[u8], other: &[u8], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(base).into_owned();
    let other = String::from_utf8_lossy(other);
    for _ in 0..=random.below(4) {
        text = match random.below(8) {
            0 | 1 => lines(&text, &other, random),
            2 | 3 => word(&text, random.of(words).copied().unwrap_or_default(), random),
            4 => word(&text, random.of(TEXTS).copied().unwrap_or_default(), random),
            5 => number(&text, random),
            _ => {
                let bytes = mutate::bytes(text.as_bytes(), other.as_bytes(), random);
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
    }
    text.into_bytes()
}

/// Removes, repeats, moves a line, or takes one from elsewhere.
fn lines(text: &str, other: &str, random: &mut Random) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let others: Vec<&str> = other.lines().collect();
    let at = random.below(lines.len());
    match random.below(4) {
        0 if !lines.is_empty() => drop(lines.remove(at)),
        1 if !lines.is_empty() => lines.insert(at, lines[at]),
        2 if !lines.is_empty() => {
            let to = random.below(lines.len());
            lines.swap(at, to);
        }
        _ => lines.insert(at, random.of(&others).copied().unwrap_or_default()),
    }
    lines.join("\n")
}

/// Puts a word in, or in the place of another.
fn word(text: &str, word: &str, random: &mut Random) -> String {
    let at = boundary(text, random);
    let (before, after) = text.split_at(at);
    let end = after
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(after.len());
    let end = if random.one_in(2) { end } else { 0 };
    [before, word, &after[end..]].concat()
}

/// Replaces the next number.
fn number(text: &str, random: &mut Random) -> String {
    let (before, after) = text.split_at(boundary(text, random));
    let Some(from) = after.find(|c: char| c.is_ascii_digit()) else {
        return text.to_owned();
    };
    let length = after[from..]
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(after.len() - from);
    let number = random.of(NUMBERS).copied().unwrap_or_default();
    [
        before,
        &after[..from],
        &number.to_string(),
        &after[from + length..],
    ]
    .concat()
}

fn boundary(text: &str, random: &mut Random) -> usize {
    text.floor_char_boundary(random.below(text.len() + 1))
}
