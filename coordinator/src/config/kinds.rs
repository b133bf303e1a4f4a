//! What the participants keep between them: a purchase is a record and units.

use std::fmt;

use super::ParticipantSettings;

/// What no participant keeps, though every purchase has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum Missing {
    /// No units are held or deducted anywhere.
    #[serde(rename = "NO_STOCK_PARTICIPANT")]
    Stock,
    /// No rows are written anywhere.
    #[serde(rename = "NO_RECORD_PARTICIPANT")]
    Record,
}

impl Missing {
    /// The name by which a configuration accepts it.
    pub fn as_str(self) -> &'static str {
        match self {
            Missing::Stock => "NO_STOCK_PARTICIPANT",
            Missing::Record => "NO_RECORD_PARTICIPANT",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Missing::Stock => {
                "no participant keeps the stock, so that purchases would be committed and no unit \
                 deducted: add one such as [participants.stock.redis]"
            }
            Missing::Record => {
                "no participant keeps a record, so that purchases would be committed and no row \
                 written: add one such as [participants.purchases.mysql]"
            }
        }
    }
}

/// What is wrong, what to add, and how it is accepted.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; or accept that with accept = [\"{}\"] in [coordinator]",
            self.what(),
            self.as_str()
        )
    }
}

/// The kind of a participant, as its settings or its own description name it; `None` while it is not
/// known.
pub type Kind<'a> = Option<&'a str>;

/// What participants of these kinds do not keep. One whose kind is another than tandem's own may keep
/// anything.
pub fn missing<'a>(kinds: impl IntoIterator<Item = Kind<'a>>) -> Option<Missing> {
    let (mut stock, mut record) = (false, false);
    for kind in kinds {
        match kind {
            Some("redis") => stock = true,
            Some("mysql") => record = true,
            _ => (stock, record) = (true, true),
        }
    }
    match (stock, record) {
        (true, true) => None,
        (false, _) => Some(Missing::Stock),
        (_, false) => Some(Missing::Record),
    }
}

impl ParticipantSettings {
    /// Its kind, as far as the configuration says: a sidecar is asked.
    pub fn kind(&self) -> Kind<'static> {
        match self {
            ParticipantSettings::Mysql(_) => Some("mysql"),
            ParticipantSettings::Redis(_) => Some("redis"),
            ParticipantSettings::Sidecar(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_may_keep_anything() {
        assert_eq!(missing([Some("mysql"), Some("redis")]), None);
        assert_eq!(
            missing([Some("mysql"), Some("mysql")]),
            Some(Missing::Stock)
        );
        assert_eq!(missing([Some("redis")]), Some(Missing::Record));
        for other in [None, Some("ledger")] {
            assert_eq!(missing([Some("redis"), other]), None);
        }
    }
}
