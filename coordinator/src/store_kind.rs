//! What kind of store a participant has.

/// The kinds that are tandem's own. Their names, in the configuration and where a participant describes
/// itself, are the variants' in lower case; one of another make has another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum StoreKind {
    /// MySQL or MariaDB, which keeps a record.
    Mysql,
    /// Redis or Valkey, which keeps the stock.
    Redis,
    /// One that this version does not know.
    #[strum(disabled)]
    Other,
}

impl StoreKind {
    /// The kind that a participant says to be of.
    pub fn of_name(name: &str) -> StoreKind {
        name.parse().unwrap_or(StoreKind::Other)
    }
}
