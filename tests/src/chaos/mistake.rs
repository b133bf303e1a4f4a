//! Planted mistakes: each takes away from outside what makes something right, and has to be found by the
//! judge of some round. So a run without a finding says something.

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::cmd;
use tandem_proto::v1;
use tandem_servers::{Flavor, ServerBinary};
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::arena::Arena;
use super::ground::Ground;
use super::kind::Kind;
use crate::coordinator::copy_folder;
use crate::links::LinkName;
use crate::parts::Part;
use crate::schema::Schema;

/// Much longer than what a purchase may take that nothing has hit.
const DELAY: Duration = Duration::from_secs(2);

/// What is taken away, or done behind everybody's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Redis' user may not have the append-only file rewritten, and that is accepted: the first half of a
    /// script that was torn stays in it, and a later start runs it.
    NoRewrite,
    /// The operator says that lost rows were put right, and did nothing.
    SettledUnmended,
    /// A unit is deducted once more.
    DeductedTwice,
    /// Redis is put back in time when all has ended, and is judged before tandem has looked at it.
    UnseenPast,
    /// The coordinator answers late, for no reason that the judge knows of.
    HiddenDelay,
    /// Sessions at MySQL are killed, for no reason that the judge knows of.
    HiddenKills,
}

/// When a mistake can be made in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Everything is healed, and everybody has been served since.
    Recovered,
    /// Everything has ended.
    Quiet,
}

impl Mistake {
    /// All mistakes.
    pub const ALL: [Mistake; 6] = [
        Mistake::NoRewrite,
        Mistake::SettledUnmended,
        Mistake::DeductedTwice,
        Mistake::UnseenPast,
        Mistake::HiddenDelay,
        Mistake::HiddenKills,
    ];

    /// The faults that bring it to light.
    pub fn kinds(self) -> Vec<Kind> {
        match self {
            Mistake::NoRewrite => vec![Kind::TornFile],
            Mistake::SettledUnmended => vec![
                Kind::BackInTime(Part::Mysql),
                Kind::OtherServer(Part::Mysql),
            ],
            Mistake::DeductedTwice | Mistake::UnseenPast => vec![Kind::ScriptFlush],
            Mistake::HiddenDelay | Mistake::HiddenKills => vec![Kind::KillConnections],
        }
    }

    /// Invariants one of which it breaks.
    pub fn breaks(self) -> &'static [&'static str] {
        const UNITS: &str = "invariant_row_if_and_only_if_deduction";
        match self {
            Mistake::DeductedTwice => &[UNITS],
            Mistake::NoRewrite | Mistake::UnseenPast => &[UNITS, "invariant_no_hold_left"],
            Mistake::SettledUnmended => &[UNITS, "invariant_reply_agrees"],
            Mistake::HiddenDelay => &["invariant_answered_within_bound"],
            Mistake::HiddenKills => &["invariant_undisturbed_is_answered_at_once"],
        }
    }

    /// Why it can't be made on this Redis, if so.
    pub fn unfit_for(self, redis: &ServerBinary) -> Option<&'static str> {
        let rewrites = self == Mistake::NoRewrite && redis.flavor == Flavor::Valkey;
        rewrites.then_some("Valkey takes a torn script back whole")
    }

    pub(super) fn lay(self, ground: &mut Ground) {
        if self == Mistake::NoRewrite {
            ground.forbidden = Some("-bgrewriteaof");
            ground.redis_settings = "accept = [\"AOF_NOT_REWRITTEN\"]\n".to_owned();
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mistake::NoRewrite => "no_rewrite",
            Mistake::SettledUnmended => "settled_unmended",
            Mistake::DeductedTwice => "deducted_twice",
            Mistake::UnseenPast => "unseen_past",
            Mistake::HiddenDelay => "hidden_delay",
            Mistake::HiddenKills => "hidden_kills",
        })
    }
}

impl FromStr for Mistake {
    type Err = String;

    fn from_str(text: &str) -> Result<Mistake, String> {
        let found = Mistake::ALL.into_iter().find(|one| one.to_string() == text);
        found.ok_or_else(|| format!("there is no mistake {text:?}"))
    }
}

impl Arena {
    /// Makes the mistake, if it is made at this moment.
    pub(super) async fn err(&self, moment: Moment) -> Result<()> {
        match (self.mistake, moment) {
            (Some(Mistake::HiddenDelay), Moment::Recovered) => {
                let link = self.links()?.of(LinkName::Clients);
                link.slow(DELAY);
                sleep(DELAY).await;
                link.open();
            }
            (Some(Mistake::HiddenKills), Moment::Recovered) => {
                self.kill_sessions().await?;
            }
            (Some(Mistake::DeductedTwice), Moment::Quiet) => {
                let mut kv = self.world.stores.kv().await?;
                let once_more = match self.ground.schema {
                    Schema::Tandem => cmd("DECRBY").arg("stock:tea").arg(1).to_owned(),
                    Schema::Shop => cmd("HINCRBY")
                        .arg(&["product:lamp", "stock-tokyo", "-1"])
                        .to_owned(),
                };
                let (): () = once_more.query_async(&mut kv).await?;
            }
            (Some(Mistake::UnseenPast), Moment::Quiet) => self.put_back_unseen()?,
            _ => {}
        }
        Ok(())
    }

    /// Keeps Redis' data as they are now.
    pub(super) fn copy_for_mistake(&self) -> Result<()> {
        if self.mistake != Some(Mistake::UnseenPast) {
            return Ok(());
        }
        let copy = self.world.folder().join("unseen");
        let _ = fs::remove_dir_all(&copy);
        self.world.kill(Part::Redis)?;
        block_in_place(|| copy_folder(&self.world.stores.redis.data_dir(), &copy))?;
        self.world.revive(Part::Redis, None)
    }

    fn put_back_unseen(&self) -> Result<()> {
        for part in [Part::Coordinator, Part::RedisSidecar, Part::Redis] {
            self.world.kill(part)?;
        }
        let data = self.world.stores.redis.data_dir();
        block_in_place(|| {
            fs::remove_dir_all(&data)?;
            copy_folder(&self.world.folder().join("unseen"), &data)
        })?;
        self.world.revive(Part::Redis, None)
    }

    /// Says that a lost branch is committed, without a look.
    pub(super) async fn settle_unmended(&self, id: &str, branch: &v1::BranchSummary) -> Result<()> {
        let settle = v1::SettleTransactionRequest {
            transaction_id: id.to_owned(),
            participant: branch.participant.clone(),
            settlement: v1::Settlement::Committed.into(),
            reason: "the rows were put right by hand".to_owned(),
            operator: "bob".to_owned(),
            preview: false,
            force: false,
        };
        let operator = self.world.coordinator.operator();
        operator.settle(settle).await.context("settle")?;
        Ok(())
    }
}
