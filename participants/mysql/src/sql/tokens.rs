//! Just enough of SQL's lexis to find named parameters where they are parameters.
//!
//! What could be read in two ways is refused rather than guessed: a backslash within quotes means
//! something else under `NO_BACKSLASH_ESCAPES`, and a comment may be executable.

use crate::sql::param::Param;
use crate::sql::statement_error::StatementError;

/// A piece of a statement, in order. Comments are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A bare word or number.
    Word(String),
    /// `...` with the backticks: always a name.
    Name(String),
    /// '...' or "..." with its quotes.
    Quoted(String),
    /// A named parameter.
    Param(Param),
    /// White space or a comment.
    Space,
    /// One character of anything else.
    Mark(char),
}

/// Splits a statement.
pub(crate) fn split(sql: &str) -> Result<Vec<Token>, StatementError> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '\'' | '"' | '`' => quoted(rest, first)?,
            '#' => comment(rest, rest.find('\n'))?,
            '-' if is_dash_comment(rest) => comment(rest, rest.find('\n'))?,
            '/' if rest.starts_with("/*") => {
                let marks_code = ["/*!", "/*M!", "/*+"];
                if marks_code.iter().any(|mark| rest.starts_with(mark)) {
                    return Err(StatementError::ExecutableComment);
                }
                let end = rest.find("*/").ok_or(StatementError::Unclosed("/*"))?;
                comment(rest, Some(end + 2))?
            }
            ';' => return Err(StatementError::SeveralStatements),
            ':' if rest.starts_with("::") => (Token::Mark(':'), 1),
            ':' => match name_of_param(&rest[1..]) {
                // `::name` is no parameter, nor is `:=`.
                "" => (Token::Mark(':'), 1),
                _ if tokens.last() == Some(&Token::Mark(':')) => (Token::Mark(':'), 1),
                name => {
                    let param = Param::from_name(name)
                        .ok_or_else(|| StatementError::UnknownParameter { name: name.into() })?;
                    (Token::Param(param), name.len() + 1)
                }
            },
            first if first.is_whitespace() => (Token::Space, first.len_utf8()),
            first => match word_length(rest) {
                0 => (Token::Mark(first), first.len_utf8()),
                length => (Token::Word(rest[..length].into()), length),
            },
        };
        tokens.push(token);
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// A `--` begins a comment only before white space or the end (MySQL manual, "Comments").
fn is_dash_comment(rest: &str) -> bool {
    rest.strip_prefix("--")
        .is_some_and(|after| after.chars().next().is_none_or(char::is_whitespace))
}

fn comment(rest: &str, end: Option<usize>) -> Result<(Token, usize), StatementError> {
    let length = end.unwrap_or(rest.len());
    refuse_parameters(&rest[..length], "a comment")?;
    Ok((Token::Space, length))
}

fn quoted(rest: &str, quote: char) -> Result<(Token, usize), StatementError> {
    let mut inside = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        if c == '\\' && quote != '`' {
            return Err(StatementError::Backslash);
        }
        if c == quote {
            // A doubled quote is one quote within the text.
            if inside.next_if(|(_, next)| *next == quote).is_some() {
                continue;
            }
            let text = &rest[..=at];
            refuse_parameters(text, "quotes")?;
            let token = match quote {
                '`' => Token::Name(text.into()),
                _ => Token::Quoted(text.into()),
            };
            return Ok((token, text.len()));
        }
    }
    Err(StatementError::Unclosed(match quote {
        '\'' => "'",
        '"' => "\"",
        _ => "`",
    }))
}

fn refuse_parameters(text: &str, place: &'static str) -> Result<(), StatementError> {
    for (at, _) in text.match_indices(':') {
        let name = name_of_param(&text[at + 1..]);
        if Param::from_name(name).is_some() {
            return Err(StatementError::ParameterIn {
                name: name.into(),
                place,
            });
        }
    }
    Ok(())
}

/// The name that a parameter has behind its colon: a word, or `attr.` and a word.
fn name_of_param(rest: &str) -> &str {
    let first = word_length(rest);
    let length = match rest[first..].strip_prefix('.') {
        Some(behind) if &rest[..first] == "attr" => first + 1 + word_length(behind),
        _ => first,
    };
    &rest[..length]
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$' || c == '@'))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_named_behind_a_point() {
        let cart = Token::Param(Param::Attribute("cart".into()));
        assert_eq!(split(":attr.cart"), Ok(vec![cart]));
        for bad in [":attr", ":attr.", ":cart.id"] {
            let unknown = matches!(split(bad), Err(StatementError::UnknownParameter { .. }));
            assert!(unknown, "{bad}");
        }
        let quoted = split("':attr.cart'");
        assert!(matches!(quoted, Err(StatementError::ParameterIn { .. })));
    }

    #[test]
    fn a_doubled_colon_and_an_assignment_are_no_parameters() {
        assert_eq!(
            split("::sku :=").expect("valid"),
            [
                Token::Mark(':'),
                Token::Mark(':'),
                Token::Word("sku".into()),
                Token::Space,
                Token::Mark(':'),
                Token::Mark('=')
            ]
        );
    }
}
