//! Where the app keeps its stock, and what a stock is called.

const SKU: &str = "{sku}";

/// Between the hash and the field in the name of a stock in one of many hashes: nothing that a person must put
/// into quotes to type it.
const BETWEEN: char = '#';

/// Where the app keeps its stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StockPlace {
    /// One key a stock, which is its name.
    Keys(Pattern),
    /// One hash for all. A stock's name is its field.
    Hash {
        key: String,
        field: Pattern,
        /// Whether fields of tandem's own are in it.
        counts: bool,
    },
    /// A field of one of many hashes, such as a product's. A stock's name is `HASH#FIELD`.
    Hashes {
        key: Pattern,
        field: Pattern,
        /// Whether the counts are fields of them.
        counts: bool,
    },
}

/// Where one stock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location<'a> {
    Key(&'a str),
    Field { hash: &'a str, field: &'a str },
}

impl StockPlace {
    /// The key of a sku's stock, or its hash, and its field if it is one.
    pub(crate) fn key_and_field(&self, sku: &str) -> (String, Option<String>) {
        match self {
            StockPlace::Keys(key) => (key.of(sku), None),
            StockPlace::Hash { key, field, .. } => (key.clone(), Some(field.of(sku))),
            StockPlace::Hashes { key, field, .. } => (key.of(sku), Some(field.of(sku))),
        }
    }

    /// The name of a sku's stock in tandem's books.
    pub(crate) fn name_of(&self, sku: &str) -> String {
        match (self, self.key_and_field(sku)) {
            (_, (key, None)) => key,
            (StockPlace::Hashes { .. }, (key, Some(field))) => format!("{key}{BETWEEN}{field}"),
            (_, (_, Some(field))) => field,
        }
    }

    /// Where the stock of a name is.
    pub(crate) fn locate<'a>(&'a self, name: &'a str) -> Location<'a> {
        match self {
            StockPlace::Keys(_) => Location::Key(name),
            StockPlace::Hash { key, .. } => Location::Field {
                hash: key,
                field: name,
            },
            StockPlace::Hashes { key, field, .. } => {
                // A sku may have the separator in it; what has no sku has it as often as its pattern.
                let between = match key.has_sku() {
                    true => name.rmatch_indices(BETWEEN).nth(field.separators()),
                    false => name.match_indices(BETWEEN).nth(key.separators()),
                };
                let at = between.map_or(name.len(), |(at, _)| at);
                let (hash, rest) = name.split_at(at);
                let field = rest.strip_prefix(BETWEEN).unwrap_or_default();
                Location::Field { hash, field }
            }
        }
    }

    /// What the scripts call it (`stock.lua`).
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            StockPlace::Keys(_) => "key",
            StockPlace::Hash { .. } => "hash",
            StockPlace::Hashes { .. } => "hashes",
        }
    }

    /// Whether what is deducted is counted beside the stock.
    pub(crate) fn counts(&self) -> bool {
        match self {
            StockPlace::Keys(_) => true,
            StockPlace::Hash { counts, .. } | StockPlace::Hashes { counts, .. } => *counts,
        }
    }
}

/// A text with places for a sku: what is before, between and behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<String>);

impl Pattern {
    pub(crate) fn parse(text: &str) -> Pattern {
        Pattern(text.split(SKU).map(str::to_owned).collect())
    }

    /// How many places for a sku it has.
    pub(crate) fn skus(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    fn has_sku(&self) -> bool {
        self.skus() > 0
    }

    fn separators(&self) -> usize {
        self.0
            .iter()
            .map(|text| text.matches(BETWEEN).count())
            .sum()
    }

    pub(crate) fn of(&self, sku: &str) -> String {
        self.0.join(sku)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_is_found_again_by_its_name_whatever_its_sku_is() {
        let hashes = |key, field| StockPlace::Hashes {
            key: Pattern::parse(key),
            field: Pattern::parse(field),
            counts: true,
        };
        for place in [
            hashes("product:{sku}", "stock"),
            hashes("#a:{sku}#", "in#stock"),
        ] {
            for sku in ["tea", "green#tea", "#", "", "in#stock", "x#in#stock"] {
                let (key, field) = place.key_and_field(sku);
                let name = place.name_of(sku);
                let found = Location::Field {
                    hash: &key,
                    field: field.as_deref().unwrap_or_default(),
                };
                assert_eq!(place.locate(&name), found, "{sku:?}");
            }
        }
        let name = hashes("product:{sku}", "stock").name_of("tea");
        assert_eq!(name, "product:tea#stock");
    }
}
