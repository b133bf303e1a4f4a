//! What a statement may not hold, since it would write other rows than those of its purchase, or end the
//! transaction that it is a part of, or leave something behind when that is rolled back.
//!
//! Found by tokens, so that a text or a quoted name of the same letters is none of it.

use crate::sql::statement_error::{Forbidden, StatementError};
use crate::sql::tables;
use crate::sql::tokens::Token;

/// Functions, which are followed by a parenthesis.
const FUNCTIONS: [(&str, Forbidden); 12] = [
    ("LAST_INSERT_ID", Forbidden::OfTheLastStatement),
    ("LASTVAL", Forbidden::OfTheLastStatement),
    ("ROW_COUNT", Forbidden::OfTheLastStatement),
    ("FOUND_ROWS", Forbidden::OfTheLastStatement),
    ("GET_LOCK", Forbidden::Waits),
    ("RELEASE_LOCK", Forbidden::Waits),
    ("RELEASE_ALL_LOCKS", Forbidden::Waits),
    ("SLEEP", Forbidden::Waits),
    ("BENCHMARK", Forbidden::Waits),
    ("MASTER_POS_WAIT", Forbidden::Waits),
    ("SOURCE_POS_WAIT", Forbidden::Waits),
    ("WAIT_FOR_EXECUTED_GTID_SET", Forbidden::Waits),
];

/// Words that follow each other.
const PHRASES: [(&[&str], Forbidden); 4] = [
    (&["ON", "DUPLICATE", "KEY"], Forbidden::OnDuplicateKey),
    (&["SKIP", "LOCKED"], Forbidden::SkipLocked),
    (&["INTO", "OUTFILE"], Forbidden::File),
    (&["INTO", "DUMPFILE"], Forbidden::File),
];

/// Words between the verb and the table.
pub(crate) const MODIFIERS: [&str; 4] = ["LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK"];

/// Refuses the first thing that is forbidden; gives the verb otherwise, in capitals.
pub(crate) fn check(tokens: &[Token]) -> Result<String, StatementError> {
    let tokens: Vec<&Token> = tokens
        .iter()
        .filter(|token| **token != Token::Space)
        .collect();
    let Some(verb) = tokens.first().and_then(|token| word(token)) else {
        return Err(StatementError::Verb);
    };
    let is = |words: &str, why| {
        Err(StatementError::Forbidden {
            words: words.to_owned(),
            why,
        })
    };
    match verb.as_str() {
        "INSERT" | "UPDATE" | "DELETE" => {}
        "REPLACE" => return is("REPLACE", Forbidden::Replace),
        other => return is(other, Forbidden::Verb),
    }
    // Elsewhere it could be a column's name.
    let mut behind = tokens[1..].iter().map(|token| word(token));
    if behind.find(|word| {
        !word
            .as_deref()
            .is_some_and(|word| MODIFIERS.contains(&word))
    }) == Some(Some("IGNORE".to_owned()))
    {
        return is("IGNORE", Forbidden::Ignore);
    }
    for at in 0..tokens.len() {
        if let Some((words, why)) = found(&tokens[..at], &tokens[at..]) {
            return is(&words, why);
        }
    }
    Ok(verb)
}

/// What is forbidden at the beginning of the rest.
fn found(before: &[&Token], rest: &[&Token]) -> Option<(String, Forbidden)> {
    let first = match rest.first()? {
        Token::Word(name) | Token::Name(name) if is_own(name) => {
            return Some((name.clone(), Forbidden::OwnTable));
        }
        Token::Mark(':') if rest.get(1) == Some(&&Token::Mark('=')) => {
            return Some((":=".to_owned(), Forbidden::Variable));
        }
        Token::Word(first) => first,
        _ => return None,
    };
    if first.starts_with('@') {
        return Some((first.clone(), Forbidden::Variable));
    }
    let of_a_table = before.last() == Some(&&Token::Mark('.'));
    let function = FUNCTIONS.iter().find(|(name, _)| {
        !of_a_table && first.eq_ignore_ascii_case(name) && rest.get(1) == Some(&&Token::Mark('('))
    });
    if let Some((name, why)) = function {
        return Some((format!("{name}()"), *why));
    }
    let phrase = PHRASES.iter().find(|(words, _)| {
        let said = rest.iter().map(|token| word(token));
        rest.len() >= words.len()
            && words
                .iter()
                .zip(said)
                .all(|(word, said)| said.as_deref() == Some(word))
    });
    phrase.map(|(words, why)| (words.join(" "), *why))
}

/// Whether it is the name of one of tandem's own tables.
fn is_own(name: &str) -> bool {
    let name = name.trim_matches('`').to_ascii_lowercase();
    tables::names(false).contains(&name.as_str())
}

fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) => Some(word.to_ascii_uppercase()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tokens;

    #[track_caller]
    fn refused(sql: &str) -> Option<(String, Forbidden)> {
        match check(&tokens::split(sql).expect("well formed")) {
            Ok(_) => None,
            Err(StatementError::Forbidden { words, why }) => Some((words, why)),
            Err(other) => panic!("{sql}: {other}"),
        }
    }

    #[test]
    fn what_breaks_a_promise_is_found_however_it_is_written() {
        use Forbidden as F;
        for (sql, words, why) in [
            (
                "DELETE FROM shop.`tandem_branches` WHERE a = :sku",
                "`tandem_branches`",
                F::OwnTable,
            ),
            (
                "INSERT INTO l VALUES (last_insert_id(), :sku)",
                "LAST_INSERT_ID()",
                F::OfTheLastStatement,
            ),
            (
                "INSERT INTO l VALUES (LAST_INSERT_ID /* x */ (), :sku)",
                "LAST_INSERT_ID()",
                F::OfTheLastStatement,
            ),
            (
                "UPDATE t SET a = LASTVAL(s)",
                "LASTVAL()",
                F::OfTheLastStatement,
            ),
            (
                "UPDATE t SET a = row_count()",
                "ROW_COUNT()",
                F::OfTheLastStatement,
            ),
            (
                "INSERT INTO t VALUES (:sku) on\nduplicate -- x\nkey update n = 1",
                "ON DUPLICATE KEY",
                F::OnDuplicateKey,
            ),
            ("replace into t values (:sku)", "REPLACE", F::Replace),
            ("insert ignore t values (:sku)", "IGNORE", F::Ignore),
            ("DELETE QUICK IGNORE FROM t", "IGNORE", F::Ignore),
            ("UPDATE t SET a = @a", "@a", F::Variable),
            ("UPDATE t SET a = @@session.x", "@@session", F::Variable),
            ("UPDATE t SET a = @`a`", "@", F::Variable),
            ("UPDATE t SET a = GET_LOCK('a', 1)", "GET_LOCK()", F::Waits),
            ("UPDATE t SET a = sleep(1)", "SLEEP()", F::Waits),
            (
                "INSERT INTO t SELECT * FROM u FOR UPDATE SKIP LOCKED",
                "SKIP LOCKED",
                F::SkipLocked,
            ),
            (
                "INSERT INTO t SELECT 1 INTO OUTFILE 'x'",
                "INTO OUTFILE",
                F::File,
            ),
        ] {
            assert_eq!(refused(sql), Some((words.to_owned(), why)), "{sql}");
        }
        for verb in [
            "CREATE TABLE t (a INT)",
            "ALTER TABLE t ADD b INT",
            "DROP TABLE t",
            "TRUNCATE t",
            "RENAME TABLE t TO u",
            "LOCK TABLES t WRITE",
            "UNLOCK TABLES",
            "BEGIN",
            "START TRANSACTION",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT a",
            "XA END 'a'",
            "SET autocommit = 1",
            "CALL p()",
            "HANDLER t OPEN",
            "LOAD DATA INFILE 'x' INTO TABLE t",
            "DO SLEEP(1)",
            "SELECT 1",
            "FLUSH TABLES",
            "GRANT ALL ON t TO u",
            "ANALYZE TABLE t",
            "PREPARE s FROM 'x'",
        ] {
            let found = refused(verb).map(|(_, why)| why);
            assert_eq!(found, Some(F::Verb), "{verb}");
        }
    }

    #[test]
    fn the_same_letters_in_another_place_are_no_harm() {
        for sql in [
            "INSERT INTO t (`last_insert_id`, last_insert_id) VALUES (:sku, 'LAST_INSERT_ID()')",
            "INSERT INTO t (a) VALUES (REPLACE(:sku, 'a', 'b'))",
            "INSERT INTO t (a) VALUES ('x@y', 'ON DUPLICATE KEY')",
            "UPDATE t SET ignored = 1, `ignore` = 2 WHERE sku = :sku",
            "INSERT INTO t (sleep, a) VALUES (:sku, own.sleep(1)) -- SLEEP(1)",
            "DELETE FROM duplicate WHERE `key` = :sku",
        ] {
            assert_eq!(refused(sql), None, "{sql}");
        }
    }
}
