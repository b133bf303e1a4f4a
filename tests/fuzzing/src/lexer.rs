//! SQL as a server reads it, coarsely. Written apart from the participant's `tokens.rs`, so that both
//! can't be wrong in the same way.

/// A lexeme as a server reads it, coarsely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lexeme {
    /// The content of `'…'` or `"…"`.
    Text(String),
    /// `` `…` ``.
    Name,
    /// What is between them.
    Other(String),
}

/// The lexemes of statements; a quote that is not closed panics.
pub(crate) fn lex(sql: &str, backslash_escapes: bool) -> Vec<Lexeme> {
    let mut lexemes = Vec::new();
    let mut other = String::new();
    let mut rest = sql.chars().peekable();
    while let Some(first) = rest.next() {
        if !matches!(first, '\'' | '"' | '`') {
            other.push(first);
            continue;
        }
        if !other.is_empty() {
            lexemes.push(Lexeme::Other(std::mem::take(&mut other)));
        }
        let mut text = String::new();
        loop {
            let Some(next) = rest.next() else {
                panic!("a quote is not closed in {sql:?}");
            };
            if next == '\\' && backslash_escapes && first != '`' {
                text.extend(rest.next());
            } else if next != first {
                text.push(next);
            } else if rest.next_if_eq(&first).is_some() {
                text.push(first);
            } else {
                break;
            }
        }
        lexemes.push(match first {
            '`' => Lexeme::Name,
            _ => Lexeme::Text(text),
        });
    }
    if !other.is_empty() {
        lexemes.push(Lexeme::Other(other));
    }
    lexemes
}
