//! The way into the server: one connection at a time, and what it means that there is none.

use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use tandem_participant::{Admission, Error};
use tokio::time::{Instant, timeout_at};

use crate::session::codes;

/// How to connect.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) options: MySqlConnectOptions,
    pub(crate) address: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) lock_wait_timeout_s: u32,
    /// Whether the server lets the user in.
    pub(crate) admission: Arc<Admission>,
    /// Held while a connection is made.
    pub(crate) entering: tokio::sync::Mutex<()>,
}

/// Why there is no new session.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The server, or what the user may have of it, has no room for one more connection.
    Full(String),
    /// The server does not let the user in, which only a person can mend.
    Denied(String),
    /// Anything else.
    Otherwise(Error),
}

impl Dial {
    /// Connects. One at a time: with many at once an account would be locked before the first has its
    /// answer.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<MySqlConnection, Refused> {
        let late = |_| Refused::unavailable(self.unreachable("no answer in time"));
        let _one = timeout_at(deadline, self.entering.lock())
            .await
            .map_err(late)?;
        if let Some(denied) = self.admission.refusal() {
            return Err(Refused::Denied(denied));
        }
        let connected = timeout_at(deadline, self.options.connect()).await;
        match connected.map_err(late)? {
            Ok(connection) => {
                self.admission.admit();
                Ok(connection)
            }
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// Why the server refused to be connected to.
    fn refused(&self, error: &sqlx::Error) -> Refused {
        let detail = self.unreachable(&error.to_string());
        match number_of(error) {
            Some(number) if codes::is_connections_full(number) => Refused::Full(detail),
            Some(number) if codes::is_denied(number) => {
                Refused::Denied(self.admission.deny(detail))
            }
            _ => Refused::unavailable(detail),
        }
    }

    pub(crate) fn unreachable(&self, reason: &str) -> String {
        let user = self.options.get_username();
        format!("cannot connect to {} as {user}: {reason}", self.address)
    }
}

impl Refused {
    pub(crate) fn unavailable(detail: String) -> Refused {
        Refused::Otherwise(Error::Unavailable { detail })
    }
}

fn number_of(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?;
    let error = error.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}
