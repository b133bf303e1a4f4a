//! Messages and records that several tests render.

use std::sync::Arc;

use prost_types::Timestamp;
use tandem_proto::v1::{BranchProgress, BranchSummary, TransactionState, TransactionSummary};
use tandem_protocol::{Decision, Entry, Item, Purchase, Reason, Refusal, RefusedPurchase};

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
                ..BranchSummary::default()
            },
        ],
    }
}

/// Two purchases that commit and one that was refused.
pub(super) fn decision() -> Decision {
    Decision {
        transaction: "shop.1.3".parse().expect("well formed"),
        begin_time: tandem_protocol::Timestamp(1_772_366_399_950),
        decide_time: tandem_protocol::Timestamp(1_772_366_400_000),
        participants: ["purchases", "stock"]
            .map(|name| name.parse().expect("well formed"))
            .to_vec(),
        entries: vec![entry(0, "p-7", "lamp", 2), entry(1, "p-8", "chair", 1)],
        refused: vec![refused()],
        counts: true,
    }
}

fn entry(number: u32, purchase_id: &str, sku: &str, quantity: u32) -> Entry {
    Entry {
        number,
        purchase: Arc::new(Purchase {
            purchase_id: purchase_id.into(),
            customer_id: "c-1".into(),
            currency: "EUR".into(),
            items: vec![Item {
                sku: sku.into(),
                quantity,
                unit_price_minor: 1999,
                ..Default::default()
            }],
            ..Default::default()
        }),
    }
}

/// A purchase that the stock's keeper refused.
pub(super) fn refused() -> RefusedPurchase {
    RefusedPurchase {
        purchase_id: "p-9".into(),
        fingerprint: [0; 16],
        participant: "stock".parse().expect("well formed"),
        refusal: Refusal {
            reason: Reason::InsufficientStock,
            detail: "lamp: 1 available, 2 wanted".into(),
        },
    }
}
