//! Where an `INSERT` keeps its parameters: read from the statement, so that rows of the app's own
//! tables can be looked up and compared.

use crate::sql::forbidden::MODIFIERS;
use crate::sql::param::Param;
use crate::sql::tokens::Token;

/// A table, and the columns that hold a parameter as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// As the statement writes it.
    pub(crate) table: String,
    columns: Vec<(Param, String)>,
    /// The columns that every purchase has the same value in.
    constants: Vec<String>,
    /// The columns whose value is made of the purchase: by an expression of parameters, or looked up.
    made: Vec<String>,
    /// The row of another table that has the purchase's id, where this one has its key.
    pub(crate) parent: Option<Parent>,
}

/// A row by whose key another is found: `order_id` filled by `(SELECT id FROM orders WHERE ref =
/// :purchase_id)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    /// `order_id`
    column: String,
    /// `orders`
    pub(crate) table: String,
    /// `id`
    key: String,
    /// `ref`
    pub(crate) id: String,
}

impl Kept {
    /// Reads `INSERT [INTO] table (columns) VALUES (tuple)`, and the same with `SELECT values FROM …` in
    /// place of the tuple, which must be known to insert one row; `None` for any other form. A column
    /// whose value is an expression is left out: it does not hold the parameter as it is.
    pub(crate) fn of(tokens: &[Token]) -> Option<Kept> {
        let tokens: Vec<&Token> = tokens
            .iter()
            .filter(|token| **token != Token::Space)
            .collect();
        let word = |at: usize, wanted: &str| matches!(tokens.get(at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        if !word(0, "INSERT") {
            return None;
        }
        let is_modifier = |at: &usize| MODIFIERS.iter().any(|modifier| word(*at, modifier));
        let mut begin = 1 + (1..tokens.len()).take_while(is_modifier).count();
        begin += usize::from(word(begin, "INTO"));
        let open = (begin..tokens.len()).find(|at| *tokens[*at] == Token::Mark('('))?;
        let table = match &tokens[begin..open] {
            [table] => text(table)?,
            [schema, point, table] if **point == Token::Mark('.') => {
                format!("{}.{}", text(schema)?, text(table)?)
            }
            _ => return None,
        };
        let (columns, behind) = list(&tokens, open)?;
        let is_selected = word(behind, "SELECT");
        let values = if is_selected {
            selected(&tokens[behind + 1..])?
        } else if word(behind, "VALUES") || word(behind, "VALUE") {
            list(&tokens, behind + 1)?.0
        } else {
            return None;
        };
        if columns.len() != values.len() {
            return None;
        }
        let mut kept = Kept {
            table,
            columns: Vec::new(),
            constants: Vec::new(),
            made: Vec::new(),
            parent: None,
        };
        let is_param = |token: &&Token| matches!(token, Token::Param(_));
        for (column, value) in columns.iter().zip(&values) {
            match (&column[..], &value[..]) {
                ([name], [Token::Param(param)]) => kept.columns.push((param.clone(), text(name)?)),
                ([name], [value]) if is_constant(value) => kept.constants.push(text(name)?),
                ([name], value) => match parent(text(name)?, value) {
                    Some(parent) if kept.parent.is_none() => kept.parent = Some(parent),
                    None if !is_selected && !value.iter().any(is_param) => {}
                    _ => kept.made.push(text(name)?),
                },
                _ => {}
            }
        }
        Some(kept)
    }

    /// The columns that hold the same text or number in each row.
    pub(crate) fn constants(&self) -> impl Iterator<Item = &str> {
        self.constants.iter().map(String::as_str)
    }

    /// The columns that hold what is made of a purchase's content, and none of it as it is.
    pub(crate) fn made(&self) -> impl Iterator<Item = &str> {
        self.made.iter().map(String::as_str)
    }

    /// The parameters that are held as they are, each with its column.
    pub(crate) fn plain(&self) -> impl Iterator<Item = (&Param, &str)> {
        let columns = self.columns.iter();
        columns.map(|(param, column)| (param, column.as_str()))
    }

    /// The same table with some of these columns.
    pub(crate) fn with_columns(&self, columns: &[(&Param, &str)]) -> Kept {
        let columns = columns.iter();
        Kept {
            columns: columns
                .map(|(param, column)| ((*param).clone(), (*column).to_owned()))
                .collect(),
            ..self.clone()
        }
    }

    /// The column that holds the purchase's id; NULL where none does.
    pub(crate) fn id_column(&self) -> &str {
        self.column(Param::PurchaseId).unwrap_or("NULL")
    }

    /// Its rows, each with the row that has the purchase's id: `orders AS kept`, `order_lines AS kept JOIN
    /// orders AS parent ON …`.
    pub(crate) fn source(&self) -> String {
        let table = &self.table;
        match &self.parent {
            None => format!("{table} AS kept"),
            Some(parent) => format!(
                "{table} AS kept JOIN {} AS parent ON parent.{} = kept.{}",
                parent.table, parent.key, parent.column
            ),
        }
    }

    /// The purchase's id in a row of [`source`](Self::source); NULL where none has it.
    pub(crate) fn id_in_source(&self) -> String {
        match (self.column(Param::PurchaseId), &self.parent) {
            (Some(column), _) => format!("kept.{column}"),
            (None, Some(parent)) => format!("parent.{}", parent.id),
            (None, None) => "NULL".to_owned(),
        }
    }

    /// The column that holds a parameter.
    pub(crate) fn column(&self, param: Param) -> Option<&str> {
        let found = self.columns.iter().find(|(held, _)| *held == param);
        found.map(|(_, column)| column.as_str())
    }
}

/// `(SELECT id FROM orders WHERE ref = :purchase_id)`, of which a column has the value.
fn parent(column: String, value: &[&Token]) -> Option<Parent> {
    let word = |token: &Token, wanted: &str| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted));
    let [
        open,
        select,
        key,
        from,
        inner @ ..,
        by,
        equals,
        param,
        close,
    ] = value
    else {
        return None;
    };
    let (where_, table) = inner.split_last()?;
    let is_it = **open == Token::Mark('(')
        && word(select, "SELECT")
        && word(from, "FROM")
        && word(where_, "WHERE")
        && **equals == Token::Mark('=')
        && **param == Token::Param(Param::PurchaseId)
        && **close == Token::Mark(')');
    let table: Option<String> = table.iter().map(|token| text(token)).collect();
    Some(Parent {
        column,
        table: table.filter(|table| is_it && !table.is_empty())?,
        key: text(key)?,
        id: text(by)?,
    })
}

/// What stands between SELECT and FROM, or the end, separated by commas; `None` where other rows are added to
/// what it selects.
fn selected<'a>(tokens: &[&'a Token]) -> Option<Vec<Vec<&'a Token>>> {
    let mut parts = vec![Vec::new()];
    let mut depth = 0_usize;
    let mut is_behind = false;
    for token in tokens {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth = depth.checked_sub(1)?,
            Token::Word(word) if depth == 0 => match word.to_ascii_uppercase().as_str() {
                "FROM" => is_behind = true,
                "UNION" | "EXCEPT" | "INTERSECT" | "MINUS" => return None,
                _ => {}
            },
            Token::Mark(',') if depth == 0 && !is_behind => {
                parts.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if !is_behind {
            parts.last_mut()?.push(*token);
        }
    }
    Some(parts)
}

/// The parts of a list in parentheses that are separated by commas, and where it ends.
fn list<'a>(tokens: &[&'a Token], open: usize) -> Option<(Vec<Vec<&'a Token>>, usize)> {
    if **tokens.get(open)? != Token::Mark('(') {
        return None;
    }
    let mut parts = vec![Vec::new()];
    let mut depth = 1;
    for (at, token) in tokens.iter().enumerate().skip(open + 1) {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            Token::Mark(',') if depth == 1 => {
                parts.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            return Some((parts, at + 1));
        }
        parts.last_mut()?.push(token);
    }
    None
}

/// A text or a number; NULL and functions are not the same in each row, or not to a unique key.
fn is_constant(token: &Token) -> bool {
    match token {
        Token::Quoted(_) => true,
        Token::Word(word) => word.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

/// A part of a name as it is written.
fn text(token: &Token) -> Option<String> {
    match token {
        Token::Word(text) | Token::Name(text) => Some(text.clone()),
        Token::Mark('.') => Some(".".into()),
        Token::Mark(_) | Token::Quoted(_) | Token::Param(_) | Token::Space => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tokens;

    fn of(sql: &str) -> Option<Kept> {
        Kept::of(&tokens::split(sql).expect("valid"))
    }

    #[test]
    fn columns_are_matched_with_their_parameters() {
        let kept = of(
            "insert into `my shop`.orders (id, `the customer`, total, created, n) values \
             (:purchase_id, :customer_id, :total_minor / 100, now(), f(1, 2))",
        )
        .expect("plain");
        assert_eq!(kept.table, "`my shop`.orders");
        assert_eq!(kept.column(Param::PurchaseId), Some("id"));
        assert_eq!(kept.column(Param::CustomerId), Some("`the customer`"));
        assert_eq!(kept.column(Param::TotalMinor), None);
        assert_eq!(kept.made().collect::<Vec<_>>(), ["total"]);
    }

    #[test]
    fn what_is_selected_is_matched_too() {
        let kept = of(
            "INSERT INTO orders (id, customer, cents, label, day) SELECT :purchase_id, c.id, \
             :total_minor, CONCAT(c.name, :purchase_id), :purchase_time + INTERVAL 1 DAY FROM customers c, \
             shops WHERE c.ext = :customer_id",
        )
        .expect("plain");
        assert_eq!(kept.column(Param::PurchaseId), Some("id"));
        assert_eq!(kept.column(Param::TotalMinor), Some("cents"));
        assert_eq!(kept.column(Param::CustomerId), None);
        assert_eq!(kept.column(Param::PurchaseTime), None);
        assert_eq!(
            kept.made().collect::<Vec<_>>(),
            ["customer", "label", "day"]
        );
        let distinct =
            of("INSERT INTO t (id, sku) SELECT DISTINCT :purchase_id, :sku").expect("plain");
        assert_eq!(distinct.column(Param::PurchaseId), None);
        assert_eq!(distinct.column(Param::Sku), Some("sku"));
    }

    #[test]
    fn a_row_is_found_by_the_key_of_its_parent() {
        let lines = "INSERT INTO shop.lines (`order`, sku) VALUES ((SELECT id FROM shop.orders WHERE ref = \
                     :purchase_id), :sku)";
        let kept = of(lines).expect("plain");
        assert_eq!(kept.column(Param::PurchaseId), None);
        assert_eq!(kept.id_in_source(), "parent.ref");
        let source = "shop.lines AS kept JOIN shop.orders AS parent ON parent.id = kept.`order`";
        assert_eq!(kept.source(), source);
        assert_eq!(kept.made().count(), 0);
        for other in [
            "(SELECT id FROM orders WHERE ref = :customer_id)",
            "(SELECT id FROM orders WHERE ref = :purchase_id LIMIT 1)",
            "(SELECT MAX(id) FROM orders WHERE ref = :purchase_id)",
            "1 + (SELECT id FROM orders WHERE ref = :purchase_id)",
        ] {
            let kept =
                of(&format!("INSERT INTO l (a, sku) VALUES ({other}, :sku)")).expect("plain");
            assert_eq!(
                (kept.parent.is_none(), kept.made().count()),
                (true, 1),
                "{other}"
            );
        }
    }

    #[test]
    fn words_before_the_table_are_none_of_its_name() {
        for sql in [
            "INSERT low_priority INTO t (id) VALUES (:purchase_id)",
            "INSERT HIGH_PRIORITY t (id) VALUES (:purchase_id)",
        ] {
            assert_eq!(of(sql).expect("plain").table, "t", "{sql}");
        }
        let quoted = of("INSERT INTO s . `a b` (id) VALUES (:purchase_id)").expect("plain");
        assert_eq!(quoted.table, "s.`a b`");
    }

    #[test]
    fn other_forms_say_nothing() {
        for sql in [
            "INSERT INTO t VALUES (:purchase_id)",
            "INSERT INTO t SET id = :purchase_id",
            "INSERT INTO t (id) SELECT :purchase_id UNION SELECT 'x'",
            "INSERT INTO t (id, n) SELECT :purchase_id FROM u",
            "INSERT INTO t (id) (SELECT :purchase_id)",
            "INSERT INTO t SELECT :purchase_id",
            "INSERT INTO t PARTITION (p0) (id) VALUES (:purchase_id)",
            "INSERT INTO t AS u (id) VALUES (:purchase_id)",
            "INSERT INTO t (id, n) VALUES (:purchase_id)",
            "UPDATE t SET id = :purchase_id",
            "REPLACE INTO t (id) VALUES (:purchase_id)",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
    }
}
