//! One connection that all calls share, made when it is needed and made anew when it broke.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation,
    ServerErrorKind, cmd,
};
use tandem_participant::{Error, Finding};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::entrance::{Entrance, Run, hint};
use crate::settings::Wait;

/// A connection that was silent for longer is asked whether it is alive before it is used: a server that
/// drops silent clients, and one that was restarted, then costs nobody a failed purchase.
const TRUSTED_SILENCE: Duration = Duration::from_secs(1);

/// A way to one server. Nothing is tried twice here: trying again is the caller's.
pub(crate) struct Connection {
    entrance: Entrance,
    address: String,
    connect_timeout: Duration,
    response_timeout: Duration,
    shared: Mutex<Shared>,
    /// The server's run in which somebody has enlisted through this object.
    enlisted_run: std::sync::Mutex<Option<Run>>,
}

#[derive(Default)]
struct Shared {
    /// Grows with each connection, so that a late failure of one does not close its successor.
    generation: u64,
    open: Option<Open>,
}

struct Open {
    link: MultiplexedConnection,
    run: Run,
    since: Instant,
    used: Instant,
}

/// A connection to use for one question.
struct Link {
    generation: u64,
    link: MultiplexedConnection,
    run: Run,
    since: Instant,
}

/// Why a command has no result.
enum NoResult {
    Connect(String),
    Timeout(Duration),
    Answer(RedisError),
    /// The server was started again, or is another, since anybody enlisted.
    OtherRun,
}

impl Connection {
    pub(crate) fn new(
        entrance: Entrance,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Connection {
        Connection {
            address: entrance.address(),
            entrance,
            connect_timeout,
            response_timeout,
            shared: Mutex::default(),
            enlisted_run: std::sync::Mutex::default(),
        }
    }

    /// Host and port or the socket's path, without credentials.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The user in the url, for people.
    pub(crate) fn user(&self) -> &str {
        self.entrance.user()
    }

    pub(crate) fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// Runs a script, loading it where the server does not know it: it forgets scripts at a
    /// restart. `what` is for the error: "prepare of shop.1.2".
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        what: &str,
        limit: Duration,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        self.ask(limit, async |link| call.invoke_async(link).await)
            .await
            .map_err(|failure| self.explain(what, failure))
    }

    /// Runs a script as [`Self::script`] does, unless the server runs anew since somebody enlisted: then
    /// nobody has looked at what it has lost, or at what a torn file would do to the first write.
    pub(crate) async fn script_in_life<T: FromRedisValue>(
        &self,
        what: &str,
        limit: Duration,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        self.ask_in_life(limit, async |link| call.invoke_async(link).await)
            .await
            .map_err(|failure| self.explain(what, failure))
    }

    /// The server's present run.
    pub(crate) async fn run(&self, what: &str) -> Result<Run, Error> {
        let link = self.link().await;
        link.map(|link| link.run)
            .map_err(|failure| self.explain(what, failure))
    }

    /// Asks once more to be let in, on the connection that is there: an account that was changed is noticed
    /// while that one serves on, and not when it breaks. Gives the denial, if that is what came out.
    pub(crate) async fn try_the_entrance(&self) -> Option<Finding> {
        if let Ok(mut link) = self.link().await {
            let knock = self.entrance.knock(&mut link.link, link.since);
            // Whatever else may be in the way shows where it is in the way.
            let _ = timeout(self.connect_timeout, knock).await;
        }
        self.entrance.finding()
    }

    /// Comes in once more by a person's word, also where the server has just denied it.
    pub(crate) async fn reconnect(&self, what: &str) -> Result<(), Error> {
        self.entrance.permit();
        let entered = timeout(self.connect_timeout, self.entrance.enter()).await;
        let entered = entered.unwrap_or_else(|_| Err(self.late()));
        entered
            .map(drop)
            .map_err(|detail| self.explain(what, NoResult::Connect(detail)))
    }

    /// Notes in which run of the server somebody has enlisted.
    pub(crate) fn enlisted_in(&self, run: Run) {
        *self.enlisted() = Some(run);
    }

    /// Whether somebody has enlisted through this object.
    pub(crate) fn is_enlisted(&self) -> bool {
        self.enlisted().is_some()
    }

    fn enlisted(&self) -> std::sync::MutexGuard<'_, Option<Run>> {
        self.enlisted_run
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a script as [`Self::script_in_life`] does, then waits until replicas have what it wrote.
    ///
    /// Both go through one connection: a server answers for the writes before it on the same one,
    /// and another connection may be to another server by then.
    pub(crate) async fn script_on_replicas<T: FromRedisValue>(
        &self,
        what: &str,
        limit: Duration,
        call: &ScriptInvocation<'_>,
        wait: Wait,
    ) -> Result<T, Error> {
        let mut command = cmd(if wait.aof { "WAITAOF" } else { "WAIT" });
        if wait.aof {
            // This server's own disk is its appendfsync's business.
            command.arg(0);
        }
        let wait_ms = u64::try_from(wait.time.as_millis()).unwrap_or(u64::MAX);
        command.arg(wait.replicas).arg(wait_ms);
        let (answer, there) = self
            .ask_in_life(limit + wait.time, async |link| {
                let answer = call.invoke_async(link).await?;
                let there: Vec<u32> = if wait.aof {
                    command.query_async(link).await?
                } else {
                    vec![command.query_async(link).await?]
                };
                Ok((answer, there))
            })
            .await
            .map_err(|failure| self.explain(what, failure))?;
        let there = there.last().copied().unwrap_or(0);
        if there < wait.replicas {
            return Err(Error::Busy {
                detail: format!(
                    "{what}: {there} of {} replicas of {} have it after {wait_ms} ms \
                     (wait_replicas); if it was cut off from them, it may not be the primary any more",
                    wait.replicas, self.address
                ),
            });
        }
        Ok(answer)
    }

    /// Runs several commands in one round trip.
    pub(crate) async fn commands<T: FromRedisValue>(
        &self,
        what: &str,
        commands: &Pipeline,
    ) -> Result<T, Error> {
        self.ask(self.response_timeout, async |link| {
            commands.query_async(link).await
        })
        .await
        .map_err(|failure| self.explain(what, failure))
    }

    /// Runs a command that a server may forbid or not have; then its answer is the inner error.
    pub(crate) async fn command_if_allowed<T: FromRedisValue>(
        &self,
        what: &str,
        command: &Cmd,
    ) -> Result<Result<T, String>, Error> {
        let answer = self
            .ask(self.response_timeout, async |link| {
                command.query_async(link).await
            })
            .await;
        match answer {
            Ok(value) => Ok(Ok(value)),
            Err(NoResult::Answer(error)) if matches!(error.code(), Some("NOPERM" | "ERR")) => {
                Ok(Err(error.to_string()))
            }
            Err(failure) => Err(self.explain(what, failure)),
        }
    }

    async fn ask<T>(
        &self,
        limit: Duration,
        question: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, NoResult> {
        let link = self.link().await?;
        self.ask_on(link, limit, question).await
    }

    async fn ask_in_life<T>(
        &self,
        limit: Duration,
        question: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, NoResult> {
        let link = self.link().await?;
        if self.enlisted().as_ref() != Some(&link.run) {
            return Err(NoResult::OtherRun);
        }
        self.ask_on(link, limit, question).await
    }

    async fn ask_on<T>(
        &self,
        link: Link,
        limit: Duration,
        question: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, NoResult> {
        let Link {
            generation,
            mut link,
            ..
        } = link;
        let failure = match timeout(limit, question(&mut link)).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => NoResult::Answer(error),
            Err(_) => NoResult::Timeout(limit),
        };
        let is_broken = match &failure {
            NoResult::Connect(_) | NoResult::OtherRun => false,
            // A half-open connection gives no error; only a new one shows whether it was that.
            NoResult::Timeout(_) => true,
            // A primary that became a replica keeps its old connections.
            NoResult::Answer(error) => {
                error.is_unrecoverable_error()
                    || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            }
        };
        if is_broken {
            let mut shared = self.shared.lock().await;
            if shared.generation == generation {
                shared.open = None;
            }
        }
        Err(failure)
    }

    async fn link(&self) -> Result<Link, NoResult> {
        // The deadline spans the wait for others who connect, or n callers would wait n times.
        let connected = timeout(self.connect_timeout, async {
            let mut shared = self.shared.lock().await;
            let generation = shared.generation;
            if let Some(open) = &mut shared.open {
                if open.used.elapsed() < TRUSTED_SILENCE || is_alive(&mut open.link).await {
                    open.used = Instant::now();
                    return Ok(Link {
                        generation,
                        link: open.link.clone(),
                        run: open.run.clone(),
                        since: open.since,
                    });
                }
                shared.open = None;
            }
            let (link, run) = self.entrance.enter().await?;
            let now = Instant::now();
            shared.generation += 1;
            shared.open = Some(Open {
                link: link.clone(),
                run: run.clone(),
                since: now,
                used: now,
            });
            Ok(Link {
                generation: shared.generation,
                link,
                run,
                since: now,
            })
        });
        match connected.await {
            Ok(connected) => connected.map_err(NoResult::Connect),
            Err(_) => Err(NoResult::Connect(self.late())),
        }
    }

    fn late(&self) -> String {
        format!(
            "not connected within {} ms",
            self.connect_timeout.as_millis()
        )
    }

    fn explain(&self, what: &str, failure: NoResult) -> Error {
        let address = &self.address;
        match failure {
            NoResult::OtherRun => Error::NotEnlisted {
                detail: format!(
                    "{what}: {address} was started again, or is another server, since the coordinator \
                     enlisted; nothing was done"
                ),
            },
            NoResult::Connect(detail) => Error::Unavailable {
                detail: format!("{what}: connecting to {address}: {detail}"),
            },
            NoResult::Timeout(limit) => Error::Unavailable {
                detail: format!(
                    "{what}: {address} did not answer within {} ms; it may still take effect",
                    limit.as_millis()
                ),
            },
            NoResult::Answer(error) => {
                let detail = format!("{what}: {address}: {error}{}", hint(&error));
                match error.code() {
                    // Refused before its first write, and it passes.
                    Some("OOM" | "BUSY" | "LOADING" | "MISCONF" | "NOREPLICAS") => {
                        Error::Busy { detail }
                    }
                    // All else is worth asking again: when someone mends an ACL, no decision may
                    // have been given up because of it.
                    _ => Error::Unavailable { detail },
                }
            }
        }
    }
}

async fn is_alive(link: &mut MultiplexedConnection) -> bool {
    let answer: RedisResult<String> = cmd("PING").query_async(link).await;
    // Whoever may not ask is answered all the same.
    match answer {
        Ok(_) => true,
        Err(error) => !error.is_unrecoverable_error(),
    }
}
