//! What the participants keep between them: a purchase is a record and units.

use std::fmt;

use super::ParticipantSettings;
use crate::store_kind::StoreKind;

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

/// What participants of these kinds do not keep. One whose kind is another than tandem's own, or not known
/// yet, may keep anything.
pub fn missing(kinds: impl IntoIterator<Item = Option<StoreKind>>) -> Option<Missing> {
    let (mut stock, mut record) = (false, false);
    for kind in kinds {
        match kind {
            Some(StoreKind::Redis) => stock = true,
            Some(StoreKind::Mysql) => record = true,
            Some(StoreKind::Other) | None => (stock, record) = (true, true),
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
    pub fn kind(&self) -> Option<StoreKind> {
        match self {
            ParticipantSettings::Mysql(_) => Some(StoreKind::Mysql),
            ParticipantSettings::Redis(_) => Some(StoreKind::Redis),
            ParticipantSettings::Sidecar(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_may_keep_anything() {
        let (mysql, redis) = (Some(StoreKind::Mysql), Some(StoreKind::Redis));
        assert_eq!(missing([mysql, redis]), None);
        assert_eq!(missing([mysql, mysql]), Some(Missing::Stock));
        assert_eq!(missing([redis]), Some(Missing::Record));
        for other in [None, Some(StoreKind::of_name("ledger"))] {
            assert_eq!(missing([redis, other]), None);
        }
    }
}
