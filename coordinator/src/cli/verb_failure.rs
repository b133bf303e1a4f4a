//! Why a verb did not do what it was asked, and the exit code that says so.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::Status;

use super::exit::Exit;
use super::{status, time};
use crate::config::ConfigError;

/// Why a verb failed. Its text is for a person and may be empty where stdout has said it all.
///
/// The `code` of a failure in JSON is the variant's name in UPPER_SNAKE, but that of an answer is gRPC's.
#[derive(Debug, thiserror::Error, strum::EnumDiscriminants)]
#[strum_discriminants(
    name(FailureKind),
    vis(pub(crate)),
    derive(strum::AsRefStr, strum::VariantArray),
    strum(serialize_all = "SCREAMING_SNAKE_CASE")
)]
pub enum VerbFailure {
    /// The server answered that it did not do it.
    #[error("{}", status::explain(.0))]
    Refused(Box<Status>),
    /// An answer was given and printed, and it is negative; the text says what remains to be said.
    #[error("{0}")]
    Negative(String),
    /// What was compared disagrees; it was printed.
    #[error("")]
    Disagreement,
    /// Nothing that was looked at is wrong, and not everything could be looked at.
    #[error("{0}")]
    Incomplete(String),
    /// The command line asks for something that can't be.
    #[error("{0}")]
    Usage(String),
    /// The configuration can't be used at its stores; what is wrong was printed.
    #[error("")]
    Unusable,
    /// Some of the stores could not be asked, and nothing else was found; it was printed.
    #[error("")]
    Unasked,
    /// The configuration can't be used.
    #[error("{}", status::causes(.0))]
    Config(#[from] ConfigError),
    /// No connection was made.
    #[error(
        "can't reach {role} at {endpoint}: {cause}\n\
         Nothing was asked of it. Is `tandem serve` running there? {flag} names another address."
    )]
    Unreachable {
        /// Which listener.
        role: &'static str,
        /// Where.
        endpoint: String,
        /// How an address is given.
        flag: &'static str,
        /// What came back.
        cause: String,
    },
    /// The server was asked and no answer came.
    #[error(
        "no answer from {role} at {endpoint}: {cause}\n\
         What was asked may have taken effect; ask again. --timeout was {}.",
        time::span(*.timeout)
    )]
    NoAnswer {
        /// Which listener.
        role: &'static str,
        /// Where.
        endpoint: String,
        /// How long an answer was waited for, at most.
        timeout: Duration,
        /// What came back.
        cause: String,
    },
    /// The outcome is not known yet; the text says what is.
    #[error("{0}")]
    Unknown(String),
    /// The reader of stdout went away.
    #[error("")]
    ClosedPipe,
    /// Anything else, with its causes.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl VerbFailure {
    /// The code that `--help` documents.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit() as u8)
    }

    /// It for a program: what it is, the reason of an answer, and what a person is told.
    pub(super) fn document(&self) -> Value {
        let exit_status = self.exit() as u8;
        match self {
            VerbFailure::Refused(answer) => {
                let mut document = status::document(answer);
                document["exit_status"] = json!(exit_status);
                document
            }
            _ => json!({
                "code": FailureKind::from(self).as_ref(),
                "reason": null,
                "detail": self.to_string(),
                "exit_status": exit_status,
            }),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            VerbFailure::ClosedPipe => Exit::Done,
            VerbFailure::Refused(answer) if status::is_open(answer) => Exit::Open,
            VerbFailure::Refused(_)
            | VerbFailure::Negative(_)
            | VerbFailure::Disagreement
            | VerbFailure::Other(_) => Exit::Negative,
            VerbFailure::Usage(_) | VerbFailure::Config(_) | VerbFailure::Unusable => Exit::Usage,
            VerbFailure::Incomplete(_) => Exit::Incomplete,
            VerbFailure::Unreachable { .. } | VerbFailure::Unasked => Exit::Unreachable,
            VerbFailure::NoAnswer { .. } | VerbFailure::Unknown(_) => Exit::Open,
        }
    }
}
