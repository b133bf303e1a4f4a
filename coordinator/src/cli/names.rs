//! Names of the wire's enums: a short word for a person, the proto's own name for JSON.

use tandem_proto::v1::{
    BranchProgress, BranchState, LinkState, PurchaseState, RepairState, Settlement,
    TransactionState,
};

/// The name of an enum's number on the wire.
pub(crate) trait WireEnum: TryFrom<i32> {
    /// What every name of the enum begins with.
    const PREFIX: &'static str;

    /// The proto's name.
    fn wire_name(&self) -> &'static str;
}

/// The proto's name of a number; `9` for one that this version does not know.
pub(crate) fn full<E: WireEnum>(number: i32) -> String {
    match E::try_from(number) {
        Ok(value) => value.wire_name().to_owned(),
        Err(_) => number.to_string(),
    }
}

/// The name in a person's words: `rolled-back`.
pub(crate) fn word<E: WireEnum>(number: i32) -> String {
    match E::try_from(number) {
        Ok(value) => {
            let name = value.wire_name();
            let name = name.strip_prefix(E::PREFIX).unwrap_or(name);
            name.to_lowercase().replace('_', "-")
        }
        Err(_) => format!("unknown ({number})"),
    }
}

macro_rules! wire_enums {
    ($($name:ty: $prefix:literal),* $(,)?) => {$(
        impl WireEnum for $name {
            const PREFIX: &'static str = $prefix;

            fn wire_name(&self) -> &'static str {
                self.as_str_name()
            }
        }
    )*};
}

wire_enums! {
    TransactionState: "TRANSACTION_STATE_",
    BranchProgress: "BRANCH_PROGRESS_",
    BranchState: "BRANCH_STATE_",
    LinkState: "LINK_STATE_",
    PurchaseState: "PURCHASE_STATE_",
    RepairState: "REPAIR_STATE_",
    Settlement: "SETTLEMENT_",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_have_a_word_and_a_name() {
        let number = BranchState::RolledBack as i32;
        assert_eq!(word::<BranchState>(number), "rolled-back");
        assert_eq!(full::<BranchState>(number), "BRANCH_STATE_ROLLED_BACK");
        assert_eq!(word::<LinkState>(99), "unknown (99)");
    }
}
