//! Looks at the server whether a prepare that takes long waits for a lock, and for whose.
//!
//! A packet that takes long is no reason to interrupt it: its disk may be slow, or the server busy.
//! So nothing is guessed: what takes more than about twice its usual time is looked up in the
//! server's list of lock waits, on a session of its own. Where that list can't be read, prepares
//! wait for locks as long as the server lets them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::server::Flavour;
use crate::session::sessions::{House, Sessions};

/// Shortest time after which a prepare is looked up, however short the usual time is.
const PATIENCE_MIN: Duration = Duration::from_millis(10);

/// Pause between two looks. MariaDB's is a little more than the time in which it answers from what it
/// gathered for the question before (`CACHE_MIN_IDLE_TIME_NS` in `trx0i_s.cc`, 0.1 s since the last
/// answer).
const LOOK_PAUSE_MARIADB: Duration = Duration::from_millis(105);
const LOOK_PAUSE_MYSQL: Duration = Duration::from_millis(10);

/// Longest that a look may take.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);

/// How long nothing is looked up after the server did not let it.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// How long a branch of tandem's own, in whole seconds, is taken for one that ends by itself.
const OWN_PASSES_S: u64 = 1;

/// Pause between two lines of the log about who holds locks.
const SAID_PAUSE: Duration = Duration::from_secs(10);

/// Most waits that are read.
const WAITS_MAX: usize = 1_000;

/// Most entries of each class of packets whose usual times are alike, but for the last.
const CLASSES: [usize; 3] = [1, 8, 32];

/// A lock wait of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wait {
    connection_id: u64,
    holder: Holder,
}

/// A transaction that is in the way of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its connection; 0 for a prepared branch that has none.
    connection_id: u64,
    user: String,
    /// For how long it has been open, in whole seconds, where the server says so.
    age_s: Option<u64>,
    /// All prepared branches that have no connection may be meant.
    prepared: Vec<String>,
}

/// Who looks, and how long packets take.
#[derive(Debug)]
pub(crate) struct Watch {
    house: Arc<House>,
    sessions: Sessions,
    /// One look at a time, and what the last one has seen.
    seen: tokio::sync::Mutex<Seen>,
    said: Mutex<Option<Instant>>,
    usual: Usual,
}

#[derive(Debug, Default)]
struct Seen {
    /// When it was begun to be read.
    begun: Option<Instant>,
    /// When it may be read anew.
    next: Option<Instant>,
    waits: Vec<Wait>,
    refused: Option<Instant>,
}

/// Times of packets that nothing was in the way of: running means in microseconds, by class.
#[derive(Debug, Default)]
struct Usual([AtomicU64; CLASSES.len() + 1]);

impl Watch {
    pub(crate) fn new(house: Arc<House>) -> Arc<Self> {
        Arc::new(Self {
            sessions: Sessions::new("watching", Arc::clone(&house), 1),
            house,
            seen: tokio::sync::Mutex::default(),
            said: Mutex::default(),
            usual: Usual::default(),
        })
    }

    /// How long a packet of so many entries may take before it is looked up.
    pub(crate) fn patience(&self, entries: usize) -> Duration {
        let usual = self.usual.of(entries).load(Ordering::Relaxed);
        PATIENCE_MIN.max(2 * Duration::from_micros(usual))
    }

    /// Learns how long a packet took.
    pub(crate) fn learn(&self, entries: usize, took: Duration) {
        self.usual.learn(entries, took);
    }

    /// Whether it is to be expected that the lock is held for longer than it pays to wait: a branch of
    /// tandem's own goes as soon as its decision is made. Whose a branch without a connection is
    /// nobody tells.
    pub(crate) fn stays(&self, holder: &Holder) -> bool {
        let is_own = holder.connection_id == 0 || self.house.is_own(holder.connection_id);
        !is_own || holder.age_s.is_some_and(|age_s| age_s > OWN_PASSES_S)
    }

    /// Those who are in the way of a connection now. Nobody, where it waits for no lock or the server
    /// does not tell. It is not to be cancelled: spawn it.
    pub(crate) async fn holders(&self, connection_id: u64) -> Vec<Holder> {
        let asked = Instant::now();
        let mut seen = self.seen.lock().await;
        if seen.is_refused() {
            return Vec::new();
        }
        // Another has looked meanwhile.
        if seen.begun.is_none_or(|begun| begun < asked) {
            if let Some(next) = seen.next {
                tokio::time::sleep_until(next).await;
            }
            seen.begun = Some(Instant::now());
            let waits = self.look(&mut seen).await;
            seen.waits = waits;
        }
        let own = |wait: &&Wait| wait.connection_id == connection_id;
        let waits = seen.waits.iter().filter(own);
        waits.map(|wait| wait.holder.clone()).collect()
    }

    /// Tells the log, now and then, what purchases wait for.
    pub(crate) fn say(&self, address: &str, holder: &Holder) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAID_PAUSE) {
            *said = Some(Instant::now());
            tracing::warn!(address, "purchases wait for a row that {holder} holds");
        }
    }

    async fn look(&self, seen: &mut Seen) -> Vec<Wait> {
        let deadline = Instant::now() + LOOK_TIMEOUT;
        let Ok(mut session) = self.sessions.lease(deadline).await else {
            return Vec::new();
        };
        let waits = waits(&mut session, deadline).await;
        let pause = match session.server.flavour {
            Flavour::MariaDb => LOOK_PAUSE_MARIADB,
            Flavour::MySql => LOOK_PAUSE_MYSQL,
        };
        seen.next = Some(Instant::now() + pause);
        match waits {
            Ok(waits) => {
                session.give_back();
                waits
            }
            Err(failure) => {
                if failure.number().is_some() {
                    tracing::info!("who holds locks can't be looked up: {}", failure.cause);
                    seen.refused = Some(Instant::now());
                    session.give_back();
                }
                Vec::new()
            }
        }
    }
}

impl Seen {
    fn is_refused(&self) -> bool {
        self.refused.is_some_and(|at| at.elapsed() < REFUSED_PAUSE)
    }
}

impl Usual {
    fn of(&self, entries: usize) -> &AtomicU64 {
        let class = CLASSES.iter().position(|most| entries <= *most);
        &self.0[class.unwrap_or(CLASSES.len())]
    }

    /// The first counts whole, each later one an eighth. Two that race lose one.
    fn learn(&self, entries: usize, took: Duration) {
        let usual = self.of(entries);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let before = usual.load(Ordering::Relaxed);
        let after = match before {
            0 => took,
            before => before - before / 8 + took / 8,
        };
        usual.store(after, Ordering::Relaxed);
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.connection_id, &self.prepared[..]) {
            (0, []) => write!(f, "a prepared branch")?,
            (0, [branch]) => write!(f, "the prepared branch {branch}")?,
            (0, [some @ .., last]) => {
                let some = some.join(", ");
                write!(f, "one of the prepared branches {some} and {last}")?;
            }
            (id, _) => write!(f, "connection {id} ({})", self.user)?,
        }
        match self.age_s {
            Some(age_s) => write!(f, ", {age_s} s in its transaction,"),
            None => Ok(()),
        }
    }
}

/// The waiting connection, the connection in its way (0 for a branch that has none), whose it is, and
/// the age of its transaction, whose start is told in the time zone of the server's process. It needs
/// PROCESS.
const WAITS_MARIADB: &str = "SELECT r.trx_mysql_thread_id, b.trx_mysql_thread_id, \
     CONCAT(p.USER, '@', p.HOST), GREATEST(TIMESTAMPDIFF(SECOND, b.trx_started, \
     CONVERT_TZ(NOW(), @@SESSION.time_zone, 'SYSTEM')), 0) \
     FROM information_schema.INNODB_LOCK_WAITS w \
     JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id \
     JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id \
     LEFT JOIN information_schema.PROCESSLIST p ON p.ID = b.trx_mysql_thread_id";

/// The same. It needs SELECT on the two tables of the performance schema besides, which tell what is
/// now; INNODB_TRX answers as late as MariaDB's, and without it a prepared branch goes by the
/// connection that took its lock.
const WAITS_MYSQL: &str = "SELECT r.PROCESSLIST_ID, \
     COALESCE(x.trx_mysql_thread_id, b.PROCESSLIST_ID, 0), \
     CONCAT(b.PROCESSLIST_USER, '@', b.PROCESSLIST_HOST), \
     GREATEST(TIMESTAMPDIFF(SECOND, x.trx_started, \
     CONVERT_TZ(NOW(), @@SESSION.time_zone, 'SYSTEM')), 0) \
     FROM performance_schema.data_lock_waits w \
     JOIN performance_schema.threads r ON r.THREAD_ID = w.REQUESTING_THREAD_ID \
     LEFT JOIN performance_schema.threads b ON b.THREAD_ID = w.BLOCKING_THREAD_ID \
     LEFT JOIN information_schema.INNODB_TRX x ON x.trx_id = w.BLOCKING_ENGINE_TRANSACTION_ID \
     WHERE r.PROCESSLIST_ID IS NOT NULL";

/// All lock waits at the server.
async fn waits(session: &mut Session, deadline: Instant) -> Result<Vec<Wait>, PacketFailure> {
    let waits = match session.server.flavour {
        Flavour::MariaDb => WAITS_MARIADB,
        Flavour::MySql => WAITS_MYSQL,
    };
    let query = format!("{waits} LIMIT {WAITS_MAX}");
    let rows = session.query(&query, deadline).await?;
    let mut waits = Vec::with_capacity(rows.len());
    for row in &rows {
        waits.push(Wait {
            connection_id: answer::field_number(row, 0)?,
            holder: Holder {
                connection_id: answer::field_number(row, 1)?,
                user: answer::field(row, 2)?,
                age_s: answer::field(row, 3)?.parse().ok(),
                prepared: Vec::new(),
            },
        });
    }
    if waits.iter().any(|wait| wait.holder.connection_id == 0) {
        let prepared = prepared(session, deadline).await?;
        for wait in &mut waits {
            wait.holder.prepared.clone_from(&prepared);
        }
    }
    Ok(waits)
}

/// Prepared branches, the first few of them, for a person.
async fn prepared(session: &mut Session, deadline: Instant) -> Result<Vec<String>, PacketFailure> {
    let rows = match session.query("XA RECOVER", deadline).await {
        Ok(rows) => rows,
        Err(failure) if failure.number().is_some() => return Ok(Vec::new()),
        Err(failure) => return Err(failure),
    };
    let data = |row| answer::bytes(row, 3);
    let few: Result<Vec<Vec<u8>>, PacketFailure> = rows.iter().take(3).map(data).collect();
    let name = |data: &Vec<u8>| format!("{:?}", String::from_utf8_lossy(data));
    let mut names: Vec<String> = few?.iter().map(name).collect();
    if rows.len() > names.len() {
        names.push(format!("{} more", rows.len() - names.len()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_becomes_usual() {
        let usual = Usual::default();
        let ms = Duration::from_millis;
        usual.learn(1, ms(2));
        assert_eq!(usual.of(1).load(Ordering::Relaxed), 2_000);
        for _ in 0..60 {
            usual.learn(1, ms(40));
        }
        let learnt = usual.of(1).load(Ordering::Relaxed);
        assert!((39_000..=40_000).contains(&learnt), "{learnt}");
        assert_eq!(usual.of(2).load(Ordering::Relaxed), 0, "another class");
        usual.learn(usize::MAX, ms(1));
        assert_eq!(usual.of(33).load(Ordering::Relaxed), 1_000);
    }

    #[test]
    fn holders_are_named() {
        let holder = |connection_id, prepared: &[&str]| Holder {
            connection_id,
            user: "app@10.0.0.7:5000".into(),
            age_s: (connection_id != 7).then_some(35),
            prepared: prepared.iter().map(|name| (*name).into()).collect(),
        };
        let said = |holder: Holder| holder.to_string();
        assert_eq!(
            said(holder(21, &[])),
            "connection 21 (app@10.0.0.7:5000), 35 s in its transaction,"
        );
        assert_eq!(
            said(holder(0, &["\"shop.1.7\""])),
            "the prepared branch \"shop.1.7\", 35 s in its transaction,"
        );
        assert_eq!(
            said(holder(0, &["\"a\"", "\"b\"", "9 more"])),
            "one of the prepared branches \"a\", \"b\" and 9 more, 35 s in its transaction,"
        );
        assert_eq!(said(holder(7, &[])), "connection 7 (app@10.0.0.7:5000)");
    }
}
