//! What the participants keep between them: a purchase is a record and units.

use std::fmt;

use super::ParticipantSettings;
use crate::store_kind::StoreKind;

/// What no participant keeps, though every purchase has it. A configuration accepts it by its name in
/// UPPER_SNAKE.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, strum::AsRefStr, strum::VariantArray,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Missing {
    /// No units are held or deducted anywhere.
    NoStockParticipant,
    /// No rows are written anywhere.
    NoRecordParticipant,
}

impl Missing {
    fn what(self) -> &'static str {
        match self {
            Missing::NoStockParticipant => {
                "no participant keeps the stock, so that purchases would be committed and no unit \
                 deducted: add one such as [participants.stock.redis]"
            }
            Missing::NoRecordParticipant => {
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
            self.as_ref()
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
        (false, _) => Some(Missing::NoStockParticipant),
        (_, false) => Some(Missing::NoRecordParticipant),
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
    use strum::VariantArray;

    use super::*;
    use crate::manual;

    #[test]
    fn what_is_not_known_may_keep_anything() {
        let (mysql, redis) = (Some(StoreKind::Mysql), Some(StoreKind::Redis));
        assert_eq!(missing([mysql, redis]), None);
        assert_eq!(missing([mysql, mysql]), Some(Missing::NoStockParticipant));
        assert_eq!(missing([redis]), Some(Missing::NoRecordParticipant));
        for other in [None, Some(StoreKind::of_name("ledger"))] {
            assert_eq!(missing([redis, other]), None);
        }
    }

    #[test]
    fn manual_names_all_that_can_be_missing() {
        let findings = manual::section("Findings");
        for missing in Missing::VARIANTS {
            assert!(findings.contains(missing.as_ref()), "{missing:?}");
        }
    }
}
