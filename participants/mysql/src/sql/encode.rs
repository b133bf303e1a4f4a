//! Values as SQL text that no `sql_mode`, character set or collation can read otherwise.
//!
//! A branch is one packet of the text protocol, since MySQL refuses XA statements in the
//! prepared-statement protocol (error 1295, measured on MySQL 9.7); so values can't be bound. How a
//! quoted string is read depends on `NO_BACKSLASH_ESCAPES`, `ANSI_QUOTES` and the connection's
//! character set. What is written here does not: numbers are digits; text of letters, digits and
//! `. _ : @ -` is quoted as it is, as nothing in it can end or escape a string; all other text is
//! a hexadecimal literal with a character set introducer.

use std::fmt::Write;

use tandem_protocol::Timestamp;

/// Appends a text value as one literal.
pub fn text(out: &mut String, value: &str) {
    if value.bytes().all(is_plain) {
        out.push('\'');
        out.push_str(value);
        out.push('\'');
    } else {
        out.push_str("_utf8mb4 x'");
        for byte in value.bytes() {
            write!(out, "{byte:02x}").expect("a String takes all text");
        }
        out.push('\'');
    }
}

/// A text value as one literal.
pub(crate) fn literal(value: &str) -> String {
    let mut out = String::new();
    text(&mut out, value);
    out
}

/// A name between backticks (both manuals, "Schema Object Names" and "Identifier Names").
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Appends an integer.
pub(crate) fn integer(out: &mut String, value: impl Into<i128>) {
    write!(out, "{}", value.into()).expect("a String takes all text");
}

/// Appends a time to the microsecond, in the session's time zone; see [`time`].
pub(crate) fn micros(out: &mut String, micros: i64) {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    write!(out, "FROM_UNIXTIME({seconds}.{micros:06})").expect("a String takes all text");
}

/// Appends a time to the millisecond: a DATETIME(3) in the session's time zone, which a TIMESTAMP column
/// takes for the same moment.
pub(crate) fn time(out: &mut String, time: Timestamp) {
    let (seconds, millis) = (time.0 / 1_000, time.0 % 1_000);
    write!(out, "FROM_UNIXTIME({seconds}.{millis:03})").expect("a String takes all text");
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'@' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_readable() {
        assert_eq!(literal("shop.3.1042"), "'shop.3.1042'");
        assert_eq!(literal(""), "''");
    }

    #[test]
    fn everything_that_could_end_a_string_is_hexadecimal() {
        for bad in [
            "'",
            "\\",
            "\"",
            "a'b",
            "`",
            "\0",
            "é",
            "' OR 1=1 -- ",
            "a b",
            "\u{bf}'",
        ] {
            let out = literal(bad);
            let digits = out
                .strip_prefix("_utf8mb4 x'")
                .and_then(|rest| rest.strip_suffix('\''))
                .unwrap_or_else(|| panic!("{out}"));
            assert!(digits.bytes().all(|b| b.is_ascii_hexdigit()), "{out}");
            assert_eq!(digits.len(), bad.len() * 2);
        }
    }

    #[test]
    fn integers_are_digits() {
        let mut out = String::new();
        integer(&mut out, i64::MIN);
        assert_eq!(out, "-9223372036854775808");
    }
}
