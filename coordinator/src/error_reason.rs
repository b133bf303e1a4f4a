//! Every `ErrorInfo.reason` of the coordinator's answers: its code, and what a person does next.

use strum::VariantArray;
use tandem_protocol::Reason;
use tonic::Code;

/// Why a call was not answered as asked. The names on the wire are the variants' in UPPER_SNAKE; those of a
/// store's refusal are [`Reason`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ErrorReason {
    /// The purchase's id is known with another content.
    PurchaseIdReused,
    /// The purchase is neither in flight nor in the log.
    PurchaseNotFound,
    /// A participant was not there before the decision.
    ParticipantUnavailable,
    /// No purchase is accepted any more.
    ShuttingDown,
    /// The process ended before the outcome was known.
    #[strum(serialize = "OUTCOME_UNKNOWN")]
    StoppedBefore,
    /// Too many calls wait for the outcome already.
    #[strum(serialize = "OUTCOME_UNKNOWN")]
    Crowded,
    /// The deadline passed before the decision.
    #[strum(serialize = "OUTCOME_UNKNOWN")]
    NotDecided,
    /// The deadline passed after the decision.
    OutcomeCommitted,
    /// What the log holds was not read back in time.
    LogNotRead,
    /// As many purchases wait as may.
    QueueFull,
    /// Nothing tells who calls, or what tells it is not known.
    CallerUnknown,
    /// Who calls may not call this.
    RoleMissing,
    /// The message can't be read.
    MalformedMessage,
    /// The message is longer than it may be.
    MessageTooLong,
    /// The method is not of this version, or not of this listener.
    UnknownMethod,
    /// The message is compressed.
    Compressed,
    /// The transaction is neither unfinished nor in the log.
    TransactionNotFound,
    /// The participant has no part in the transaction.
    BranchNotFound,
    /// The transaction is not decided yet.
    Undecided,
    /// The transaction has no decision that could be redone.
    NoDecision,
    /// The branch was not ended against the decision.
    NotDamaged,
    /// The branch is being ended, or redone, already.
    UnderWay,
    /// The decision can't be read back from the log.
    DecisionMissing,
    /// The branch has ended.
    AlreadyEnded,
    /// The store could not redo the branch.
    RepairFailed,
    /// What a person says of the branch contradicts the decision.
    ContradictsDecision,
    /// The store says that the branch is prepared, so that it has not ended.
    StillPrepared,
    /// No participant keeps stock.
    NoStockKeeper,
    /// A store that may know the answer could not be asked.
    StoreUnavailable,
}

/// What a reason says to a program and to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// The status that it comes with.
    pub(crate) code: Code,
    /// Whether the outcome is not final yet.
    pub(crate) is_open: bool,
    /// What a person does next, where the message does not say it itself.
    pub(crate) next_step: Option<&'static str>,
}

impl Meaning {
    /// What the reason of this name means; `None` for one that this version does not know.
    pub(crate) fn of_name(name: &str) -> Option<Meaning> {
        if let Ok(refusal) = name.parse() {
            return Some(Meaning::of_refusal(refusal));
        }
        // Those that share a name are to be treated alike, but for the code.
        let mut all = ErrorReason::VARIANTS.iter();
        all.find(|reason| reason.as_ref() == name)
            .map(|reason| reason.meaning())
    }

    /// What a store's refusal of a purchase means.
    pub(crate) fn of_refusal(refusal: Reason) -> Meaning {
        match refusal {
            Reason::InsufficientStock
            | Reason::UnknownSku
            | Reason::NotANumber
            | Reason::ConstraintViolated => Meaning::settled(
                Code::FailedPrecondition,
                "Nothing of it was kept in either store. This is final for the purchase id: mend the cause \
                 and submit under a new --id.",
            ),
            Reason::DuplicatePurchase => Meaning::settled(
                Code::FailedPrecondition,
                "The store already holds a purchase with this key. Nothing was written by this one.",
            ),
            Reason::Misconfigured => Meaning::settled(
                Code::FailedPrecondition,
                "Nothing of it was kept in either store. `tandem participants` tells what is wrong: mend \
                 it and submit it again with the same --id.",
            ),
            Reason::NoSuchRow | Reason::TooManyRows => Meaning::settled(
                Code::FailedPrecondition,
                "Nothing of it was kept in either store. Put right the row that the statement looks for, \
                 and submit it again with the same --id.",
            ),
            Reason::Locked => Meaning::settled(Code::Aborted, SUBMIT_AGAIN),
        }
    }

    fn settled(code: Code, next_step: &'static str) -> Meaning {
        Meaning {
            next_step: Some(next_step),
            ..Meaning::told(code)
        }
    }

    fn open(code: Code, next_step: &'static str) -> Meaning {
        Meaning {
            is_open: true,
            ..Meaning::settled(code, next_step)
        }
    }

    /// Of what the message says all of.
    fn told(code: Code) -> Meaning {
        Meaning {
            code,
            is_open: false,
            next_step: None,
        }
    }
}

const SUBMIT_AGAIN: &str = "Nothing was written. Submit it again with the same --id.";

const ASK_AGAIN: &str = "What became of it is not known yet. Submit it again with the same --id, or ask with \
                         `tandem purchase get`.";

impl ErrorReason {
    /// What it means.
    pub(crate) fn meaning(self) -> Meaning {
        match self {
            ErrorReason::PurchaseIdReused => Meaning::settled(
                Code::AlreadyExists,
                "The id belongs to a purchase with another content. Nothing was written; choose a new --id.",
            ),
            ErrorReason::ParticipantUnavailable | ErrorReason::ShuttingDown => {
                Meaning::settled(Code::Unavailable, SUBMIT_AGAIN)
            }
            ErrorReason::QueueFull => Meaning::settled(Code::ResourceExhausted, SUBMIT_AGAIN),
            ErrorReason::StoppedBefore => Meaning::open(Code::Unavailable, ASK_AGAIN),
            ErrorReason::Crowded => Meaning::open(Code::ResourceExhausted, ASK_AGAIN),
            ErrorReason::NotDecided => Meaning::open(Code::DeadlineExceeded, ASK_AGAIN),
            ErrorReason::OutcomeCommitted => Meaning::open(
                Code::DeadlineExceeded,
                "It is committed and not applied everywhere yet. `tandem purchase get ID` tells when it is, \
                 and whether that takes an operator.",
            ),
            ErrorReason::StoreUnavailable => Meaning::settled(
                Code::Unavailable,
                "Nothing was changed. `tandem participants` tells what is wrong; ask again.",
            ),
            ErrorReason::LogNotRead => {
                Meaning::settled(Code::Unavailable, "Nothing was changed. Ask again.")
            }
            ErrorReason::CallerUnknown => Meaning::told(Code::Unauthenticated),
            ErrorReason::RoleMissing => Meaning::told(Code::PermissionDenied),
            ErrorReason::MalformedMessage | ErrorReason::MessageTooLong => {
                Meaning::told(Code::InvalidArgument)
            }
            ErrorReason::UnknownMethod | ErrorReason::Compressed => {
                Meaning::told(Code::Unimplemented)
            }
            ErrorReason::PurchaseNotFound
            | ErrorReason::TransactionNotFound
            | ErrorReason::BranchNotFound
            | ErrorReason::NoStockKeeper => Meaning::told(Code::NotFound),
            ErrorReason::Undecided
            | ErrorReason::NoDecision
            | ErrorReason::NotDamaged
            | ErrorReason::UnderWay
            | ErrorReason::DecisionMissing
            | ErrorReason::AlreadyEnded
            | ErrorReason::RepairFailed
            | ErrorReason::ContradictsDecision
            | ErrorReason::StillPrepared => Meaning::told(Code::FailedPrecondition),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{cli, manual};

    /// Each of both lists: its name, and what it means.
    fn all() -> impl Iterator<Item = (&'static str, Meaning)> {
        let refusals = Reason::VARIANTS.iter();
        let refusals = refusals.map(|one| (one.as_ref(), Meaning::of_refusal(*one)));
        let others = ErrorReason::VARIANTS.iter();
        refusals.chain(others.map(|one| (one.as_ref(), one.meaning())))
    }

    #[test]
    fn every_name_is_known_to_who_reads_it() {
        for (name, meaning) in all() {
            let read = Meaning::of_name(name).expect("a name of the list");
            let same = (meaning.is_open, meaning.next_step);
            assert_eq!((read.is_open, read.next_step), same, "{name}");
        }
        assert_eq!(Meaning::of_name("ANOTHER"), None);
    }

    /// The manual has each with its code, and nothing that is never answered.
    #[test]
    fn manual_lists_every_reason_with_its_code() {
        let answered: BTreeSet<_> = all()
            .map(|(name, meaning)| (cli::code_name(meaning.code).to_owned(), name.to_owned()))
            .collect();
        let mut listed = BTreeSet::new();
        let client = manual::rows("What a client is told");
        for row in client
            .iter()
            .chain(&manual::rows("What an operator is told"))
        {
            for reason in manual::names(&row[1]) {
                listed.insert((manual::names(&row[0]).concat(), reason));
            }
        }
        assert_eq!(listed, answered);
    }

    #[test]
    fn proto_names_every_reason_of_a_purchase() {
        let proto = include_str!("../../proto/tandem/v1/purchase.proto");
        for refusal in Reason::VARIANTS {
            assert!(proto.contains(refusal.as_ref()), "{refusal}");
        }
    }
}
