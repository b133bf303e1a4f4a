//! What the log says was deducted in all, against everything that was ever decided.

use std::collections::BTreeMap;

use tandem_protocol::{Coordinator, Decision, ParticipantName};

use crate::invariants::{Checked, check};

/// Every decision is carried out once nothing is left to do, and the totals say so, whatever the log
/// has forgotten of it. `is_exact`: no person has said how any branch ended.
pub(crate) fn invariant_totals_are_what_was_decided<'a>(
    decided: impl Iterator<Item = &'a Decision>,
    core: &Coordinator,
    store: &ParticipantName,
    is_exact: bool,
) -> Checked {
    let mut units: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in decided.flat_map(|decision| &decision.entries) {
        for item in entry.purchase.tracked() {
            *units.entry(&item.sku).or_default() += u64::from(item.quantity);
        }
    }
    let page = core.deductions(store, 0);
    let skus: Vec<&str> = page.skus.iter().map(|due| due.sku.as_str()).collect();
    let is_missing = units.keys().any(|sku| !skus.contains(sku));
    let wrong = page.skus.iter().find(|due| {
        let sold = units.get(due.sku.as_str()).copied().unwrap_or_default();
        let is_wide = due.at_least != due.at_most;
        !(due.at_least..=due.at_most).contains(&sold) || is_exact && is_wide
    });
    check(
        "invariant_totals_are_what_was_decided",
        wrong.is_none() && !is_missing && page.next.is_none(),
        format!("{store} was to deduct {units:?}, and the log says {page:?}"),
    )
}
