//! What there was to take over, and what died meanwhile.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};
use redis::cmd;

use super::{Plan, older};
use crate::judge::Judge;
use crate::parts::Part;
use crate::world::World;

/// Counts over all rounds.
#[derive(Debug, Default)]
pub struct Seen {
    /// Branches that were prepared at MySQL when the older build had died.
    branches: usize,
    /// Branches that held units in Redis.
    holds: usize,
    /// Transactions that Redis remembered as committed.
    remembered: usize,
    deaths: BTreeMap<Part, u32>,
    /// Deaths after which the keys in Redis were half moved.
    half_moved: u32,
    /// Transactions whose branch MySQL has lost by itself.
    pub(super) lost_by_mysql: usize,
    /// How often the older build was started where it may take over.
    pub(super) older_turns: u32,
    pub(super) older_refused: u32,
    pub(super) older_sidecars_refused: u32,
}

impl Seen {
    pub(super) async fn taken_over(&mut self, world: &World) -> Result<()> {
        self.branches += Judge(&world.stores).prepared_branches().await?.len();
        let mut kv = world.stores.kv().await?;
        let mut count = async |key| cmd("ZCARD").arg(key).query_async::<usize>(&mut kv).await;
        self.holds += count("tandem:prepared").await?;
        // Of a build with keys of version 1, and of one with those of version 2.
        self.remembered += count("tandem:committed:shop").await?;
        self.remembered += count("tandem:committed:shop:stock").await?;
        Ok(())
    }

    pub(super) fn death(&mut self, victim: Part, ran: bool) {
        *self.deaths.entry(victim).or_default() += u32::from(ran);
    }

    pub(super) async fn interrupted(&mut self, world: &World) -> Result<()> {
        self.half_moved += u32::from(older::is_half_moved(world).await?);
        Ok(())
    }

    /// That the rounds show something.
    ///
    /// # Errors
    /// If something never came up.
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        const ENOUGH: u32 = 50;
        let rounds = plan.rounds - plan.first;
        let met = self.branches > 0 && self.holds > 0 && self.remembered > 0;
        ensure!(met, "there was nothing unfinished to take over: {self}");
        let all = match plan.takes_turns {
            true => self.older_turns > 0,
            false => {
                self.half_moved > 0 && self.older_refused > 0 && self.older_sidecars_refused > 0
            }
        };
        ensure!(rounds < ENOUGH || all, "something never came up: {self}");
        Ok(())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "taken over: {} prepared branches, {} branches that hold units, {} commits remembered; deaths \
             meanwhile:",
            self.branches, self.holds, self.remembered
        )?;
        for (part, deaths) in &self.deaths {
            write!(f, " {part} {deaths}")?;
        }
        write!(
            f,
            "; keys half moved {} times; starts of the older build refused: {}, its sidecars: {}; turns of \
             the older build: {}; transactions lost by MySQL itself, named and repaired: {}",
            self.half_moved,
            self.older_refused,
            self.older_sidecars_refused,
            self.older_turns,
            self.lost_by_mysql
        )
    }
}
