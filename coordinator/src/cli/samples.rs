//! Messages that several tests render.

use prost_types::Timestamp;
use tandem_proto::v1::{BranchProgress, BranchSummary, TransactionState, TransactionSummary};

/// 2026-03-01T12:00:00Z
pub(super) const NOW: Timestamp = Timestamp {
    seconds: 1_772_366_400,
    nanos: 0,
};

pub(super) fn now() -> jiff::Timestamp {
    super::time::moment(Some(&NOW)).expect("in range")
}

/// `seconds` after [`NOW`].
pub(super) fn after(seconds: i64) -> Timestamp {
    Timestamp {
        seconds: NOW.seconds + seconds,
        nanos: 0,
    }
}

/// Decided commit, carried out at `purchases`, not acknowledged by `stock`.
pub(super) fn committing() -> TransactionSummary {
    TransactionSummary {
        transaction_id: "shop.3.1042".into(),
        state: TransactionState::Committing as i32,
        purchases: 2,
        begin_time: Some(after(-192)),
        decide_time: Some(after(-191)),
        branches: vec![
            BranchSummary {
                participant: "purchases".into(),
                progress: BranchProgress::Ended as i32,
                ..BranchSummary::default()
            },
            BranchSummary {
                participant: "stock".into(),
                progress: BranchProgress::Ending as i32,
                detail: "connection refused".into(),
                attempts: 7,
                retry_time: Some(after(4)),
            },
        ],
    }
}
