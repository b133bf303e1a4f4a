//! What `tandem doctor` finds, prints and mends, and the least rights that it prints.
//!
//! A sample of what is planted is tried in each run; with `TANDEM_DOCTOR=all` all of it (`tests/doctor`).

mod patient;
pub(crate) mod planted;
pub(crate) mod rights;

use tandem_tests::PairName;

/// One of each kind of store.
const STORES: &[PairName] = &[PairName::Installed, PairName::MysqlValkey];

/// Whether all is to be tried, or one in so many.
fn is_tried(number: usize, one_in: usize) -> bool {
    let all = std::env::var_os("TANDEM_DOCTOR").is_some_and(|value| value == "all");
    all || number.is_multiple_of(one_in)
}
