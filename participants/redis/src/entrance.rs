//! The way into a server: a connection, its user's password, its database.
//!
//! The client library could do all of it by itself, but then it says "authentication failed" whatever
//! the server has answered, also where that only had too many clients at the moment. What only a person
//! can end has to be told from what passes, since the one is tried rarely and the other at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, ProtocolVersion, RedisConnectionInfo,
    RedisError, RedisResult, ServerErrorKind, cmd,
};
use secrecy::{ExposeSecret, SecretString};
use tandem_participant::{Admission, Finding};
use tokio::sync::Mutex;

/// With what a server denies a user the access, whoever tries again: the code that its error begins
/// with. The texts of the two that have no code of their own are below.
///
/// Source: `acl.c`, `networking.c` and `server.c` of Redis 7.0 to 8.0 and of Valkey 9.1.
const DENIED: [&str; 4] = [
    // A wrong password, an unknown user, or one that is off.
    "WRONGPASS",
    // The url has no password and the server wants one.
    "NOAUTH",
    // The database, or asking the server what it is.
    "NOPERM",
    // Protected mode.
    "DENIED",
];

/// The answer to a password where the default user has none.
const NEEDS_NO_PASSWORD: &str = "called without any password configured";

/// One run of a server, its `run_id`; empty where the user may not read it.
pub(crate) type Run = Arc<str>;

/// A connection that came in so lately shows by itself that it may.
const JUST_NOW: Duration = Duration::from_secs(1);

/// How to come in, and whether the server lets tandem in.
pub(crate) struct Entrance {
    /// Knows the address alone.
    client: Client,
    credentials: Option<Credentials>,
    database: i64,
    /// The user in the url.
    user: String,
    /// One at a time: what the first one hears holds for the others.
    entering: Mutex<()>,
    admission: Admission,
}

struct Credentials {
    /// Absent where the url names none, so that a server is given the password alone.
    user: Option<String>,
    password: SecretString,
}

impl Entrance {
    /// An entrance for the address, the user and the database of a client. Connects to nothing.
    ///
    /// # Errors
    /// Where the client's address can't be used.
    pub(crate) fn new(client: &Client) -> RedisResult<Entrance> {
        let info = client.get_connection_info().clone();
        let settings = info.redis_settings();
        let user = settings.username().map(str::to_owned);
        let bare = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        Ok(Entrance {
            database: settings.db(),
            user: user.clone().unwrap_or_else(|| "default".to_owned()),
            credentials: settings.password().map(|password| Credentials {
                user,
                password: password.into(),
            }),
            client: Client::open(info.set_redis_settings(bare))?,
            entering: Mutex::default(),
            admission: Admission::default(),
        })
    }

    /// The database in the url.
    pub(crate) fn database(&self) -> i64 {
        self.database
    }

    /// The user in the url, for people.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Host and port or the socket's path, without credentials.
    pub(crate) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Connects and comes in, unless the server has denied it so lately that it is too early to try
    /// again. Gives the connection and the server's run.
    ///
    /// # Errors
    /// Why it is not in, and what is to be done, for a person.
    pub(crate) async fn enter(&self) -> Result<(MultiplexedConnection, Run), String> {
        let _one = self.entering.lock().await;
        if let Some(denied) = self.admission.refusal() {
            return Err(denied);
        }
        let entered = self.try_to_enter().await;
        self.judged(entered)
    }

    /// Says once more, on a connection that is in since then, what has let it in; the server goes on with it
    /// whatever it answers. Without a password nothing is said that could be refused, and only another
    /// connection shows whether one is wanted by now.
    pub(crate) async fn knock(&self, link: &mut MultiplexedConnection, since: Instant) {
        if self.credentials.is_none() {
            if since.elapsed() >= JUST_NOW {
                // What comes out is kept in the admission.
                let _ = self.enter().await;
            }
            return;
        }
        let _one = self.entering.lock().await;
        if self.admission.refusal().is_none() {
            let said = self.introduce(link).await;
            let _ = self.judged(said);
        }
    }

    /// Keeps in mind whether the server lets tandem in, by how it has answered.
    fn judged<T>(&self, answer: RedisResult<T>) -> Result<T, String> {
        match answer {
            Ok(entered) => {
                self.admission.admit();
                Ok(entered)
            }
            Err(error) if is_denied(&error) => {
                let user = &self.user;
                Err(self.admission.deny(format!("as user {user}: {error}")))
            }
            Err(error) => Err(format!("{error}{}", hint(&error))),
        }
    }

    /// A person says that the account is mended: the next try is made at once.
    pub(crate) fn permit(&self) {
        self.admission.permit();
    }

    /// That the server has denied the access when it was last tried, for people.
    pub(crate) fn finding(&self) -> Option<Finding> {
        self.admission.finding()
    }

    async fn try_to_enter(&self) -> RedisResult<(MultiplexedConnection, Run)> {
        // Whoever asks keeps the time: the client's own limit is 500 ms unless it is told otherwise.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut link = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        self.introduce(&mut link).await?;
        // For `CLIENT LIST`; who does not know it, or may not say it, does without.
        let mut name = cmd("CLIENT");
        name.arg(&["SETINFO", "LIB-NAME", "tandem"]);
        let _: RedisResult<()> = name.query_async(&mut link).await;
        let run = run(&mut link).await?;
        Ok((link, run))
    }

    /// The user's password, and the database.
    async fn introduce(&self, link: &mut MultiplexedConnection) -> RedisResult<()> {
        if let Some(credentials) = &self.credentials {
            let () = credentials.command().query_async(link).await?;
        }
        if self.database != 0 {
            let () = cmd("SELECT").arg(self.database).query_async(link).await?;
        }
        Ok(())
    }
}

impl Credentials {
    fn command(&self) -> Cmd {
        let mut command = cmd("AUTH");
        command.arg(&self.user).arg(self.password.expose_secret());
        command
    }
}

/// The server's present run; empty where the user may not read it, which he is told elsewhere
/// (`SETTINGS_UNREADABLE`).
async fn run(link: &mut MultiplexedConnection) -> RedisResult<Run> {
    let info: RedisResult<String> = cmd("INFO").arg("server").query_async(link).await;
    let info = match info {
        Err(error) if matches!(error.code(), Some("NOPERM" | "ERR")) => String::new(),
        info => info?,
    };
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(Run::from(run.unwrap_or_default().trim()))
}

fn is_denied(error: &RedisError) -> bool {
    let has_words = error
        .detail()
        .is_some_and(|words| words.contains(NEEDS_NO_PASSWORD));
    has_words || error.code().is_some_and(|code| DENIED.contains(&code))
}

/// What a person can do about an error.
pub(crate) fn hint(error: &RedisError) -> &'static str {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => "; the ACL of the user in url is too narrow",
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "; url must name the primary",
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::CrossSlot) => {
            "; the server is part of a cluster"
        }
        _ => "",
    }
}
