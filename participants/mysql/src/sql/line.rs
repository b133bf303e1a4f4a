//! The statements of a script, and how they are cut into packets.

use crate::sql::guard::Guard;

/// A statement of a script.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// Its text.
    pub sql: String,
    /// What its failure says of the statement before it, if it is a guard.
    guard: Option<&'a Guard>,
    /// What messages call it, if it has personal values, which the server's messages would repeat.
    hidden: Option<&'a str>,
}

impl From<String> for Line<'_> {
    fn from(sql: String) -> Self {
        Line {
            sql,
            guard: None,
            hidden: None,
        }
    }
}

impl<'a> From<&'a Guard> for Line<'a> {
    fn from(guard: &'a Guard) -> Self {
        Line {
            sql: guard.sql(),
            guard: Some(guard),
            hidden: None,
        }
    }
}

impl<'a> Line<'a> {
    /// A statement of the app's; `hidden` is what messages call it if it has personal values.
    pub(crate) fn of_the_app(sql: String, hidden: Option<&'a str>) -> Self {
        Line {
            sql,
            guard: None,
            hidden,
        }
    }

    /// What messages call it, if what the server says of it must not be shown.
    pub(crate) fn hidden(&self) -> Option<&'a str> {
        self.hidden
    }

    /// The guard that it is, if it is no statement of the app's.
    pub(crate) fn guard(&self) -> Option<&'a Guard> {
        self.guard
    }
}

/// Cuts the list into runs whose text, joined, is at most `bytes_max` long. A statement that is
/// longer by itself stands alone, and the server says so.
pub(crate) fn pack<'s, 'a>(lines: &'s [Line<'a>], bytes_max: usize) -> Vec<&'s [Line<'a>]> {
    let mut packets = Vec::new();
    let mut begin = 0;
    let mut bytes = 0;
    for (at, line) in lines.iter().enumerate() {
        let more = line.sql.len() + 1;
        if at > begin && bytes + more > bytes_max {
            packets.push(&lines[begin..at]);
            begin = at;
            bytes = 0;
        }
        bytes += more;
    }
    if begin < lines.len() {
        packets.push(&lines[begin..]);
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_packed_in_order_and_none_is_lost() {
        let lines: Vec<Line<'_>> = [3, 3, 9, 1, 1]
            .map(|length| "x".repeat(length).into())
            .into();
        let lengths = |bytes_max| -> Vec<usize> {
            let packets = pack(&lines, bytes_max);
            let texts = |lines: &[Line<'_>]| -> Vec<String> {
                lines.iter().map(|line| line.sql.clone()).collect()
            };
            assert_eq!(texts(&packets.concat()), texts(&lines));
            packets.iter().map(|packet| packet.len()).collect()
        };
        assert_eq!(lengths(1_000), [5]);
        assert_eq!(lengths(8), [2, 1, 2]);
        assert_eq!(lengths(1), [1, 1, 1, 1, 1]);
        assert!(pack(&[], 8).is_empty());
    }
}
