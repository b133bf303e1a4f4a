//! One of the app's statements: its rules, and its parts.

use tandem_participant::attributes::Attributes;

use crate::sql::forbidden;
use crate::sql::guard::Guard;
use crate::sql::kept::Kept;
use crate::sql::param::Param;
use crate::sql::rows::Rows;
use crate::sql::source::{self, Source};
use crate::sql::statement::{Per, Statement};
use crate::sql::statement_error::StatementError;
use crate::sql::tokens::{self, Token};

/// One statement, taken apart.
#[derive(Debug)]
pub(crate) struct Template {
    /// What clients are told of it.
    pub(crate) called: String,
    /// What an operator is told of it: its place in the file besides, if that is known.
    pub(crate) located: String,
    pub(crate) per: Per,
    pub(crate) form: Form,
    /// What follows it each time, if it may meet another number of rows than it must.
    pub(crate) guard: Option<Guard>,
    /// The tables that it names, as written, without backticks.
    pub(crate) tables: Vec<String>,
    /// Where its parameters are kept, if it says so plainly.
    pub(crate) kept: Option<Kept>,
    /// Whether a parameter of its is a personal attribute.
    pub(crate) is_personal: bool,
}

/// How it is filled in.
#[derive(Debug)]
pub(crate) enum Form {
    /// `INSERT … VALUES` and the tuple, which others may follow.
    Joinable { head: String, tuple: Vec<Piece> },
    /// Anything else: one statement for each purchase or item.
    Single(Vec<Piece>),
}

/// What stays as it is, and what is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Param(Param),
}

impl Template {
    /// Checks the rules of the statement at this place, from 1, and takes it apart.
    pub(crate) fn parse(number: usize, statement: &Statement) -> Result<Self, StatementError> {
        let tokens = tokens::split(&statement.sql)?;
        let verb = forbidden::check(&tokens)?;
        for token in &tokens {
            if let Token::Param(param) = token
                && statement.per == Per::Purchase
                && param.is_of_an_item()
            {
                return Err(StatementError::ItemParameter(param.name().into()));
            }
        }
        for pair in tokens.windows(2) {
            if let Some(param) = adjoining(&pair[0], &pair[1]) {
                return Err(StatementError::Adjoins(param.name().into()));
            }
        }
        let source = match verb.as_str() {
            "INSERT" => source::source(&tokens),
            _ => Source::Found,
        };
        let form = match source {
            Source::Values(at) => joinable(&tokens, at),
            Source::Set | Source::Found => None,
        };
        let rows = rows(&tokens, source, statement.rows)?;
        let guard = match rows {
            Some(Rows::Exactly(rows)) => Some(Guard::new(&statement.called(number), rows)),
            Some(Rows::Any) | None => None,
        };
        Ok(Self {
            called: statement.called(number),
            located: statement.located(number),
            per: statement.per,
            form: form.unwrap_or_else(|| Form::Single(pieces(&tokens))),
            guard,
            tables: tables(&tokens),
            kept: match rows {
                None | Some(Rows::Exactly(1)) => Kept::of(&tokens),
                Some(Rows::Exactly(_) | Rows::Any) => None,
            },
            is_personal: false,
        })
    }

    /// It with the attributes that are declared; the error names one that is not.
    pub(crate) fn with(self, attributes: &Attributes) -> Result<Self, StatementError> {
        let mut is_personal = false;
        for param in self.params() {
            if let Param::Attribute(name) = param {
                let undeclared = || StatementError::UndeclaredAttribute { name: name.clone() };
                is_personal |= attributes.get(name).ok_or_else(undeclared)?.personal;
            }
        }
        Ok(Self {
            is_personal,
            ..self
        })
    }

    /// The parameters that it is filled in with.
    pub(crate) fn params(&self) -> impl Iterator<Item = &Param> {
        let pieces = match &self.form {
            Form::Joinable { tuple, .. } => tuple,
            Form::Single(pieces) => pieces,
        };
        pieces.iter().filter_map(|piece| match piece {
            Piece::Param(param) => Some(param),
            Piece::Text(_) => None,
        })
    }

    /// Whether it inserts the purchase's id, on which a unique key can refuse a repeated one.
    pub(crate) fn keeps_the_purchase_id(&self) -> bool {
        let (head, pieces) = match &self.form {
            Form::Joinable { head, tuple } => (head.as_str(), tuple),
            Form::Single(pieces) => match pieces.first() {
                Some(Piece::Text(head)) => (head.as_str(), pieces),
                _ => return false,
            },
        };
        let verb = head.trim_start().get(..6).unwrap_or_default();
        verb.eq_ignore_ascii_case("INSERT") && pieces.contains(&Piece::Param(Param::PurchaseId))
    }
}

/// A parameter with nothing between it and something else that has letters or quotes.
fn adjoining<'a>(one: &'a Token, two: &'a Token) -> Option<&'a Param> {
    let runs_on = |token: &Token| !matches!(token, Token::Space | Token::Mark(_));
    match (one, two) {
        (Token::Param(param), other) | (other, Token::Param(param)) if runs_on(other) => {
            Some(param)
        }
        _ => None,
    }
}

fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) => Some(word.to_ascii_uppercase()),
        _ => None,
    }
}

/// How many rows it must meet; `None` where it spells them out.
fn rows(
    tokens: &[Token],
    source: Source,
    said: Option<Rows>,
) -> Result<Option<Rows>, StatementError> {
    match (source, said) {
        (Source::Values(_) | Source::Set, None) => Ok(None),
        (Source::Values(_) | Source::Set, Some(_)) => Err(StatementError::RowsSpelledOut),
        (Source::Found, Some(Rows::Any)) => Ok(Some(Rows::Any)),
        (Source::Found, _) if hides_its_count(tokens) => Err(StatementError::Returning),
        (Source::Found, said) => Ok(Some(said.unwrap_or(Rows::Exactly(1)))),
    }
}

/// Whether it answers with rows, so that `ROW_COUNT()` does not count them.
fn hides_its_count(tokens: &[Token]) -> bool {
    tokens
        .iter()
        .any(|token| word(token).is_some_and(|word| word == "RETURNING"))
}

/// `… VALUES ( tuple )` with nothing behind it and no parameter before it.
fn joinable(tokens: &[Token], values: usize) -> Option<Form> {
    let (head, rest) = tokens.split_at(values + 1);
    if head.iter().any(|token| matches!(token, Token::Param(_))) {
        return None;
    }
    let mut depth = 0_usize;
    let mut closed_once = false;
    for token in rest {
        match token {
            Token::Space => {}
            _ if closed_once => return None,
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => {
                depth = depth.checked_sub(1)?;
                closed_once = depth == 0;
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    if !closed_once {
        return None;
    }
    let Some(Piece::Text(head)) = pieces(head).pop() else {
        return None;
    };
    Some(Form::Joinable {
        head,
        tuple: pieces(rest),
    })
}

fn pieces(tokens: &[Token]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Param(param) => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Param(param.clone()));
            }
            Token::Word(token) | Token::Name(token) | Token::Quoted(token) => text.push_str(token),
            Token::Space => text.push(' '),
            Token::Mark(mark) => text.push(*mark),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

/// The names behind INTO, FROM, UPDATE, JOIN and INSERT without INTO. Best effort: it
/// feeds a check of storage engines, not the statements.
fn tables(tokens: &[Token]) -> Vec<String> {
    let tokens: Vec<&Token> = tokens
        .iter()
        .filter(|token| **token != Token::Space)
        .collect();
    let mut tables = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before_table = word(token).is_some_and(|word| {
            ["INTO", "FROM", "UPDATE", "JOIN", "INSERT"].contains(&word.as_str())
        });
        if !before_table {
            continue;
        }
        let name = |at: usize| match tokens.get(at) {
            Some(Token::Word(word)) if !word.eq_ignore_ascii_case("INTO") => Some(word.clone()),
            Some(Token::Name(name)) => Some(name.trim_matches('`').replace("``", "`")),
            _ => None,
        };
        if let Some(first) = name(at + 1) {
            tables.push(match (tokens.get(at + 2), name(at + 3)) {
                (Some(Token::Mark('.')), Some(second)) => format!("{first}.{second}"),
                _ => first,
            });
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_said_only_where_they_are_found_and_counted() {
        let parse = |sql: &str, rows| {
            let mut statement = Statement::new(Per::Item, sql);
            statement.rows = rows;
            Template::parse(2, &statement).map(|template| template.guard.is_some())
        };
        let (one, any) = (Some(Rows::Exactly(1)), Some(Rows::Any));
        let plain = "INSERT INTO t VALUES (:sku)";
        assert_eq!(parse(plain, None), Ok(false));
        for rows in [one, any] {
            assert_eq!(parse(plain, rows), Err(StatementError::RowsSpelledOut));
        }
        let returning = "DELETE FROM t WHERE sku = :sku RETURNING id";
        for rows in [None, one] {
            assert_eq!(parse(returning, rows), Err(StatementError::Returning));
        }
        assert_eq!(parse(returning, any), Ok(false));
        let named = "UPDATE t SET `returning` = 1 WHERE sku = :sku";
        assert_eq!(parse(named, None), Ok(true));
    }
}
