//! One connection, and what became of what was sent on it.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::mysql::{MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Either, Executor, Row};
use tandem_participant::Error;
use tokio::time::{Instant, timeout_at};

use crate::codes::{self, Class};
use crate::guard::Missed;
use crate::one_server::Joined;
use crate::server::{Flavour, Server};
use crate::sessions::Dial;
use crate::setup;
use crate::tables;

/// A connection whose state is known. Dropping it closes the socket: the server rolls back what is
/// not prepared and keeps what is.
#[derive(Debug)]
pub(crate) struct Session {
    connection: MySqlConnection,
    /// The server's id of this connection, unique within the server's life.
    pub(crate) id: u64,
    pub(crate) server: Arc<Server>,
    /// When it joined the other sessions of its participant.
    pub(crate) joined: Joined,
    /// The session's present `innodb_lock_wait_timeout`.
    lock_wait_s: u32,
    lost: bool,
}

/// The answer to one statement.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) rows: Vec<MySqlRow>,
}

/// A packet that was not carried out to its end.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
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

impl Session {
    /// Connects and sets the session up.
    pub(crate) async fn open(dial: &Dial, deadline: Instant) -> Result<Self, Refused> {
        let connection = dial.enter(deadline).await?;
        let mut session = Self {
            connection,
            id: 0,
            server: Arc::new(Server {
                flavour: Flavour::MySql,
                name: String::new(),
                identity: String::new(),
                place: String::new(),
                start: 0,
                detaches: false,
                packet_bytes_max: 0,
                encrypted: false,
            }),
            joined: Joined::default(),
            lock_wait_s: dial.lock_wait_timeout_s,
            lost: false,
        };
        session
            .set_up(deadline)
            .await
            .map_err(|error| match error {
                SetUp::Refused(error) => Refused::Otherwise(error),
                SetUp::Failed(failure) => {
                    Refused::unavailable(dial.unreachable(&failure.cause.to_string()))
                }
            })?;
        Ok(session)
    }

    /// Sets all that tandem relies on, before anything is read, and learns which server it is.
    async fn set_up(&mut self, deadline: Instant) -> Result<(), SetUp> {
        let packet = format!("{}; SELECT VERSION()", setup::on_any(self.lock_wait_s));
        let reply = self.query(&packet, deadline).await?;
        let version: String = cell(&reply, 0)?;
        let (flavour, name) = Flavour::recognised(&version).map_err(SetUp::Refused)?;
        let packet = format!(
            "{}; \
             SELECT CONNECTION_ID(), CAST({start} AS SIGNED), {detaches}, @@max_allowed_packet, \
             {encrypted}, {digest}, CONCAT(@@hostname, ':', @@port, ' ', @@datadir)",
            setup::on(flavour),
            start = flavour.start_expression(),
            detaches = flavour.detaches_expression(),
            encrypted = flavour.encrypted_expression(),
            digest = flavour.digest_expression(),
        );
        let reply = self.query(&packet, deadline).await?;
        self.id = number(&reply, 0)?;
        let start = number(&reply, 1)?;
        self.server = Arc::new(Server {
            flavour,
            name,
            identity: format!("{}.{start}", cell(&reply, 5)?),
            place: cell(&reply, 6)?,
            start,
            detaches: number(&reply, 2)? != 0,
            packet_bytes_max: usize::try_from(number(&reply, 3)?).unwrap_or(usize::MAX),
            encrypted: number(&reply, 4)? != 0,
        });
        Ok(())
    }

    /// Sends one packet of one or more statements and gives the answer to each.
    ///
    /// Cancelling it, or its deadline, leaves statements running at the server: the session is
    /// lost then.
    pub(crate) async fn run(
        &mut self,
        packet: &str,
        deadline: Instant,
    ) -> Result<Vec<Reply>, Failure> {
        if self.lost {
            return Err(Failure::lost(0, "the connection was given up before"));
        }
        self.lost = true;
        let mut replies = Vec::new();
        let result = timeout_at(deadline, self.send(packet, &mut replies)).await;
        let cause = match result {
            Ok(Ok(())) => {
                self.lost = false;
                return Ok(replies);
            }
            Ok(Err(sqlx::Error::Database(error))) => {
                match error.try_downcast_ref::<MySqlDatabaseError>() {
                    Some(error) if self.outlives(error, deadline).await => {
                        self.lost = false;
                        Cause::Server {
                            number: error.number(),
                            class: codes::class(error.number(), self.server.flavour),
                            message: error.message().into(),
                        }
                    }
                    _ => Cause::Lost(error.to_string()),
                }
            }
            Ok(Err(error)) => Cause::Lost(error.to_string()),
            Err(_) => Cause::Lost("no answer in time".into()),
        };
        Err(Failure {
            completed: replies.len(),
            cause,
        })
    }

    /// Runs a packet and gives the rows of its last statement.
    pub(crate) async fn query(
        &mut self,
        packet: &str,
        deadline: Instant,
    ) -> Result<Vec<MySqlRow>, Failure> {
        let mut replies = self.run(packet, deadline).await?;
        Ok(replies.pop().unwrap_or_default().rows)
    }

    /// Sets how long statements wait for row locks from now on; 0, on MariaDB, is not at all.
    pub(crate) async fn wait_for_locks(
        &mut self,
        seconds: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if self.lock_wait_s != seconds {
            let packet = format!("SET SESSION innodb_lock_wait_timeout = {seconds}");
            self.run(&packet, deadline).await?;
            self.lock_wait_s = seconds;
        }
        Ok(())
    }

    /// Whether the connection answers.
    pub(crate) async fn is_alive(&mut self, deadline: Instant) -> bool {
        !self.lost && self.answers(deadline).await
    }

    /// Whether the session goes on after an error.
    async fn outlives(&mut self, error: &MySqlDatabaseError, deadline: Instant) -> bool {
        let state = error.code().unwrap_or_default();
        !codes::may_end_the_session(error.number(), state) || self.answers(deadline).await
    }

    async fn answers(&mut self, deadline: Instant) -> bool {
        matches!(
            timeout_at(deadline, self.connection.ping()).await,
            Ok(Ok(()))
        )
    }

    /// Lets nobody use it any more.
    pub(crate) fn give_up(&mut self) {
        self.lost = true;
    }

    /// Whether it may still be used.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    async fn send(&mut self, packet: &str, replies: &mut Vec<Reply>) -> Result<(), sqlx::Error> {
        // Safe: the only values in a packet are written by `encode` and `xid`.
        let mut answers = (&mut self.connection).fetch_many(sqlx::raw_sql(AssertSqlSafe(packet)));
        let mut rows = Vec::new();
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Either::Right(row) => rows.push(row),
                Either::Left(_) => replies.push(Reply {
                    rows: std::mem::take(&mut rows),
                }),
            }
        }
        Ok(())
    }
}

impl Failure {
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

/// The value in a column of the first row; text and numbers alike come as text.
pub(crate) fn cell(rows: &[MySqlRow], column: usize) -> Result<String, Failure> {
    rows.first()
        .ok_or_else(|| Failure::lost(0, "an answer without rows"))
        .and_then(|row| field(row, column))
}

/// A number in the first row.
pub(crate) fn number(rows: &[MySqlRow], column: usize) -> Result<u64, Failure> {
    rows.first()
        .ok_or_else(|| Failure::lost(0, "an answer without rows"))
        .and_then(|row| field_number(row, column))
}

/// A column of a row as text; NULL is empty.
pub(crate) fn field(row: &MySqlRow, column: usize) -> Result<String, Failure> {
    bytes(row, column).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A column of a row as a number.
pub(crate) fn field_number(row: &MySqlRow, column: usize) -> Result<u64, Failure> {
    let text = field(row, column)?;
    text.parse()
        .map_err(|_| Failure::lost(0, &format!("{text:?} where a number was expected")))
}

/// A column of a row as the bytes that the text protocol sent; NULL is empty.
pub(crate) fn bytes(row: &MySqlRow, column: usize) -> Result<Vec<u8>, Failure> {
    row.try_get_unchecked::<Option<Vec<u8>>, _>(column)
        .map(Option::unwrap_or_default)
        .map_err(|error| Failure::lost(0, &error.to_string()))
}

fn number_of(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?;
    let error = error.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
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
    async fn enter(&self, deadline: Instant) -> Result<MySqlConnection, Refused> {
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

    fn unreachable(&self, reason: &str) -> String {
        let user = self.options.get_username();
        format!("cannot connect to {} as {user}: {reason}", self.address)
    }
}

impl Refused {
    fn unavailable(detail: String) -> Refused {
        Refused::Otherwise(Error::Unavailable { detail })
    }
}

enum SetUp {
    Refused(Error),
    Failed(Failure),
}

impl From<Failure> for SetUp {
    fn from(failure: Failure) -> Self {
        SetUp::Failed(failure)
    }
}
