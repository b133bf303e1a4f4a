//! Why a call is not answered.

use tandem_protocol::HeuristicKind;

use crate::call::Finding;

/// Why a participant's call did not give an answer.
///
/// `ErrorInfo.reason` on the wire is the variant's name in UPPER_SNAKE, that of a heuristic end its kind's.
#[derive(Debug, Clone, thiserror::Error, strum::EnumDiscriminants)]
#[strum_discriminants(
    name(ErrorKind),
    vis(pub),
    doc = "Which of them it is.",
    derive(strum::AsRefStr, strum::EnumString, strum::VariantArray),
    strum(serialize_all = "SCREAMING_SNAKE_CASE")
)]
pub enum Error {
    /// The store can't be reached or did not answer in time. What was asked may have taken
    /// effect; asking again is safe.
    #[error("{detail}")]
    #[strum_discriminants(strum(serialize = "STORE_UNAVAILABLE"))]
    Unavailable {
        /// What was tried and what came back.
        detail: String,
    },
    /// The store is healthy but can't do it now (a lock, a backup); asking again later is safe.
    #[error("{detail}")]
    Busy {
        /// What stands in the way.
        detail: String,
    },
    /// Only a person can end this branch now.
    #[error("{detail}")]
    Stuck {
        /// Why, and what to do.
        detail: String,
    },
    /// The branch was ended against the decision.
    #[error("{kind}: {detail}")]
    Heuristic {
        /// How it ended.
        kind: HeuristicKind,
        /// The evidence.
        detail: String,
    },
    /// The store knows a newer epoch or another log of this coordinator: the caller is stale and
    /// must stop.
    #[error("{detail}")]
    Fenced {
        /// What is known, and what to do.
        detail: String,
    },
    /// The store does not know the coordinator, or not any more: it was flushed, restored, or its
    /// memory was deleted. Nothing was done; enlist again.
    #[error("{detail}")]
    NotEnlisted {
        /// What is missing.
        detail: String,
    },
    /// The store's settings would lose decided purchases.
    #[error("unsafe settings, refused: {}", list(.findings))]
    Unsafe {
        /// All findings, the accepted ones included.
        findings: Vec<Finding>,
    },
    /// The request or the configuration is wrong; asking again does not help.
    #[error("{detail}")]
    Invalid {
        /// What is wrong.
        detail: String,
    },
}

fn list(findings: &[Finding]) -> String {
    let refused: Vec<String> = findings
        .iter()
        .filter(|finding| !finding.accepted)
        .map(|finding| format!("{} ({})", finding.name, finding.detail))
        .collect();
    refused.join("; ")
}
