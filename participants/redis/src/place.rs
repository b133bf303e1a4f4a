//! Where the app keeps its stock, and what a stock is called.

const SKU: &str = "{sku}";

/// A place for a pool, where a default pool is set.
pub(crate) const POOL: &str = "{pool}";

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
    /// The key of a sku's stock in a pool, or its hash, and its field if it is one. No pool is the default one.
    pub(crate) fn key_and_field(&self, sku: &str, pool: &str) -> (String, Option<String>) {
        match self {
            StockPlace::Keys(key) => (key.of(sku, pool), None),
            StockPlace::Hash { key, field, .. } => (key.clone(), Some(field.of(sku, pool))),
            StockPlace::Hashes { key, field, .. } => (key.of(sku, pool), Some(field.of(sku, pool))),
        }
    }

    /// The name of a sku's stock in tandem's books.
    pub(crate) fn name_of(&self, sku: &str, pool: &str) -> String {
        match (self, self.key_and_field(sku, pool)) {
            (_, (key, None)) => key,
            (StockPlace::Hashes { .. }, (key, Some(field))) => format!("{key}{BETWEEN}{field}"),
            (_, (_, Some(field))) => field,
        }
    }

    /// The pool of items that name none; nothing where there are no pools.
    pub(crate) fn default_pool(&self) -> Option<&str> {
        match self {
            StockPlace::Keys(pattern) | StockPlace::Hash { field: pattern, .. } => {
                pattern.default_pool()
            }
            StockPlace::Hashes { key, field, .. } => {
                key.default_pool().or_else(|| field.default_pool())
            }
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
                // A sku may have the separator in it; what has no sku has it as often as its pattern, as no pool has.
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

    /// How many places for a pool it has.
    pub(crate) fn pools(&self) -> usize {
        match self {
            StockPlace::Keys(pattern) | StockPlace::Hash { field: pattern, .. } => pattern.pools(),
            StockPlace::Hashes { key, field, .. } => key.pools() + field.pools(),
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

/// A text with places for a sku and for a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Sku,
    /// With the pool of items that name none.
    Pool(String),
}

impl Pattern {
    /// Reads `{sku}`, and `{pool}` too where a default pool is given.
    pub(crate) fn parse(text: &str, default_pool: Option<&str>) -> Pattern {
        let mut pieces = Vec::new();
        for (at, part) in text.split(SKU).enumerate() {
            if at > 0 {
                pieces.push(Piece::Sku);
            }
            let Some(default) = default_pool else {
                pieces.push(Piece::Text(part.to_owned()));
                continue;
            };
            for (at, text) in part.split(POOL).enumerate() {
                if at > 0 {
                    pieces.push(Piece::Pool(default.to_owned()));
                }
                pieces.push(Piece::Text(text.to_owned()));
            }
        }
        Pattern(pieces)
    }

    /// How many places for a sku it has.
    pub(crate) fn skus(&self) -> usize {
        self.0.iter().filter(|piece| **piece == Piece::Sku).count()
    }

    /// How many places for a pool it has.
    pub(crate) fn pools(&self) -> usize {
        let is_pool = |piece: &&Piece| matches!(piece, Piece::Pool(_));
        self.0.iter().filter(is_pool).count()
    }

    fn default_pool(&self) -> Option<&str> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Pool(default) => Some(default.as_str()),
            Piece::Text(_) | Piece::Sku => None,
        })
    }

    fn has_sku(&self) -> bool {
        self.skus() > 0
    }

    fn separators(&self) -> usize {
        let count = |piece: &Piece| match piece {
            Piece::Text(text) => text.matches(BETWEEN).count(),
            Piece::Sku | Piece::Pool(_) => 0,
        };
        self.0.iter().map(count).sum()
    }

    fn of(&self, sku: &str, pool: &str) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Sku => sku,
            Piece::Pool(default) if pool.is_empty() => default,
            Piece::Pool(_) => pool,
        });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_is_found_again_by_its_name_whatever_its_sku_is() {
        let hashes = |key, field| StockPlace::Hashes {
            key: Pattern::parse(key, Some("main")),
            field: Pattern::parse(field, Some("main")),
            counts: true,
        };
        for place in [
            hashes("product:{sku}", "stock"),
            hashes("#a:{sku}#", "in#stock"),
            hashes("#{sku}", "#in-{pool}"),
            hashes("#{pool}#", "{sku}#units"),
        ] {
            for sku in ["tea", "green#tea", "#", "", "in#stock", "x#in#stock"] {
                for pool in ["", "paris"] {
                    let (key, field) = place.key_and_field(sku, pool);
                    let name = place.name_of(sku, pool);
                    let found = Location::Field {
                        hash: &key,
                        field: field.as_deref().unwrap_or_default(),
                    };
                    assert_eq!(place.locate(&name), found, "{sku:?} {pool}");
                }
            }
        }
        let name = hashes("product:{sku}", "stock").name_of("tea", "");
        assert_eq!(name, "product:tea#stock");
        let pooled = Pattern::parse("stock:{pool}:{sku}", Some("main"));
        assert_eq!(pooled.of("tea", ""), "stock:main:tea");
        assert_eq!(pooled.of("tea", "paris"), "stock:paris:tea");
        let tagged = Pattern::parse("{pool}stock:{sku}", None);
        assert_eq!(tagged.of("tea", ""), "{pool}stock:tea");
    }
}
