//! The app's statements: checked once, then filled in for each purchase.

use tandem_protocol::{Entry, Item, Purchase, TransactionId};

use crate::encode;
use crate::forbidden::{self, Forbidden};
use crate::kept::Kept;
use crate::param::Param;
use crate::script::Line;
use crate::settings::{Per, SettingsError, Statement};
use crate::template::{Form, Piece, Template};
use crate::tokens;

/// A rule that a configured statement breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// There are none.
    #[error("there must be at least one; leave `statements` out for the default tables")]
    Empty,
    /// Nothing would refuse a purchase that comes a second time.
    #[error(
        "none inserts :purchase_id; without a unique key on it nothing refuses a purchase that is \
         repeated after tandem has forgotten it"
    )]
    NoPurchaseId,
    /// A parameter that there is none of.
    #[error(
        "unknown parameter :{name}; there are {}",
        Param::ALL.map(|param| format!(":{}", param.name())).join(" ")
    )]
    UnknownParameter {
        /// The name.
        name: String,
    },
    /// It would be taken literally.
    #[error(":{name} is within {place}, where it would not be replaced")]
    ParameterIn {
        /// The parameter.
        name: String,
        /// Quotes or a comment.
        place: &'static str,
    },
    /// Its value would become one with what is beside it: `x:sku` a hexadecimal literal of it,
    /// `'a':sku` one text with a quote in it.
    #[error(":{0} runs into the word, text or parameter beside it; put a space between them")]
    Adjoins(&'static str),
    /// It has one value per item.
    #[error(":{0} belongs to an item; set per = \"item\"")]
    ItemParameter(&'static str),
    /// Nothing is there.
    #[error("must be one INSERT, UPDATE or DELETE")]
    Verb,
    /// Something that would break a promise.
    #[error("{words} {why}")]
    Forbidden {
        /// What was found.
        words: String,
        /// What it would do, and what to write instead.
        why: Forbidden,
    },
    /// More than one.
    #[error(
        "must be a single statement without ';': write each as one of `statements`, in their order"
    )]
    SeveralStatements,
    /// How many rows it writes is not open.
    #[error(
        "`rows` is for statements that find their rows: an INSERT … VALUES or INSERT … SET writes each \
         row that it spells out, or fails; leave `rows` out"
    )]
    RowsSpelledOut,
    /// The server does not tell how many rows it met.
    #[error(
        "RETURNING keeps the server from telling how many rows were met, and nobody reads what it returns: \
         leave it out (a column of that name goes in backticks), or say rows = \"any\""
    )]
    Returning,
    /// A quote or comment is not closed.
    #[error("{0} is not closed")]
    Unclosed(&'static str),
    /// Its meaning depends on the server's sql_mode.
    #[error("a backslash within quotes means different things to different sql_modes")]
    Backslash,
    /// It is no comment.
    #[error("executable comments and hints are not allowed")]
    ExecutableComment,
}

/// Checks what needs neither the statement's place nor a server.
pub(crate) fn check(sql: &str) -> Result<(), StatementError> {
    forbidden::check(&tokens::split(sql)?).map(drop)
}

/// Checks what needs the statement's other fields, but neither its place nor a server.
pub(crate) fn check_whole(statement: &Statement) -> Result<(), StatementError> {
    Template::parse(1, statement).map(drop)
}

/// All statements of a purchase, in their order.
#[derive(Debug)]
pub struct Templates(Vec<Template>);

/// What the parameters stand for.
struct Values<'a> {
    transaction: &'a TransactionId,
    purchase: &'a Purchase,
    item: Option<(usize, &'a Item)>,
}

impl Templates {
    /// Reads the statements in their order; the error names the first that breaks a rule by its number,
    /// from 1.
    pub fn parse(statements: &[Statement]) -> Result<Self, SettingsError> {
        if statements.is_empty() {
            return Err(SettingsError::Statements(StatementError::Empty));
        }
        let templates: Vec<Template> = statements
            .iter()
            .enumerate()
            .map(|(index, statement)| {
                let number = index + 1;
                Template::parse(number, statement)
                    .map_err(|source| SettingsError::Statement { number, source })
            })
            .collect::<Result<_, _>>()?;
        if !templates.iter().any(Template::keeps_the_purchase_id) {
            return Err(SettingsError::Statements(StatementError::NoPurchaseId));
        }
        Ok(Self(templates))
    }

    /// Where the statements keep purchases, and where their items.
    pub(crate) fn kept(&self) -> (Option<&Kept>, Option<&Kept>) {
        let first = |per| Some(self.keeping_ids().find(|(of, _)| *of == per)?.1);
        (first(Per::Purchase), first(Per::Item))
    }

    /// Wherever the statements keep purchases' ids, and how often.
    pub(crate) fn keeping_ids(&self) -> impl Iterator<Item = (Per, &Kept)> {
        let templates = self.0.iter();
        let kept = templates.filter_map(|template| Some((template.per, template.kept.as_ref()?)));
        kept.filter(|(_, kept)| kept.column(Param::PurchaseId).is_some())
    }

    /// The tables that the statements name, as written, without backticks.
    pub fn tables(&self) -> Vec<&str> {
        let mut tables: Vec<&str> = self
            .0
            .iter()
            .flat_map(|template| template.tables.iter().map(String::as_str))
            .collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// The statements of all entries, tuples of many purchases joined into statements of about
    /// `bytes_max` at most. The statements of one purchase keep their order; purchases do not
    /// depend on each other. What finds its rows is never joined, and its guard follows it: one purchase
    /// that meets a row too many and one that meets none would make up for each other.
    pub fn render(
        &self,
        transaction: &TransactionId,
        entries: &[&Entry],
        bytes_max: usize,
    ) -> Vec<Line<'_>> {
        let mut out: Vec<Line<'_>> = Vec::new();
        for template in &self.0 {
            match &template.form {
                Form::Single(pieces) => for_each(template.per, transaction, entries, |values| {
                    let mut sql = String::new();
                    fill(&mut sql, pieces, values);
                    out.push(sql.into());
                    out.extend(template.guard.as_ref().map(Line::from));
                }),
                Form::Joinable { head, tuple } => {
                    let mut sql = String::new();
                    for_each(template.per, transaction, entries, |values| {
                        if sql.len() > bytes_max {
                            out.push(std::mem::take(&mut sql).into());
                        }
                        sql.push_str(if sql.is_empty() { head } else { "," });
                        fill(&mut sql, tuple, values);
                    });
                    if !sql.is_empty() {
                        out.push(sql.into());
                    }
                }
            }
        }
        out
    }
}

/// Calls once for each purchase, or for each item of each.
fn for_each(
    per: Per,
    transaction: &TransactionId,
    entries: &[&Entry],
    mut each: impl FnMut(&Values<'_>),
) {
    for entry in entries {
        let purchase = &*entry.purchase;
        let mut values = Values {
            transaction,
            purchase,
            item: None,
        };
        match per {
            Per::Purchase => each(&values),
            Per::Item => {
                for (index, item) in purchase.items.iter().enumerate() {
                    values.item = Some((index + 1, item));
                    each(&values);
                }
            }
        }
    }
}

fn fill(sql: &mut String, pieces: &[Piece], values: &Values<'_>) {
    for piece in pieces {
        let param = match piece {
            Piece::Text(text) => {
                sql.push_str(text);
                continue;
            }
            Piece::Param(param) => *param,
        };
        let item = || {
            values
                .item
                .expect("item parameters stand in statements per item only")
        };
        match param {
            Param::PurchaseId => encode::text(sql, &values.purchase.purchase_id),
            Param::CustomerId => encode::text(sql, &values.purchase.customer_id),
            Param::Currency => encode::text(sql, &values.purchase.currency),
            Param::TotalMinor => encode::integer(sql, total_minor(values.purchase)),
            Param::TransactionId => encode::text(sql, &values.transaction.to_string()),
            // The session's time zone is UTC, and the server's clock is the one by which its
            // own rows are compared.
            Param::PurchaseTime => sql.push_str("UTC_TIMESTAMP(3)"),
            Param::Sku => encode::text(sql, &item().1.sku),
            Param::Quantity => encode::integer(sql, item().1.quantity),
            Param::UnitPriceMinor => encode::integer(sql, item().1.unit_price_minor),
            Param::ItemNumber => {
                encode::integer(sql, i64::try_from(item().0).expect("at most 100 items"));
            }
        }
    }
}

/// 128 bits hold the product and sum of any item list that memory holds.
fn total_minor(purchase: &Purchase) -> i128 {
    purchase
        .items
        .iter()
        .map(|item| i128::from(item.quantity) * i128::from(item.unit_price_minor))
        .sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rows::Rows;
    use crate::tokens::Token;

    const INSERT: &str = "INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)";

    fn templates(statements: &[(Per, &str)]) -> Result<Templates, SettingsError> {
        let statements: Vec<Statement> = statements
            .iter()
            .map(|(per, sql)| Statement::new(*per, *sql))
            .collect();
        Templates::parse(&statements)
    }

    fn entry(number: u32, id: &str, skus: &[&str]) -> Entry {
        Entry {
            number,
            purchase: Arc::new(Purchase {
                purchase_id: id.into(),
                customer_id: "o'neil".into(),
                currency: "EUR".into(),
                items: skus
                    .iter()
                    .map(|sku| Item {
                        sku: (*sku).into(),
                        quantity: 3,
                        unit_price_minor: 250,
                    })
                    .collect(),
            }),
        }
    }

    fn render(statements: &[(Per, &str)], bytes_max: usize) -> Vec<String> {
        let (a, b) = (entry(0, "p1", &["x", "y"]), entry(1, "p2", &["z"]));
        let transaction = "shop.1.2".parse().expect("well formed");
        let templates = templates(statements).expect("valid");
        let lines = templates.render(&transaction, &[&a, &b], bytes_max);
        lines.into_iter().map(|line| line.sql).collect()
    }

    #[test]
    fn tuples_of_many_purchases_are_joined() {
        assert_eq!(
            render(&[(Per::Purchase, INSERT)], 1_000),
            [
                "INSERT INTO orders (id, customer) VALUES ('p1', _utf8mb4 x'6f276e65696c'), \
              ('p2', _utf8mb4 x'6f276e65696c')"
            ]
        );
        assert_eq!(render(&[(Per::Purchase, INSERT)], 10).len(), 2);
    }

    #[test]
    fn items_are_numbered_within_their_purchase() {
        let item = "insert into i values (:purchase_id, :item_number, :sku, :total_minor)";
        assert_eq!(
            render(&[(Per::Item, item)], 1_000),
            [
                "insert into i values ('p1', 1, 'x', 1500), ('p1', 2, 'y', 1500), ('p2', 1, 'z', 750)"
            ]
        );
    }

    #[test]
    fn a_statement_with_something_behind_its_tuple_stands_alone() {
        for sql in [
            "INSERT INTO t (id) VALUES (:purchase_id) RETURNING id",
            "INSERT INTO t (id) VALUES (:purchase_id), (concat(:purchase_id, 'b'))",
            "INSERT INTO t SET id = :purchase_id",
        ] {
            let rendered = render(&[(Per::Purchase, sql)], 1_000);
            assert_eq!(rendered.len(), 2, "{sql}: {rendered:?}");
        }
    }

    #[test]
    fn what_finds_its_rows_is_followed_by_its_guard() {
        let statements = |rows| {
            let mut update = Statement::new(Per::Item, "UPDATE s SET n = n + 1 WHERE sku = :sku");
            update.rows = rows;
            update.name = Some("sold".to_owned());
            let found = "INSERT INTO c (id) SELECT :purchase_id FROM d";
            let insert = Statement::new(Per::Purchase, INSERT);
            [insert, update, Statement::new(Per::Purchase, found)]
        };
        let shape = |rows| -> String {
            let entry = entry(0, "p1", &["x", "y"]);
            let transaction = "shop.1.2".parse().expect("well formed");
            let templates = Templates::parse(&statements(rows)).expect("valid");
            let lines = templates.render(&transaction, &[&entry], 1_000);
            let letter = |line: &Line<'_>| match line.guard() {
                Some(guard) => {
                    assert_eq!(line.sql, guard.sql());
                    'g'
                }
                None => line.sql.chars().next().expect("not empty"),
            };
            lines.iter().map(letter).collect()
        };
        assert_eq!(shape(None), "IUgUgIg");
        assert_eq!(shape(Some(Rows::Exactly(2))), "IUgUgIg");
        assert_eq!(shape(Some(Rows::Any)), "IUUIg");
    }

    #[test]
    fn only_what_is_spelled_out_is_joined() {
        let column = "INSERT INTO t (value) VALUES (:purchase_id)";
        assert_eq!(render(&[(Per::Purchase, column)], 1_000).len(), 1);
        let other = "INSERT INTO t SELECT a FROM b EXCEPT VALUES (:purchase_id)";
        let rendered = render(&[(Per::Purchase, other)], 1_000);
        assert_eq!(rendered.len(), 4, "{rendered:?}");
    }

    #[test]
    fn parameters_are_replaced_only_where_they_are_parameters() {
        let sql = "INSERT INTO `a:b` (id, t, u) VALUES (:purchase_id, '12:30', \"it's\") -- note";
        assert_eq!(
            render(&[(Per::Purchase, sql)], 1)[0].trim_end(),
            "INSERT INTO `a:b` (id, t, u) VALUES ('p1', '12:30', \"it's\")"
        );
        assert_eq!(
            tokens::split("::sku :=").expect("valid"),
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

    #[test]
    fn unsafe_or_senseless_statements_are_refused() {
        use StatementError as E;
        for (per, sql, expected) in [
            (
                Per::Purchase,
                "/* x */ DROP TABLE t",
                E::Forbidden {
                    words: "DROP".into(),
                    why: Forbidden::Verb,
                },
            ),
            (Per::Purchase, "", E::Verb),
            (
                Per::Purchase,
                "INSERT INTO t VALUES (1); DELETE FROM t",
                E::SeveralStatements,
            ),
            (
                Per::Purchase,
                "INSERT INTO t VALUES (1);",
                E::SeveralStatements,
            ),
            (Per::Purchase, "INSERT INTO t VALUES ('\\')", E::Backslash),
            (Per::Purchase, "INSERT INTO t VALUES ('", E::Unclosed("'")),
            (Per::Purchase, "INSERT /* INTO t", E::Unclosed("/*")),
            (
                Per::Purchase,
                "INSERT /*! IGNORE */ INTO t VALUES (1)",
                E::ExecutableComment,
            ),
            (
                Per::Purchase,
                "INSERT INTO t VALUES (:sku)",
                E::ItemParameter("sku"),
            ),
            (Per::Item, "INSERT INTO t VALUES (x:sku)", E::Adjoins("sku")),
            (
                Per::Item,
                "INSERT INTO t VALUES (:sku'a')",
                E::Adjoins("sku"),
            ),
            (
                Per::Item,
                "INSERT INTO t VALUES (:sku:quantity)",
                E::Adjoins("sku"),
            ),
            (
                Per::Item,
                "INSERT INTO t VALUES (:price)",
                E::UnknownParameter {
                    name: "price".into(),
                },
            ),
            (
                Per::Item,
                "INSERT INTO t VALUES (':sku')",
                E::ParameterIn {
                    name: "sku".into(),
                    place: "quotes",
                },
            ),
            (
                Per::Item,
                "INSERT INTO t VALUES (1) # :sku",
                E::ParameterIn {
                    name: "sku".into(),
                    place: "a comment",
                },
            ),
        ] {
            match templates(&[(Per::Purchase, INSERT), (per, sql)]) {
                Err(SettingsError::Statement { number: 2, source }) => {
                    assert_eq!(source, expected, "{sql}");
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
        for lone in [
            "UPDATE t SET a = :purchase_id",
            "INSERT INTO t VALUES (:customer_id)",
        ] {
            let error = templates(&[(Per::Purchase, lone)]).expect_err("no purchase id");
            assert!(matches!(error, SettingsError::Statements(E::NoPurchaseId)));
        }
    }

    #[test]
    fn tables_are_found() {
        let templates = templates(&[
            (Per::Purchase, INSERT),
            (
                Per::Item,
                "UPDATE app.`sold items` SET n = n + :quantity WHERE sku = :sku",
            ),
            (Per::Item, "INSERT t2 VALUES (:sku)"),
        ])
        .expect("valid");
        assert_eq!(templates.tables(), ["app.sold items", "orders", "t2"]);
    }
}
