//! What a marker row says is in its branch.

use tandem_protocol::ParticipantName;

/// What a later recovery that has nothing but the stores needs to know of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Numbers of its entries: `0-4,7`.
    pub(crate) entries: String,
    /// All participants of its transaction, separated by commas.
    pub(crate) participants: String,
}

impl Contents {
    pub(crate) fn new(mut numbers: Vec<u32>, participants: &[ParticipantName]) -> Self {
        numbers.sort_unstable();
        let names: Vec<&str> = participants.iter().map(ParticipantName::as_str).collect();
        Self {
            entries: runs(&numbers),
            participants: names.join(","),
        }
    }
}

/// The numbers, in order, as runs: `0-4,7`.
fn runs(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let follows = |pair: &&[u32]| pair[0].checked_add(1) == Some(pair[1]);
        let length = 1 + rest.windows(2).take_while(follows).count();
        let comma = if text.is_empty() { "" } else { "," };
        text.push_str(&format!("{comma}{first}"));
        if length > 1 {
            text.push_str(&format!("-{}", rest[length - 1]));
        }
        rest = &rest[length..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_entries_are_written_as_runs() {
        assert_eq!(runs(&[]), "");
        assert_eq!(runs(&[7]), "7");
        assert_eq!(runs(&[0, 1, 2, 3, 4, 7]), "0-4,7");
        assert_eq!(runs(&[1, 3, 4, u32::MAX]), "1,3-4,4294967295");
    }
}
