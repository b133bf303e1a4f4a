//! One connection, and what became of what was sent on it.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::mysql::{MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, Connection, Either, Executor};
use tandem_participant::Error;
use tokio::time::{Instant, timeout_at};

use crate::session::answer::{cell, number};
use crate::session::dial::{Dial, Refused};
use crate::session::failure::{Cause, PacketFailure};
use crate::session::joined::Joined;
use crate::session::server::{Flavour, Server};
use crate::session::{codes, setup};

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
    ) -> Result<Vec<Reply>, PacketFailure> {
        if self.lost {
            return Err(PacketFailure::lost(0, "the connection was given up before"));
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
        Err(PacketFailure {
            completed: replies.len(),
            cause,
        })
    }

    /// Runs a packet and gives the rows of its last statement.
    pub(crate) async fn query(
        &mut self,
        packet: &str,
        deadline: Instant,
    ) -> Result<Vec<MySqlRow>, PacketFailure> {
        let mut replies = self.run(packet, deadline).await?;
        Ok(replies.pop().unwrap_or_default().rows)
    }

    /// Sets how long statements wait for row locks from now on; 0, on MariaDB, is not at all.
    pub(crate) async fn wait_for_locks(
        &mut self,
        seconds: u32,
        deadline: Instant,
    ) -> Result<(), PacketFailure> {
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

enum SetUp {
    Refused(Error),
    Failed(PacketFailure),
}

impl From<PacketFailure> for SetUp {
    fn from(failure: PacketFailure) -> Self {
        SetUp::Failed(failure)
    }
}
