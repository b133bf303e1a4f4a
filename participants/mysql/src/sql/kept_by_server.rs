//! The tables in SQL that the server keeps and that anybody may have written: definitions of views and
//! bodies of triggers. It is read loosely: what it says cannot be refused, and a name too many is looked up
//! in vain.

/// A table as such a text names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    /// `None`: that of the text.
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

/// Words behind which a table's name comes.
const BEFORE_TABLES: [&str; 6] = ["INTO", "UPDATE", "FROM", "JOIN", "INSERT", "REPLACE"];

/// Words that may stand between.
const BETWEEN: [&str; 6] = [
    "LOW_PRIORITY",
    "HIGH_PRIORITY",
    "DELAYED",
    "QUICK",
    "IGNORE",
    "INTO",
];

/// Functions that keep something beyond the transaction, or hold it up.
const OUTLIVING: [&str; 5] = [
    "GET_LOCK",
    "RELEASE_LOCK",
    "RELEASE_ALL_LOCKS",
    "SLEEP",
    "BENCHMARK",
];

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Word(String),
    /// A name between backticks.
    Name(String),
    Mark(char),
}

/// The tables behind a view: its definition, as the server gives it, has each as `` `schema`.`table` ``.
pub(crate) fn of_view(definition: &str) -> Vec<Named> {
    let pieces = pieces(definition);
    let pairs = pieces.windows(3).filter_map(|three| match three {
        [Piece::Name(schema), Piece::Mark('.'), Piece::Name(table)] => Some(Named {
            schema: Some(schema.clone()),
            table: table.clone(),
        }),
        _ => None,
    });
    pairs.collect()
}

/// The tables that the body of a trigger names.
pub(crate) fn of_trigger(body: &str) -> Vec<Named> {
    let pieces = pieces(body);
    let is_one_of = |at: usize, words: &[&str]| matches!(pieces.get(at), Some(Piece::Word(word)) if words.iter().any(|one| word.eq_ignore_ascii_case(one)));
    let name = |at: usize| match pieces.get(at) {
        Some(Piece::Word(name) | Piece::Name(name)) => Some(name.clone()),
        _ => None,
    };
    let mut found = Vec::new();
    for before in 0..pieces.len() {
        if !is_one_of(before, &BEFORE_TABLES) {
            continue;
        }
        let mut at = before + 1;
        while is_one_of(at, &BETWEEN) {
            at += 1;
        }
        // One, or several with commas between them, each with or without another name of its own.
        while let Some(first) = name(at) {
            let second = match pieces.get(at + 1) {
                Some(Piece::Mark('.')) => name(at + 2),
                _ => None,
            };
            at += if second.is_some() { 3 } else { 1 };
            found.push(match second {
                Some(table) => Named {
                    schema: Some(first),
                    table,
                },
                None => Named {
                    schema: None,
                    table: first,
                },
            });
            at += usize::from(is_one_of(at, &["AS"]));
            if name(at).is_some() && pieces.get(at + 1) == Some(&Piece::Mark(',')) {
                at += 1;
            }
            if pieces.get(at) != Some(&Piece::Mark(',')) {
                break;
            }
            at += 1;
        }
    }
    found
}

/// Whether the body of a trigger has a procedure do something.
pub(crate) fn calls(body: &str) -> bool {
    let is_call =
        |piece: &Piece| matches!(piece, Piece::Word(word) if word.eq_ignore_ascii_case("CALL"));
    pieces(body).iter().any(is_call)
}

/// What the body of a trigger does that a roll back does not undo, or a branch may not do.
pub(crate) fn outlives(body: &str) -> Option<String> {
    let pieces = pieces(body);
    let said = |at: usize| match pieces.get(at) {
        Some(Piece::Word(word)) => word.to_ascii_uppercase(),
        _ => String::new(),
    };
    (0..pieces.len()).find_map(|at| {
        let word = said(at);
        let is_called = pieces.get(at + 1) == Some(&Piece::Mark('('));
        if is_called && OUTLIVING.contains(&word.as_str()) {
            return Some(format!("{word}()"));
        }
        (word == "TEMPORARY").then(|| "CREATE TEMPORARY TABLE".to_owned())
    })
}

/// Whether the body of a trigger sets this column of the row that is written.
pub(crate) fn sets(body: &str, column: &str) -> bool {
    let pieces = pieces(body);
    let is = |at: usize, wanted: &str| matches!(pieces.get(at), Some(Piece::Word(word) | Piece::Name(word)) if word.eq_ignore_ascii_case(wanted));
    (0..pieces.len()).any(|at| {
        let is_it = is(at + 1, "NEW")
            && pieces.get(at + 2) == Some(&Piece::Mark('.'))
            && is(at + 3, column);
        is_it && (is(at, "SET") || is(at, "INTO") || pieces[at] == Piece::Mark(','))
    })
}

/// The text without comments and without what is between quotes.
fn pieces(sql: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => quoted(rest, first),
            '`' => {
                let length = quoted(rest, first);
                let name = rest[..length].trim_matches('`').replace("``", "`");
                found.push(Piece::Name(name));
                length
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ if is_of_word(first) => {
                let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
                found.push(Piece::Word(rest[..length].to_owned()));
                length
            }
            _ => {
                if !first.is_whitespace() {
                    found.push(Piece::Mark(first));
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    found
}

/// Bytes up to and with the quote that ends what begins here; a doubled one does not.
fn quoted(rest: &str, quote: char) -> usize {
    let mut inside = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        if c == '\\' && quote != '`' {
            inside.next();
        } else if c == quote && inside.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    rest.len()
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(named: Vec<Named>) -> Vec<String> {
        let text = |named: Named| match named.schema {
            Some(schema) => format!("{schema}.{}", named.table),
            None => named.table,
        };
        named.into_iter().map(text).collect()
    }

    #[test]
    fn tables_of_a_view_are_its_pairs_of_names() {
        let definition = "select `o`.`id` AS `id`,`shop`.`log`.`a b` AS `x` from (`shop`.`orders` `o` join \
                          `shop`.`log` on(`o`.`id` = 'a.`b`.`c`'))";
        let found = texts(of_view(definition));
        for table in ["shop.orders", "shop.log"] {
            assert!(found.iter().any(|one| one == table), "{found:?}");
        }
        assert!(!found.iter().any(|one| one == "b.c"), "{found:?}");
    }

    #[test]
    fn tables_of_a_trigger_are_behind_its_verbs() {
        let body = "BEGIN -- FROM nothing\n INSERT IGNORE INTO `audit` VALUES (NEW.id, 'FROM x; it''s'); \
                    UPDATE a AS one, other.b two SET one.n = 1; REPLACE c SET n = REPLACE('x', 'y', 'z'); \
                    DELETE FROM d WHERE id IN (SELECT id FROM e); /* INTO f */ END";
        let found = texts(of_trigger(body));
        assert_eq!(found, ["audit", "audit", "a", "other.b", "c", "d", "e"]);
        assert!(!calls(body));
        assert!(calls("BEGIN call p(NEW.id); END"));
    }

    #[test]
    fn what_a_trigger_may_not_do_is_told_from_what_it_reads() {
        assert_eq!(
            outlives("SET NEW.n = get_lock ('x', 1)"),
            Some("GET_LOCK()".into())
        );
        let temporary = "BEGIN CREATE TEMPORARY TABLE t (a INT); END";
        assert_eq!(outlives(temporary), Some("CREATE TEMPORARY TABLE".into()));
        assert_eq!(outlives("INSERT INTO get_lock VALUES ('SLEEP(1)')"), None);
        assert!(sets("SET NEW.`Id` = UUID()", "id"));
        assert!(sets("SELECT UUID() INTO NEW.id", "id"));
        assert!(sets("SET @a = 1, NEW.id = 2", "id"));
        assert!(!sets("INSERT INTO t SET a = NEW.id", "id"));
        assert!(!sets("SET NEW.n = NEW.id", "id"));
    }
}
