//! The app's statements: checked once, then filled in for each purchase.

use tandem_participant::attributes::Attributes;
use tandem_protocol::{Entry, Purchase};

use crate::sql::fill::{Begun, Values, fill, for_each, why_unfit};
use crate::sql::kept::Kept;
use crate::sql::line::Line;
use crate::sql::param::Param;
use crate::sql::statement::{Per, Statement};
use crate::sql::statement_error::{StatementError, StatementsError};
use crate::sql::template::{Form, Template};

/// All statements of a purchase, in their order.
#[derive(Debug)]
pub struct Templates {
    all: Vec<Template>,
    attributes: Attributes,
    are_personal_hidden: bool,
}

impl Templates {
    /// Reads the statements in their order, with the attributes that are declared; the error names the first
    /// that breaks a rule by its number, from 1.
    pub fn parse(
        statements: &[Statement],
        attributes: &Attributes,
    ) -> Result<Self, StatementsError> {
        if statements.is_empty() {
            return Err(StatementsError::Together(StatementError::Empty));
        }
        let templates: Vec<Template> = statements
            .iter()
            .enumerate()
            .map(|(index, statement)| {
                let number = index + 1;
                Template::parse(number, statement)
                    .and_then(|template| template.with(attributes))
                    .map_err(|source| StatementsError::One { number, source })
            })
            .collect::<Result<_, _>>()?;
        if !templates.iter().any(Template::keeps_the_purchase_id) {
            return Err(StatementsError::Together(StatementError::NoPurchaseId));
        }
        Ok(Self {
            all: templates,
            attributes: attributes.clone(),
            are_personal_hidden: false,
        })
    }

    /// The same for a person's eyes: in place of a personal attribute its parameter stays.
    pub(crate) fn without_personal(self) -> Self {
        Self {
            are_personal_hidden: true,
            ..self
        }
    }

    /// The attributes that are declared.
    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Why a purchase can't be written by these statements, if so, for a person.
    pub(crate) fn why_unfit(&self, purchase: &Purchase) -> Option<String> {
        let params = self.all.iter().flat_map(Template::params);
        why_unfit(params, &self.attributes, purchase)
    }

    /// Each of them, in their order.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Template> {
        self.all.iter()
    }

    /// Where the statements keep purchases, and where their items.
    pub(crate) fn kept(&self) -> (Option<&Kept>, Option<&Kept>) {
        let first = |per| Some(self.keeping_ids().find(|(of, _)| *of == per)?.1);
        (first(Per::Purchase), first(Per::Item))
    }

    /// Wherever the statements keep purchases' ids, and how often.
    pub(crate) fn keeping_ids(&self) -> impl Iterator<Item = (Per, &Kept)> {
        let templates = self.all.iter();
        let kept = templates.filter_map(|template| Some((template.per, template.kept.as_ref()?)));
        kept.filter(|(_, kept)| kept.column(Param::PurchaseId).is_some())
    }

    /// The tables that the statements name, as written, without backticks.
    pub fn tables(&self) -> Vec<&str> {
        let mut tables: Vec<&str> = self
            .all
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
    pub fn render(&self, begun: Begun<'_>, entries: &[&Entry], bytes_max: usize) -> Vec<Line<'_>> {
        let mut out: Vec<Line<'_>> = Vec::new();
        let values = Values {
            begun,
            attributes: &self.attributes,
            are_personal_hidden: self.are_personal_hidden,
        };
        for template in &self.all {
            let hidden = template.is_personal.then_some(template.called.as_str());
            match &template.form {
                Form::Single(pieces) => for_each(template.per, entries, |of| {
                    let mut sql = String::new();
                    fill(&mut sql, pieces, &values, of);
                    out.push(Line::of_the_app(sql, hidden));
                    out.extend(template.guard.as_ref().map(Line::from));
                }),
                Form::Joinable { head, tuple } => {
                    let mut sql = String::new();
                    for_each(template.per, entries, |of| {
                        if sql.len() > bytes_max {
                            out.push(Line::of_the_app(std::mem::take(&mut sql), hidden));
                        }
                        sql.push_str(if sql.is_empty() { head } else { "," });
                        fill(&mut sql, tuple, &values, of);
                    });
                    if !sql.is_empty() {
                        out.push(Line::of_the_app(sql, hidden));
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_protocol::{Item, Purchase, Timestamp, TransactionId};

    use super::*;
    use crate::sql::rows::Rows;
    use crate::sql::statement_error::Forbidden;

    const INSERT: &str = "INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)";

    fn templates(statements: &[(Per, &str)]) -> Result<Templates, StatementsError> {
        let statements: Vec<Statement> = statements
            .iter()
            .map(|(per, sql)| Statement::new(*per, *sql))
            .collect();
        Templates::parse(&statements, &Attributes::default())
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
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            }),
        }
    }

    fn begun(transaction: &TransactionId) -> Begun<'_> {
        Begun {
            transaction,
            time: Timestamp(1_772_366_400_007),
        }
    }

    fn render(statements: &[(Per, &str)], bytes_max: usize) -> Vec<String> {
        let (a, b) = (entry(0, "p1", &["x", "y"]), entry(1, "p2", &["z"]));
        let transaction = "shop.1.2".parse().expect("well formed");
        let templates = templates(statements).expect("valid");
        let lines = templates.render(begun(&transaction), &[&a, &b], bytes_max);
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
    fn purchases_of_a_transaction_have_its_time() {
        let of_one = "INSERT INTO orders (id, made) VALUES (:purchase_id, :purchase_time)";
        let made = "FROM_UNIXTIME(1772366400.007)";
        assert_eq!(
            render(&[(Per::Purchase, of_one)], 1_000),
            [format!(
                "INSERT INTO orders (id, made) VALUES ('p1', {made}), ('p2', {made})"
            )]
        );
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
            let templates =
                Templates::parse(&statements(rows), &Attributes::default()).expect("valid");
            let lines = templates.render(begun(&transaction), &[&entry], 1_000);
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
    }

    #[test]
    fn unsafe_or_senseless_statements_are_refused() {
        use StatementError as E;
        let parameter_in = |place| E::ParameterIn {
            name: "sku".into(),
            place,
        };
        let drop = E::Forbidden {
            words: "DROP".into(),
            why: Forbidden::Verb,
        };
        let price = E::UnknownParameter {
            name: "price".into(),
        };
        for (sql, expected) in [
            ("/* x */ DROP TABLE t", drop),
            ("", E::Verb),
            (
                "INSERT INTO t VALUES (1); DELETE FROM t",
                E::SeveralStatements,
            ),
            ("INSERT INTO t VALUES (1);", E::SeveralStatements),
            ("INSERT INTO t VALUES ('\\')", E::Backslash),
            ("INSERT INTO t VALUES ('", E::Unclosed("'")),
            ("INSERT /* INTO t", E::Unclosed("/*")),
            (
                "INSERT /*! IGNORE */ INTO t VALUES (1)",
                E::ExecutableComment,
            ),
            ("INSERT INTO t VALUES (x:sku)", E::Adjoins("sku".into())),
            ("INSERT INTO t VALUES (:sku'a')", E::Adjoins("sku".into())),
            (
                "INSERT INTO t VALUES (:sku:quantity)",
                E::Adjoins("sku".into()),
            ),
            ("INSERT INTO t VALUES (:price)", price),
            ("INSERT INTO t VALUES (':sku')", parameter_in("quotes")),
            ("INSERT INTO t VALUES (1) # :sku", parameter_in("a comment")),
        ] {
            assert_eq!(refused(Per::Item, sql), expected, "{sql}");
        }
        let of_an_item = "INSERT INTO t VALUES (:sku)";
        assert_eq!(
            refused(Per::Purchase, of_an_item),
            E::ItemParameter("sku".into())
        );
        for lone in [
            "UPDATE t SET a = :purchase_id",
            "INSERT INTO t VALUES (:customer_id)",
        ] {
            let error = templates(&[(Per::Purchase, lone)]).expect_err("no purchase id");
            assert_eq!(error, StatementsError::Together(E::NoPurchaseId));
        }
    }

    /// The rule that the second of two statements breaks.
    #[track_caller]
    fn refused(per: Per, sql: &str) -> StatementError {
        match templates(&[(Per::Purchase, INSERT), (per, sql)]) {
            Err(StatementsError::One { number: 2, source }) => source,
            other => panic!("{sql}: {other:?}"),
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
