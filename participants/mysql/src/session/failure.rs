//! Why a packet was not carried out to its end, and what that is to the caller.

use tandem_participant::Error;

use crate::session::codes::{self, Class};
use crate::sql::guard::Missed;
use crate::sql::tables;

/// A packet that was not carried out to its end.
#[derive(Debug, Clone)]
pub(crate) struct PacketFailure {
    /// Statements of the packet that were carried out before it failed.
    pub(crate) completed: usize,
    pub(crate) cause: Cause,
}

/// Why.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// The server answered the statement with an error, ran none of those behind it, and the
    /// session lives.
    Server {
        number: u16,
        class: Class,
        message: String,
    },
    /// A guard did: the statement before it met another number of rows than it must.
    Missed { missed: Missed, detail: String },
    /// No answer: what was sent may or may not take effect.
    Lost(String),
}

impl PacketFailure {
    pub(crate) fn lost(completed: usize, reason: &str) -> Self {
        Self {
            completed,
            cause: Cause::Lost(reason.into()),
        }
    }

    /// The server's error number.
    pub(crate) fn number(&self) -> Option<u16> {
        match &self.cause {
            Cause::Server { number, .. } => Some(*number),
            Cause::Missed { .. } => Some(codes::OUT_OF_RANGE),
            Cause::Lost(_) => None,
        }
    }

    /// What the server's answer says; `None` where there is none.
    pub(crate) fn class(&self) -> Option<Class> {
        match &self.cause {
            Cause::Server { class, .. } => Some(*class),
            Cause::Missed { missed, .. } => Some(Class::Missed(*missed)),
            Cause::Lost(_) => None,
        }
    }

    /// The failure as the answer to a call, for what was being done. Only a server that does not
    /// answer is unavailable.
    pub(crate) fn into_error(self, doing: &str) -> Error {
        let detail = format!("{doing}: {}", self.cause);
        match self.cause {
            Cause::Server {
                number: codes::NO_SUCH_TABLE | codes::NO_SUCH_COLUMN,
                ..
            } if detail.contains(tables::PREFIX) => Error::Invalid {
                detail: format!("{detail}; create tandem's tables: {}", tables::ddl_own()),
            },
            Cause::Server {
                class: Class::Configuration,
                ..
            } => Error::Invalid { detail },
            Cause::Server { .. } | Cause::Missed { .. } => Error::Busy { detail },
            Cause::Lost(_) => Error::Unavailable { detail },
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cause::Server {
                number, message, ..
            } => write!(f, "error {number}: {message}"),
            Cause::Missed { detail, .. } => f.write_str(detail),
            Cause::Lost(reason) => write!(f, "the connection was lost: {reason}"),
        }
    }
}
