//! gRPC's codes, as tandem and the way to it use them.

use tonic::Code;

use super::{Entry, Group, Text};
use crate::cli::code_name;

/// The highest of gRPC's numbers.
const LAST: i32 = 16;

pub(super) fn entries() -> Vec<Entry> {
    let codes = (0..=LAST).map(Code::from_i32);
    codes
        .map(|code| Entry::new(Group::Status, code_name(code), text(code)))
        .collect()
}

fn text(code: Code) -> Text {
    match code {
        Code::Ok => OK,
        Code::InvalidArgument => INVALID_ARGUMENT,
        Code::FailedPrecondition => FAILED_PRECONDITION,
        Code::AlreadyExists | Code::Aborted | Code::NotFound | Code::ResourceExhausted => BY_REASON,
        Code::Unavailable => UNAVAILABLE,
        Code::DeadlineExceeded => DEADLINE_EXCEEDED,
        Code::Unimplemented => UNIMPLEMENTED,
        Code::Unauthenticated | Code::PermissionDenied => DENIED,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::OutOfRange | Code::DataLoss => {
            ON_THE_WAY
        }
    }
}

const OK: Text = Text {
    means: "it was done; a purchase is committed, and applied in both stores unless WAIT_FOR_DECIDED was asked for",
    cause: "All went well.",
    act: "Nothing.",
};

const INVALID_ARGUMENT: Text = Text {
    means: "the request breaks a rule; nothing was written",
    cause: "BadRequest names each field and its rule; where it names none, ErrorInfo.reason says more.",
    act: "Mend the request. The limits are in the manual.",
};

const FAILED_PRECONDITION: Text = Text {
    means: "things are not so that it could be done; nothing was written",
    cause: "ErrorInfo.reason says what is lacking.",
    act: "`tandem explain` of that reason.",
};

const BY_REASON: Text = Text {
    means: "it was not done, for the reason that comes with it",
    cause: "ErrorInfo.reason says which.",
    act: "`tandem explain` of that reason.",
};

const UNAVAILABLE: Text = Text {
    means: "it can't be done now; without an ErrorInfo.reason the connection failed, and the outcome is not known",
    cause: "With a reason, a store or the coordinator says so; without one, nobody listens there or the network is cut.",
    act: "With a reason, `tandem explain` of it. Without one, see that `tandem serve` runs and ask again with the same id.",
};

const DEADLINE_EXCEEDED: Text = Text {
    means: "the deadline passed before the final answer",
    cause: "With a reason the coordinator says how far it had come; without one it did not answer at all.",
    act: "Ask again with the same id.",
};

const UNIMPLEMENTED: Text = Text {
    means: "there is no such call here; nothing was done",
    cause: "It is the other listener's, or of another version.",
    act: "Ask at the right listener, with a client of the coordinator's version.",
};

const DENIED: Text = Text {
    means: "the caller may not do that; nothing was done",
    cause: "Who asks is not known there, or does not have the role that the call takes.",
    act: "Ask as somebody who may, or have the role given.",
};

const ON_THE_WAY: Text = Text {
    means: "the connection or something on the way failed; what was asked may have taken effect",
    cause: "tandem does not answer so: a proxy, the client's library, or a connection that broke does.",
    act: "Ask again with the same id, which is safe; look at what is between client and coordinator.",
};
