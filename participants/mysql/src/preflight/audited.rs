//! How much of the rows that the statements write an audit can compare with what was decided.

use tandem_participant::attributes::{AttributeType, Attributes};
use tokio::time::Instant;

use crate::preflight::columns::{self, Column, Columns};
use crate::preflight::time_zone;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::kept::Kept;
use crate::sql::param::Param;
use crate::sql::statement::Per;
use crate::sql::template::Template;
use crate::sql::templates::Templates;
use crate::store::Store;

/// What is read of a purchase's row.
pub(crate) const PURCHASE: [Param; 6] = [
    Param::PurchaseId,
    Param::CustomerId,
    Param::Currency,
    Param::TotalMinor,
    Param::TransactionId,
    Param::PurchaseTime,
];

/// What is read of an item's row.
pub(crate) const ITEM: [Param; 5] = [
    Param::PurchaseId,
    Param::Sku,
    Param::Quantity,
    Param::UnitPriceMinor,
    Param::ItemNumber,
];

/// What an audit reads, and what it leaves out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Audited {
    /// Where purchases are looked up, with the columns that are compared; `None` where none can be.
    pub(crate) purchases: Option<Kept>,
    /// The same of their items.
    pub(crate) items: Option<Kept>,
    /// For a person, each thing that is left out, and why.
    pub(crate) left_out: Vec<String>,
}

/// Decides it by the types that the columns have now.
pub(crate) async fn of(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Audited, PacketFailure> {
    let columns = columns::of(session, &store.settings.templates, deadline).await?;
    by_types(store, session, &columns, deadline).await
}

/// The same where the types are known.
pub(crate) async fn by_types(
    store: &Store,
    session: &mut Session,
    columns: &Columns,
    deadline: Instant,
) -> Result<Audited, PacketFailure> {
    let templates = &store.settings.templates;
    let kept = templates.each().filter_map(|one| one.kept.as_ref());
    let mut params = kept.flat_map(Kept::plain).map(|(param, _)| param);
    let is_time = |param| shape(param, templates.attributes()) == Some(Shape::Time);
    let is_even = !params.any(is_time) || time_zone::is_even(session, deadline).await?;
    Ok(Audited::of(templates, columns, is_even))
}

impl Audited {
    /// Looks purchases up in the first table that has their ids as they are, and items likewise.
    fn of(templates: &Templates, columns: &Columns, is_even: bool) -> Audited {
        let mut audited = Audited::default();
        for template in templates.each() {
            audited.add(template, templates.attributes(), columns, is_even);
        }
        if audited.purchases.is_none() {
            audited.items = None;
            let none = "no row of a purchase can be looked up, so that none is compared";
            audited.left_out.insert(0, none.to_owned());
        }
        audited
    }

    fn add(
        &mut self,
        template: &Template,
        attributes: &Attributes,
        columns: &Columns,
        is_even: bool,
    ) {
        let (found, read) = match template.per {
            Per::Purchase => (&mut self.purchases, &PURCHASE[..]),
            Per::Item => (&mut self.items, &ITEM[..]),
        };
        let left_out = &mut self.left_out;
        let mut leave = |why: String| left_out.push(format!("{}: {why}", template.located));
        let Some(kept) = &template.kept else {
            return leave(
                "it is no INSERT INTO table (columns) that writes one row each time, so that what it writes \
                 can't be told"
                    .to_owned(),
            );
        };
        let table = &kept.table;
        let flaw = |param: &Param, column: &str, table: &str| match columns.of(table, column) {
            None => Some(format!("the type of {column} of {table} can't be seen")),
            Some(facts) if !keeps(facts, param, attributes) => Some(format!(
                "{column} of {table} is of type {}, which does not keep :{} as it is",
                facts.column_type,
                param.name()
            )),
            Some(_) if !is_even && shape(param, attributes) == Some(Shape::Time) => Some(format!(
                "{column} of {table} is in a time zone in which an hour comes twice in autumn"
            )),
            Some(_) => None,
        };
        let (id, of) = match (kept.column(Param::PurchaseId), &kept.parent) {
            (Some(id), _) => (id, table),
            (None, Some(parent)) => (parent.id.as_str(), &parent.table),
            (None, None) => {
                return leave(format!(
                    "no column of {table} has :purchase_id as it is, by which its rows could be looked up"
                ));
            }
        };
        if let Some(flaw) = flaw(&Param::PurchaseId, id, of) {
            return leave(format!("its rows can't be looked up: {flaw}"));
        }
        if columns.of(of, id).is_some_and(|column| column.is_filtered) {
            return leave(format!(
                "its rows can't be looked up: view {of} does not show every row that is written through it"
            ));
        }
        if let Some(found) = found {
            let other = &found.table;
            return leave(format!(
                "rows are compared in {other} and not in {table} besides"
            ));
        }
        let mut compared: Vec<(&Param, &str)> = Vec::new();
        for (param, column) in kept.plain() {
            let name = param.name();
            let is_second = compared.iter().any(|(other, _)| *other == param);
            let is_read = read.contains(param) || is_more(param);
            if is_second || !is_read {
                leave(format!("{column} of {table}, which has :{name}"));
            } else if let Some(flaw) = flaw(param, column, table) {
                leave(flaw);
            } else {
                compared.push((param, column));
            }
        }
        for column in kept.made() {
            leave(format!(
                "{column} of {table}, whose value is made of others"
            ));
        }
        *found = Some(kept.with_columns(&compared));
    }
}

/// Whether it is read besides what every purchase and item has.
pub(crate) fn is_more(param: &Param) -> bool {
    !PURCHASE.contains(param) && !ITEM.contains(param)
}

/// How a parameter's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Printable ASCII without spaces, so that a CHAR column cuts nothing off.
    Text,
    /// Any text.
    FreeText,
    Whole,
    Decimal,
    Time,
    Json,
}

/// `None` for an attribute that is not declared.
pub(crate) fn shape(param: &Param, attributes: &Attributes) -> Option<Shape> {
    Some(match param {
        Param::PurchaseId
        | Param::CustomerId
        | Param::Currency
        | Param::TransactionId
        | Param::Sku
        | Param::LineId
        | Param::Pool => Shape::Text,
        Param::TotalMinor
        | Param::Quantity
        | Param::UnitPriceMinor
        | Param::LineTotalMinor
        | Param::Tracked
        | Param::ItemNumber => Shape::Whole,
        Param::PurchaseTime => Shape::Time,
        Param::Total | Param::UnitPrice | Param::LineTotal => Shape::Decimal,
        Param::ItemsJson => Shape::Json,
        Param::Attribute(name) => match attributes.get(name)?.kind {
            AttributeType::Text => Shape::FreeText,
            AttributeType::Integer | AttributeType::Boolean => Shape::Whole,
            AttributeType::Decimal => Shape::Decimal,
            AttributeType::Time => Shape::Time,
            AttributeType::Json => Shape::Json,
        },
    })
}

/// Whether a column of this type gives back what was written to it: a text, a number or a time.
fn keeps(column: &Column, param: &Param, attributes: &Attributes) -> bool {
    let is_whole = || {
        let of_type = |digits: Option<(u32, u32)>| digits.is_some_and(|(_, behind)| behind == 0);
        column.data_type.ends_with("int")
            || (column.data_type == "decimal" && of_type(column.digits))
    };
    let is_text = || {
        let name = column.data_type.as_str();
        ["char", "varchar", "varbinary"].contains(&name)
            || name.ends_with("text")
            || name.ends_with("blob")
    };
    let is = |name: &str| column.data_type == name;
    match shape(param, attributes) {
        // A text that is a number comes back in its plain form, and is compared so.
        Some(Shape::Text) => is_text() || is_whole() || is_label(column, param),
        Some(Shape::Whole) => is_text() || is_whole() || column.data_type == "decimal",
        // A CHAR column cuts spaces off, a label has one spelling.
        Some(Shape::FreeText) => is_text() && !is("char"),
        Some(Shape::Decimal) => is_text() || is_whole() || is("decimal"),
        Some(Shape::Json) => is("json") || is_text() && !is("char"),
        None => false,
        Some(Shape::Time) => ["datetime", "timestamp"].contains(&column.data_type.as_str()),
    }
}

/// Whether a column of labels gives back the label that was written: one that folds case gives its own.
fn is_label(column: &Column, param: &Param) -> bool {
    let is_folded = !column.collation.ends_with("_bin");
    let labels = column.column_type.split('\'').skip(1).step_by(2);
    let mut letters = labels.flat_map(str::bytes);
    ["enum", "set"].contains(&column.data_type.as_str())
        && (!is_folded
            || (*param == Param::Currency && !letters.any(|letter| letter.is_ascii_lowercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(column_type: &str, collation: &str) -> Column {
        let name = column_type.split('(').next().unwrap_or_default();
        Column {
            data_type: name.to_owned(),
            column_type: column_type.to_owned(),
            length: None,
            digits: column_type
                .strip_prefix("decimal(10,")
                .and_then(|rest| Some((10, rest.strip_suffix(')')?.parse().ok()?))),
            character_set: String::new(),
            collation: collation.to_owned(),
            is_nullable: true,
            is_of_a_table: true,
            is_filtered: false,
            counts: false,
            is_generated: false,
        }
    }

    #[test]
    fn only_what_comes_back_as_it_was_is_compared() {
        let (id, total, time) = (&Param::PurchaseId, &Param::TotalMinor, &Param::PurchaseTime);
        let folds = "utf8mb4_general_ci";
        let none = Attributes::default();
        for (column_type, param, is_kept) in [
            ("varchar(64)", id, true),
            ("char(64)", id, true),
            ("varbinary(64)", id, true),
            ("longtext", id, true),
            ("bigint(20)", id, true),
            ("decimal(10,0)", id, true),
            ("decimal(10,2)", id, false),
            ("binary(16)", id, false),
            ("bit(64)", id, false),
            ("uuid", id, false),
            ("double", id, false),
            ("date", id, false),
            ("decimal(10,2)", total, true),
            ("int(11)", total, true),
            ("varchar(20)", total, true),
            ("float", total, false),
            ("double", total, false),
            ("enum('1','2')", total, false),
            ("year(4)", total, false),
            ("datetime(3)", time, true),
            ("timestamp", time, true),
            ("date", time, false),
            ("varchar(30)", time, false),
            ("bigint(20)", time, false),
        ] {
            let column = column(column_type, folds);
            assert_eq!(
                keeps(&column, param, &none),
                is_kept,
                "{column_type} {param:?}"
            );
        }
        for (labels, collation, param, is_kept) in [
            ("enum('EUR','USD')", folds, &Param::Currency, true),
            ("enum('EUR','usd')", folds, &Param::Currency, false),
            ("enum('EUR','usd')", "latin1_bin", &Param::Currency, true),
            ("set('A','B')", folds, &Param::Sku, false),
            ("set('A','B')", "utf8mb4_bin", &Param::Sku, true),
        ] {
            let column = column(labels, collation);
            assert_eq!(
                keeps(&column, param, &none),
                is_kept,
                "{labels} {collation}"
            );
        }
    }
}
