//! Why the coordinator did not answer a call as it was asked.

use strum::VariantArray;

use super::{Entry, Group, Text};
use crate::error_reason::ErrorReason;

pub(super) fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for reason in ErrorReason::VARIANTS {
        // Those that share a name share what is said of it.
        if entries.iter().all(|entry| entry.code != reason.as_ref()) {
            entries.push(Entry::new(Group::Answer, reason.as_ref(), text(*reason)));
        }
    }
    entries
}

fn text(reason: ErrorReason) -> Text {
    match reason {
        ErrorReason::PurchaseIdReused => PURCHASE_ID_REUSED,
        ErrorReason::PurchaseNotFound => PURCHASE_NOT_FOUND,
        ErrorReason::ParticipantUnavailable => PARTICIPANT_UNAVAILABLE,
        ErrorReason::ShuttingDown => SHUTTING_DOWN,
        ErrorReason::StoppedBefore | ErrorReason::Crowded | ErrorReason::NotDecided => {
            OUTCOME_UNKNOWN
        }
        ErrorReason::OutcomeCommitted => OUTCOME_COMMITTED,
        ErrorReason::LogNotRead => LOG_NOT_READ,
        ErrorReason::QueueFull => QUEUE_FULL,
        ErrorReason::CallerUnknown => CALLER_UNKNOWN,
        ErrorReason::RoleMissing => ROLE_MISSING,
        ErrorReason::MalformedMessage => MALFORMED_MESSAGE,
        ErrorReason::MessageTooLong => MESSAGE_TOO_LONG,
        ErrorReason::UnknownMethod => UNKNOWN_METHOD,
        ErrorReason::Compressed => COMPRESSED,
        ErrorReason::TransactionNotFound => TRANSACTION_NOT_FOUND,
        ErrorReason::BranchNotFound => BRANCH_NOT_FOUND,
        ErrorReason::Undecided => UNDECIDED,
        ErrorReason::NoDecision => NO_DECISION,
        ErrorReason::NotDamaged => NOT_DAMAGED,
        ErrorReason::UnderWay => UNDER_WAY,
        ErrorReason::DecisionMissing => DECISION_MISSING,
        ErrorReason::AlreadyEnded => ALREADY_ENDED,
        ErrorReason::RepairFailed => REPAIR_FAILED,
        ErrorReason::ContradictsDecision => CONTRADICTS_DECISION,
        ErrorReason::StillPrepared => STILL_PREPARED,
        ErrorReason::NoStockKeeper => NO_STOCK_KEEPER,
        ErrorReason::StoreUnavailable => STORE_UNAVAILABLE,
    }
}

const CALLER_UNKNOWN: Text = Text {
    means: "nothing tells who calls, or the token is none that is known; nothing was done",
    cause: "The configuration has [access], and the call came with no certificate and no token, or with a token that \
            was exchanged or taken away.",
    act: "Give `tandem` --certificate-file and --key-file, or --token-file; give a client the same in its library. A \
          token that was put into tokens_file counts within two seconds.",
};

const ROLE_MISSING: Text = Text {
    means: "who calls is known, and may not call this; nothing was done",
    cause: "[access] or tokens_file gives him another role, or names him nowhere. The answer says who he is taken for, \
            and which role it takes.",
    act: "If he is to have it, add the name that the answer says to the list of that role in [access], and restart; or \
          give him a token with the role, which takes no restart.",
};

const PURCHASE_ID_REUSED: Text = Text {
    means: "this purchase id is known with another content; nothing was written",
    cause: "The client made one id for two purchases, or changed the purchase between two tries of the same id.",
    act: "`tandem purchase get ID` shows what the id stands for. Another purchase takes a new id; a repeated one has \
          to be the same.",
};

const PURCHASE_NOT_FOUND: Text = Text {
    means: "the purchase is neither in flight nor in the log",
    cause: "It was never committed, or so long ago that the log has forgotten it: remembers_since says how far back \
            the log goes.",
    act: "If it is younger than remembers_since, it was not made: submit it again with the same id. If it is older, look \
          for its row.",
};

const PARTICIPANT_UNAVAILABLE: Text = Text {
    means: "a store was not there before the decision; the purchase was not made and nothing is kept",
    cause: "A store is down, refuses tandem, is still asked what it remembers, or has findings that are neither mended \
            nor accepted.",
    act: "`tandem participants` says which store and why. Clients try again with the same id.",
};

const SHUTTING_DOWN: Text = Text {
    means: "the coordinator stops and takes no new purchases; this one was not made",
    cause: "It was told to end (SIGTERM, SIGHUP, SIGINT, SIGQUIT).",
    act: "Nothing; clients try again with the same id once it is back.",
};

const OUTCOME_UNKNOWN: Text = Text {
    means: "the outcome is not known yet, and may be either",
    cause: "The deadline passed before the decision, the coordinator stopped first, or 64 calls wait for this purchase \
            already.",
    act: "Ask again with the same id, by submitting it or by `tandem purchase get ID`; never take it for refused.",
};

const OUTCOME_COMMITTED: Text = Text {
    means: "the purchase is committed, and not applied in every store yet",
    cause: "A store does not answer, or answers slowly, since the decision.",
    act: "`tandem purchase get ID` tells when it is applied. Where it says needs_operator, `tandem tx show` of its \
          transaction says what to do.",
};

const LOG_NOT_READ: Text = Text {
    means: "what the purchase or transaction holds was not read back from the log in time; nothing was changed",
    cause: "The log's disk is slow, or many ask at once.",
    act: "Ask again. If it stays so, look at the disk that data_dir is on.",
};

const QUEUE_FULL: Text = Text {
    means: "as many purchases wait as may; this one was not accepted",
    cause: "More is bought than the stores or the log's disk can do, or one of them is slow.",
    act: "Clients try again later with the same id. `tandem participants` says how many wait, and which store they wait \
          for.",
};

const MALFORMED_MESSAGE: Text = Text {
    means: "the message can't be read; nothing was written",
    cause: "It is no protobuf of this service, or a text in it is not UTF-8; BadRequest names the field where it can be \
            told.",
    act: "Mend the client.",
};

const MESSAGE_TOO_LONG: Text = Text {
    means: "the message is longer than it may be; nothing was written",
    cause: "A client's message has more than 64 KiB.",
    act: "Mend the client: send less in one purchase.",
};

const UNKNOWN_METHOD: Text = Text {
    means: "there is no such call here; nothing was done",
    cause: "It is the other listener's (`--server` is the clients', `--admin` the operators'), or of another version.",
    act: "Ask at the right listener, with a client of the coordinator's version.",
};

const COMPRESSED: Text = Text {
    means: "compressed messages are not taken; nothing was done",
    cause: "The client has compression turned on.",
    act: "Turn it off for this channel.",
};

const TRANSACTION_NOT_FOUND: Text = Text {
    means: "the transaction is neither unfinished nor in the log",
    cause: "It is another coordinator's, it was aborted, or it ended so long ago that the log has forgotten it.",
    act: "`tandem tx show ID` says what each store has of it. The id is COORDINATOR.EPOCH.SEQUENCE.",
};

const BRANCH_NOT_FOUND: Text = Text {
    means: "this participant has no part in the transaction",
    cause: "The name is not one of the transaction's participants.",
    act: "`tandem tx show ID` lists them.",
};

const UNDECIDED: Text = Text {
    means: "the transaction is not decided yet, so that nothing can be settled or redone",
    cause: "Its votes are still coming in, or its decision is on its way to the disk.",
    act: "Wait: it is decided by its prepare deadline. If it is not, look at the disk that data_dir is on.",
};

const NO_DECISION: Text = Text {
    means: "the transaction was aborted: there is no decision that could be redone",
    cause: "`tandem tx repair` was asked for what somebody committed by hand against an abort (HEURISTIC_COMMIT).",
    act: "Take back at the store what `tandem tx show ID` prints, then `tandem tx settle ID --participant NAME --as \
          rolled-back --reason TEXT`.",
};

const NOT_DAMAGED: Text = Text {
    means: "no store has ended its branch against the decision, as far as is known",
    cause: "`tandem tx repair` without a participant takes those only.",
    act: "If you know that a store does not hold it all the same, name it: `tandem tx repair ID --participant NAME \
          --reason TEXT`.",
};

const UNDER_WAY: Text = Text {
    means: "the branch is being ended, or redone, already",
    cause: "A commit, a roll back or a repair of it is waiting for its store.",
    act: "Wait; `tandem tx show ID` says what for. `tandem tx retry ID` asks now.",
};

const DECISION_MISSING: Text = Text {
    means: "the log does not give the decision's content back",
    cause: "The record could not be read: the disk failed, or the log's files were changed.",
    act: "Don't start on another copy. Stop the coordinator, look with `tandem log inspect DIR --records`, and look at \
          the disk.",
};

const ALREADY_ENDED: Text = Text {
    means: "the branch has ended, so that there is nothing to settle",
    cause: "Its store acknowledged it, or somebody settled it before.",
    act: "Nothing. If its store does not hold it, `tandem tx repair ID --participant NAME --reason TEXT`.",
};

const REPAIR_FAILED: Text = Text {
    means: "the order to repair is stored, and the store could not carry it out",
    cause: "The message says what the store answered: a row that has gone on, a key that is taken, a missing right.",
    act: "Put that right at the store and repair again; or write the purchase by hand and settle it as committed.",
};

const CONTRADICTS_DECISION: Text = Text {
    means: "the settlement says another end than the stored decision; nothing was recorded",
    cause: "`--as` was given as the opposite of what was decided.",
    act: "Look again with `tandem tx show ID`. Only if the store really has it so and is to keep it, add `--force`.",
};

const STILL_PREPARED: Text = Text {
    means: "the store says that the branch is prepared, so that it has not ended; nothing was recorded",
    cause: "A settlement was asked for what has not happened at the store.",
    act: "`tandem tx retry ID` has the branch ended as it was decided.",
};

const NO_STOCK_KEEPER: Text = Text {
    means: "no participant keeps stock",
    cause: "The configuration has no participant that does, and accepts that.",
    act: "Add one such as [participants.stock.redis] if there should be.",
};

const STORE_UNAVAILABLE: Text = Text {
    means: "a store could not be asked; what was asked of it may have taken effect, and asking again is safe",
    cause: "It is down, the network is cut, or it did not answer in time.",
    act: "`tandem participants` says what was tried. Mend the store or the way to it; the coordinator asks again by \
          itself.",
};
