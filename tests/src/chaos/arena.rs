//! The world of a chaos run, and what can be done to each process of it.

use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use redis::cmd;
use sqlx::Executor;
use tokio::time::timeout;

use crate::chaos::availability::Troubles;
use crate::chaos::by_hand::ByHand;
use crate::chaos::ground::Ground;
use crate::chaos::kind::Armed;
use crate::chaos::mistake::Mistake;
use crate::chaos::shop::Shop;
use crate::chaos::time::FileEnd;
use crate::disk::Disk;
use crate::links::{LinkName, Links};
use crate::machine::Pair;
use crate::parts::Part;
use crate::schema::Schema;
use crate::stores::StoresOptions;
use crate::world::{LIMITS, Setup, World};

/// Shorter than the defaults, so that what is silent is noticed within a round. Retention is short
/// too, so that forgetting is part of every run, but longer than the longest round: a client that
/// was stuck meanwhile asks again for what it was told at the round's beginning.
const MORE_LIMITS: &str = "prepare_timeout_ms = 2000\n\n[retention]\npurchases_max = 5000\n";

const SIGKILL: i32 = 9;

/// How often a start may be refused for what a DBA committed by hand.
const REFUSALS_MAX: u32 = 4;

/// The longest that a store may take to be told to behave again.
const TELL_MAX: Duration = Duration::from_secs(20);

/// The world, and what was done to it by hand.
#[derive(Debug)]
pub(super) struct Arena {
    pub(super) world: World,
    /// Branches that a DBA has ended in this round.
    pub(super) by_hand: Mutex<Vec<ByHand>>,
    /// Processes that ended by themselves in this round.
    pub(super) ends: Mutex<Vec<String>>,
    /// When something was broken in this round.
    pub(super) troubles: Troubles,
    /// Whether MySQL has lost in this round what it had acknowledged.
    pub(super) rows_lost: AtomicBool,
    /// Where Redis' append-only file ended when the app wrote last.
    pub(super) app_wrote_to: Mutex<Option<FileEnd>>,
    /// Copies of stores' folders so far.
    pub(super) copies: AtomicU32,
    pub(super) ground: Ground,
    pub(super) mistake: Option<Mistake>,
    /// The shop, if purchases are kept in one's own schema.
    pub(super) shop: Option<Shop>,
    /// The how many-th world it is.
    pub(super) number: u32,
    /// Held by who stops and starts a store: MySQL's and Redis'.
    hands: [tokio::sync::Mutex<()>; 2],
}

impl Arena {
    pub(super) async fn open(
        pair: &Pair,
        ground: Ground,
        mistake: Option<Mistake>,
        number: u32,
    ) -> Result<Arena> {
        let setup = Setup {
            stores: StoresOptions {
                app_user: true,
                mysql_args: ground.mysql_args.clone(),
                redis_args: ground.redis_args.clone(),
                redis_settings: ground.redis_settings.clone(),
                redis_forbidden: ground.forbidden,
                stock: ground.stock,
                schema: ground.schema,
                ids_fold_case: ground.folds,
                ..StoresOptions::default()
            },
            limits: format!("{LIMITS}{MORE_LIMITS}"),
            sidecars: true,
            links: true,
            disks: Disk::permitted().is_ok(),
            sidecar_settings: "connect_timeout_ms = 1000\n".to_owned(),
            ..Setup::default()
        };
        let world = World::new(pair, setup).await?;
        let shop = match ground.schema {
            Schema::Tandem => None,
            Schema::Shop => Some(Shop::open(&world.stores).await?),
        };
        Ok(Arena {
            world,
            shop,
            by_hand: Mutex::default(),
            ends: Mutex::default(),
            troubles: Troubles::default(),
            rows_lost: AtomicBool::new(false),
            app_wrote_to: Mutex::default(),
            copies: AtomicU32::new(0),
            ground,
            mistake,
            number,
            hands: Default::default(),
        })
    }

    /// To be locked by who stops and starts a store.
    pub(super) fn in_hand(&self, store: Part) -> &tokio::sync::Mutex<()> {
        &self.hands[usize::from(store == Part::Redis)]
    }

    pub(super) fn links(&self) -> Result<&Links> {
        self.world.links.as_ref().context("a world without links")
    }

    /// Starts what has died at its step, for the next death if it is to die again. Gives whether
    /// it had died.
    pub(super) fn take_death(&self, armed: &Armed, deaths: u32) -> Result<bool> {
        let status = self.world.ended(armed.part)?;
        let died = status.is_some_and(|status| status.signal() == Some(SIGKILL));
        if died {
            self.world
                .revive(armed.part, armed.order(deaths + 1).as_deref())?;
        }
        Ok(died)
    }

    /// Remembers which of tandem's processes ended by themselves, for the judgement.
    pub(super) fn note_ends(&self) -> Result<()> {
        for part in [Part::Coordinator, Part::MysqlSidecar, Part::RedisSidecar] {
            if let Some(status) = self.world.ended(part)? {
                let end = format!("{part} ended by itself: {status}");
                let mut ends = self.ends.lock().unwrap();
                if !ends.contains(&end) {
                    ends.push(end);
                }
            }
        }
        Ok(())
    }

    /// Undoes all faults and waits until every part works again. Gives how many starts were
    /// refused for what was committed by hand.
    pub(super) async fn heal(&self, sever: bool) -> Result<u32> {
        let trouble = self.troubles.begin();
        for name in LinkName::ALL {
            let link = self.links()?.of(name);
            link.open();
            if sever {
                link.sever();
            }
        }
        for disk in self.world.disks.iter().flatten() {
            disk.empty()?;
        }
        self.lead_home()?;
        self.note_ends()?;
        for part in Part::ALL {
            // What is down is started below.
            let _ = self.world.resume(part);
        }
        for part in [
            Part::Mysql,
            Part::Redis,
            Part::MysqlSidecar,
            Part::RedisSidecar,
        ] {
            self.world.revive(part, None)?;
        }
        timeout(TELL_MAX, self.behave())
            .await
            .context("the stores do not answer")??;
        self.world.revive(Part::Coordinator, None)?;
        drop(trouble);
        self.start_coordinator().await
    }

    /// Both stores as they were configured.
    async fn behave(&self) -> Result<()> {
        let mut root = self.world.stores.sql().await?;
        root.execute("SET GLOBAL read_only = 0").await?;
        let mut kv = self.world.stores.kv().await?;
        let all = cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).to_owned();
        let (): () = all.query_async(&mut kv).await?;
        self.permit(&mut kv).await
    }

    async fn start_coordinator(&self) -> Result<u32> {
        let mut refusals = 0;
        loop {
            self.world.revive(Part::Coordinator, None)?;
            let trouble = self.troubles.begin();
            let Err(error) = self.world.coordinator.ready().await else {
                // How long it took is the coordinator's own.
                trouble.forget();
                return Ok(refusals);
            };
            // Only the log's own words excuse a coordinator that does not start.
            let excused = self.world.runs(Part::Coordinator)? || !self.take_back_commits().await?;
            if excused || refusals == REFUSALS_MAX {
                bail!("{error:?}");
            }
            refusals += 1;
            // Its cause was a person's.
            drop(trouble);
        }
    }
}
