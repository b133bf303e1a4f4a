//! Whether an `INSERT` spells its rows out, so that it writes each of them or fails.

use crate::sql::tokens::Token;

/// Where an `INSERT` has its rows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `VALUES` and tuples behind it, at this token.
    Values(usize),
    /// `SET` and one row behind it.
    Set,
    /// What it finds: `SELECT` and whatever else there is.
    Found,
}

/// Reads an `INSERT` to the word that says it. What is not known for sure to be spelled out is found.
pub(crate) fn source(tokens: &[Token]) -> Source {
    let mut depth = 0_usize;
    let mut before = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth = depth.saturating_sub(1),
            // Behind a point even these are names.
            Token::Word(word) if depth == 0 && before != Some(&Token::Mark('.')) => {
                match word.to_ascii_uppercase().as_str() {
                    "VALUES" | "VALUE" if are_tuples(&tokens[at + 1..]) => {
                        return Source::Values(at);
                    }
                    "VALUES" | "VALUE" | "SELECT" | "TABLE" | "WITH" => return Source::Found,
                    "SET" => return Source::Set,
                    _ => {}
                }
            }
            _ => {}
        }
        if *token != Token::Space {
            before = Some(token);
        }
    }
    Source::Found
}

/// `(…), (…)`, with nothing behind it that could leave one of them out.
fn are_tuples(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    let mut tuples = 0;
    for token in tokens {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => {
                depth = depth.saturating_sub(1);
                tuples += usize::from(depth == 0);
            }
            _ if depth > 0 => {}
            Token::Space | Token::Mark(',') => {}
            Token::Word(word) if word.eq_ignore_ascii_case("RETURNING") => break,
            _ => return false,
        }
    }
    tuples > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tokens;

    fn of(sql: &str) -> Source {
        source(&tokens::split(sql).expect("well formed"))
    }

    #[test]
    fn rows_that_are_spelled_out_are_told_from_found_ones() {
        for sql in [
            "INSERT INTO t VALUES (:purchase_id, (SELECT 1 FROM c))",
            "insert into t (value) value (:sku)",
            "INSERT INTO shop.set (a) VALUES (:sku), (:sku)",
            "INSERT INTO t () VALUES () RETURNING a, b",
            "INSERT INTO t PARTITION (p0) VALUES (:sku) -- all",
        ] {
            assert!(matches!(of(sql), Source::Values(_)), "{sql}");
        }
        for sql in ["INSERT INTO t SET a = :sku", "INSERT t SET a = (SELECT 1)"] {
            assert_eq!(of(sql), Source::Set, "{sql}");
        }
        for sql in [
            "INSERT INTO t SELECT :sku",
            "INSERT INTO t (a) (SELECT :sku)",
            "INSERT INTO shop.set SELECT a FROM b WHERE c = :sku",
            "INSERT INTO shop . values SELECT (:sku)",
            "INSERT INTO t WITH c AS (SELECT 1) SELECT :sku FROM c",
            "INSERT INTO t TABLE u",
            "INSERT INTO t SELECT a FROM b EXCEPT VALUES (:sku)",
            "INSERT INTO t VALUES ROW(:sku) LIMIT 0",
            "INSERT INTO t VALUES (:sku) UNION SELECT 1",
        ] {
            assert_eq!(of(sql), Source::Found, "{sql}");
        }
    }
}
