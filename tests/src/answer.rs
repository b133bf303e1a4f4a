//! What a client was told, sorted by what it promises.

use tandem_proto::v1;
use tandem_protocol::Reason;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// One answer to one submission; `purchase.proto` says what each promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is in both stores, or will be.
    Committed {
        /// By which transaction.
        transaction: String,
    },
    /// A store refused it, for good.
    Refused {
        /// `ErrorInfo.reason`.
        reason: String,
    },
    /// Nothing was written and nothing will be, unless it is submitted again.
    NotMade {
        /// `ErrorInfo.reason`, or the code where there is none.
        reason: String,
    },
    /// Nothing is promised.
    Unknown {
        /// What came instead of an answer.
        what: String,
    },
}

/// A purchase that was submitted, and all that came back, in order.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The purchase.
    pub purchase: v1::SubmitPurchaseRequest,
    /// The answers.
    pub answers: Vec<Answer>,
}

impl Answer {
    /// Sorts what a call came back with.
    pub fn of(result: &Result<v1::Purchase, Status>) -> Answer {
        match result {
            Ok(purchase) => Answer::Committed {
                transaction: purchase.transaction_id.clone(),
            },
            Err(status) => Answer::of_status(status),
        }
    }

    fn of_status(status: &Status) -> Answer {
        let info = status.get_details_error_info();
        let reason = info.as_ref().map(|info| info.reason.clone());
        let what = || format!("{:?}: {}", status.code(), status.message());
        match (status.code(), reason) {
            (Code::FailedPrecondition, Some(reason)) if may_be_tried_again(&reason) => {
                Answer::NotMade { reason }
            }
            (Code::FailedPrecondition, Some(reason)) => Answer::Refused { reason },
            (Code::DeadlineExceeded, Some(reason)) if reason == "OUTCOME_COMMITTED" => {
                let metadata = info.map(|info| info.metadata).unwrap_or_default();
                Answer::Committed {
                    transaction: metadata.get("transaction_id").cloned().unwrap_or_default(),
                }
            }
            (_, Some(reason)) if reason == "OUTCOME_UNKNOWN" => Answer::Unknown { what: what() },
            (
                Code::Aborted | Code::Unavailable | Code::ResourceExhausted | Code::AlreadyExists,
                Some(reason),
            ) => Answer::NotMade { reason },
            (Code::InvalidArgument, _) => Answer::NotMade {
                reason: "INVALID_ARGUMENT".to_owned(),
            },
            // Without an ErrorInfo it is the transport that speaks, not the coordinator.
            (_, _) => Answer::Unknown { what: what() },
        }
    }

    /// Whether the same id may be tried again once somebody has put a row right, or what is asked for; where nobody
    /// does that, it is as good as final.
    pub(crate) fn is_about_rows(&self) -> bool {
        const REASONS: [&str; 3] = ["NO_SUCH_ROW", "TOO_MANY_ROWS", "INVALID_ARGUMENT"];
        matches!(self, Answer::NotMade { reason } if REASONS.contains(&reason.as_str()))
    }

    /// Whether asking again could bring another answer.
    pub fn is_final(&self) -> bool {
        matches!(self, Answer::Committed { .. } | Answer::Refused { .. })
    }
}

/// Whether the same purchase may be tried again after this refusal.
fn may_be_tried_again(refusal: &str) -> bool {
    refusal.parse().is_ok_and(|reason: Reason| match reason {
        Reason::Locked | Reason::Misconfigured | Reason::NoSuchRow | Reason::TooManyRows => true,
        Reason::InsufficientStock
        | Reason::UnknownSku
        | Reason::NotANumber
        | Reason::DuplicatePurchase
        | Reason::ConstraintViolated => false,
    })
}
