//! Each kind of fault: struck, held for a while, undone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use sqlx::{AssertSqlSafe, Executor, MySqlConnection, Row};
use tokio::time::{sleep, timeout};

use super::arena::Arena;
use super::by_hand::Verb;
use super::kind::{Fault, Kind};
use crate::parts::Part;
use crate::proxy::Proxy;
use crate::stores::APP_USER;

/// The longest that a fault may take beside its hold; one that has met another (a paused server,
/// say) is given up, and all is undone at the end of the round.
const STRIKE_MAX: Duration = Duration::from_secs(6);

/// The same for one that copies a store's data and starts a server on them: MySQL takes 2 to 8 s to start.
const STRIKE_WITH_A_COPY_MAX: Duration = Duration::from_secs(20);

/// How long a full disk may take to be met by who writes, and by who starts.
const DISK_MAX: Duration = Duration::from_millis(1_500);

/// How long a fault waits for its victim, which another fault may have killed.
const VICTIM_MAX: Duration = Duration::from_secs(3);

/// How long a DBA looks for a prepared branch.
const LOOK_MAX: Duration = Duration::from_millis(2_500);

/// Commands that the scripts at Redis use: each may be forbidden in the middle of one.
const SCRIPTS_USE: [&str; 22] = [
    "time", "del", "set", "get", "mset", "mget", "exists", "type", "hset", "hget", "hmget", "hlen",
    "hgetall", "hincrby", "hdel", "zadd", "zscore", "zcard", "zrange", "zrem", "sadd", "smembers",
];

/// More than what a full disk may have left of its last page.
const NOTE_BYTES: usize = 16 * 1024;

const POLL: Duration = Duration::from_millis(10);

impl Arena {
    /// Carries a fault out from its beginning to its end. Gives whether it struck, or why not.
    pub(super) async fn strike(&self, fault: &Fault) -> Result<bool> {
        sleep(fault.begin).await;
        let _trouble = self.troubles.begin();
        let most = match fault.kind {
            Kind::BackInTime(_) | Kind::OtherServer(_) => STRIKE_WITH_A_COPY_MAX,
            _ => STRIKE_MAX,
        };
        timeout(most + fault.hold, self.act(fault))
            .await
            .context("it met another fault")?
    }

    async fn act(&self, fault: &Fault) -> Result<bool> {
        let link = self.links()?.of(fault.link);
        match fault.kind {
            Kind::Kill(part) => {
                let _hand = match part {
                    Part::Mysql | Part::Redis => Some(self.in_hand(part).lock().await),
                    _ => None,
                };
                self.wait_for(part).await?;
                let struck = self.world.kill(part)?;
                sleep(fault.hold).await;
                self.world.revive(part, None)?;
                Ok(struck)
            }
            Kind::Pause(part) => {
                self.wait_for(part).await?;
                self.world.pause(part)?;
                sleep(fault.hold).await;
                self.world.resume(part)?;
                Ok(true)
            }
            Kind::CutLink => {
                link.cut();
                sleep(fault.hold).await;
                link.open();
                Ok(link.struck() > 0)
            }
            Kind::SlowLink => {
                link.slow(fault.hold / 4);
                Ok(held(link, fault.hold).await)
            }
            Kind::HalfOpenLink => {
                link.deafen(fault.way);
                Ok(held(link, fault.hold).await)
            }
            Kind::DropAnswer => {
                link.drop_answers(if fault.coin { 1 } else { 3 });
                Ok(held(link, fault.hold).await)
            }
            Kind::KillSessions => {
                // While the sidecar is down there are none.
                let deadline = Instant::now() + VICTIM_MAX;
                while self.kill_sessions().await? == 0 {
                    ensure!(Instant::now() < deadline, "there are no sessions");
                    sleep(POLL).await;
                }
                Ok(true)
            }
            Kind::KillConnections => {
                let deadline = Instant::now() + VICTIM_MAX;
                while self.kill_connections().await? == 0 {
                    ensure!(Instant::now() < deadline, "there are no connections");
                    sleep(POLL).await;
                }
                Ok(true)
            }
            Kind::FullLogDisk => self.fill_disk(0, Part::Coordinator).await,
            Kind::FullRedisDisk => self.fill_disk(1, Part::Redis).await,
            Kind::RollBackByHand => self.end_by_hand(Verb::RollBack, fault, LOOK_MAX).await,
            Kind::CommitByHand => self.end_by_hand(Verb::Commit, fault, LOOK_MAX).await,
            Kind::ReadLock => {
                let mut root = self.sql().await?;
                root.execute("SET SESSION lock_wait_timeout = 2").await?;
                root.execute("FLUSH TABLES WITH READ LOCK").await?;
                sleep(fault.hold).await;
                root.execute("UNLOCK TABLES").await?;
                Ok(true)
            }
            Kind::ReadOnly => {
                let mut root = self.sql().await?;
                root.execute("SET SESSION lock_wait_timeout = 2").await?;
                root.execute("SET GLOBAL read_only = 1").await?;
                sleep(fault.hold).await;
                root.execute("SET GLOBAL read_only = 0").await?;
                Ok(true)
            }
            Kind::MemoryLimit => {
                let mut kv = self.kv().await?;
                // Less than it uses already.
                for bytes in [1, 0] {
                    let limit = cmd("CONFIG")
                        .arg("SET")
                        .arg("maxmemory")
                        .arg(bytes)
                        .to_owned();
                    let (): () = limit.query_async(&mut kv).await?;
                    if bytes > 0 {
                        sleep(fault.hold).await;
                    }
                }
                Ok(true)
            }
            Kind::ScriptFlush => {
                let mut kv = self.kv().await?;
                let flush = cmd("SCRIPT").arg("FLUSH").to_owned();
                let (): () = flush.query_async(&mut kv).await?;
                Ok(true)
            }
            Kind::TornFile => self.tear(fault).await,
            Kind::RightTaken => self.forbid(fault).await,
            Kind::BackInTime(store) => self.put_back(store, fault).await,
            Kind::OtherServer(store) => self.lead_elsewhere(store, fault).await,
        }
    }

    /// Forbids a command to Redis' user for a while, longer if nobody has wanted it. A restart of Redis
    /// permits it again.
    async fn forbid(&self, fault: &Fault) -> Result<bool> {
        let command = SCRIPTS_USE[fault.draw as usize % SCRIPTS_USE.len()];
        let mut kv = self.kv().await?;
        let reset = cmd("ACL").arg(&["LOG", "RESET"]).to_owned();
        let (): () = reset.query_async(&mut kv).await?;
        let taken = format!("-{command}");
        let forbid = cmd("ACL").arg(&["SETUSER", APP_USER, &taken]).to_owned();
        let (): () = forbid.query_async(&mut kv).await?;
        sleep(fault.hold).await;
        let deadline = Instant::now() + VICTIM_MAX;
        loop {
            let mut kv = self.kv().await?;
            let denied = cmd("ACL").arg("LOG").to_owned();
            let denied: Vec<Value> = denied.query_async(&mut kv).await?;
            if !denied.is_empty() || Instant::now() >= deadline {
                self.permit(&mut kv).await?;
                return Ok(!denied.is_empty());
            }
            sleep(POLL).await;
        }
    }

    /// Gives Redis' user all rights.
    pub(super) async fn permit(&self, kv: &mut MultiplexedConnection) -> Result<()> {
        let mut permit = cmd("ACL").arg(&["SETUSER", APP_USER, "+@all"]).to_owned();
        permit.arg(self.ground.forbidden.as_slice());
        let (): () = permit.query_async(kv).await?;
        Ok(())
    }

    /// Ends the sessions of the participant. Gives how many.
    pub(super) async fn kill_sessions(&self) -> Result<usize> {
        let mut root = self.sql().await?;
        let select =
            format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{APP_USER}'");
        let rows = root.fetch_all(AssertSqlSafe(select)).await?;
        let mut killed = 0;
        for row in rows {
            let id: u64 = row.try_get_unchecked(0)?;
            // It may have gone already.
            if root
                .execute(AssertSqlSafe(format!("KILL {id}")))
                .await
                .is_ok()
            {
                killed += 1;
            }
        }
        Ok(killed)
    }

    /// Ends all connections to Redis but the one that says so. Gives how many.
    async fn kill_connections(&self) -> Result<u64> {
        let mut kv = self.kv().await?;
        let kill = cmd("CLIENT")
            .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
            .to_owned();
        Ok(kill.query_async(&mut kv).await?)
    }

    /// Leaves no room until the process that writes there has ended, as it must.
    async fn fill_disk(&self, number: usize, part: Part) -> Result<bool> {
        let _hand = match part {
            Part::Redis => Some(self.in_hand(part).lock().await),
            _ => None,
        };
        let disks = self.world.disks.as_ref().context("no disks")?;
        let disk = &disks[number];
        self.wait_for(part).await?;
        tokio::task::block_in_place(|| disk.fill())?;
        if part == Part::Redis {
            // The app writes there too, also when tandem does not; it gets no answer.
            let _ = timeout(DISK_MAX, self.write_note()).await;
        }
        let mut struck = self.ends_by_itself(part).await?;
        if !struck && part == Part::Coordinator {
            // The log had room that was its own; a start needs some for its copy.
            self.world.kill(part)?;
            self.world.revive(part, None)?;
            struck = self.ends_by_itself(part).await?;
        }
        disk.empty()?;
        self.world.revive(part, None)?;
        Ok(struck)
    }

    async fn write_note(&self) -> Result<()> {
        let mut kv = self.world.stores.kv().await?;
        let note = "x".repeat(NOTE_BYTES);
        let (): () = cmd("SET")
            .arg("app:note")
            .arg(note)
            .query_async(&mut kv)
            .await?;
        Ok(())
    }

    async fn ends_by_itself(&self, part: Part) -> Result<bool> {
        let deadline = Instant::now() + DISK_MAX;
        while self.world.runs(part)? && Instant::now() < deadline {
            sleep(POLL).await;
        }
        self.note_ends()?;
        Ok(!self.world.runs(part)?)
    }

    pub(super) async fn wait_for(&self, part: Part) -> Result<()> {
        let deadline = Instant::now() + VICTIM_MAX;
        while !self.world.runs(part)? {
            ensure!(Instant::now() < deadline, "{part} stays down");
            sleep(POLL).await;
        }
        Ok(())
    }

    /// A session of an administrator, once the server can be reached.
    pub(super) async fn sql(&self) -> Result<MySqlConnection> {
        self.wait_for(Part::Mysql).await?;
        self.world.stores.sql().await
    }

    async fn kv(&self) -> Result<MultiplexedConnection> {
        self.wait_for(Part::Redis).await?;
        self.world.stores.kv().await
    }
}

/// Lets a link's fault last, longer if nothing has met it, and ends it. Gives whether it struck.
async fn held(link: &Proxy, hold: Duration) -> bool {
    let struck = until_met(hold, || link.struck() > 0).await;
    link.open();
    struck
}

/// Waits for as long as a fault lasts, longer if nothing has met it. Gives whether anything has.
pub(super) async fn until_met(hold: Duration, is_met: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < hold || !is_met() && begun.elapsed() < hold + VICTIM_MAX {
        sleep(POLL).await;
    }
    is_met()
}
