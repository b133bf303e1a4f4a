//! The older build beside and after the newer: it is refused by name, and changes nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use redis::cmd;

use super::seen::Seen;
use super::{Part, Upgrade};
use crate::dump;
use crate::wait::until;
use crate::world::World;

/// What the keys themselves tell an older build.
const BY_NAME: &str = "newer tandem";

/// The coordinator in the older keys.
const OLD_COORDINATOR: &str = "tandem:coordinator:shop";

/// How long the moving of keys is waited for.
const MOVE_MAX: Duration = Duration::from_secs(2);

/// How long the new coordinator may take to name a sidecar that it can't use.
const NAMED_MAX: Duration = Duration::from_secs(10);

/// Whether the keys in Redis are being moved.
pub(super) async fn is_half_moved(world: &World) -> Result<bool> {
    let mut kv = world.stores.kv().await?;
    let moving = cmd("HEXISTS").arg(OLD_COORDINATOR).arg("moving").to_owned();
    Ok(moving.query_async(&mut kv).await?)
}

/// Waits until the keys in Redis are being moved, without a pause, since that takes little time; or until
/// they have been moved.
pub(super) async fn wait_half_moved(world: &World) -> Result<()> {
    let mut kv = world.stores.kv().await?;
    let begun = Instant::now();
    let moving = cmd("HMGET")
        .arg(OLD_COORDINATOR)
        .arg(&["moving", "log"])
        .to_owned();
    while begun.elapsed() < MOVE_MAX {
        let state: Vec<Option<String>> = moving.query_async(&mut kv).await?;
        if state.iter().flatten().any(|value| value.contains(BY_NAME)) {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the keys in Redis refuse the older build from now on.
pub(super) async fn is_shut_out(world: &World) -> Result<bool> {
    let mut kv = world.stores.kv().await?;
    let log = cmd("HGET").arg(OLD_COORDINATOR).arg("log").to_owned();
    let log: Option<String> = log.query_async(&mut kv).await?;
    Ok(log.is_some_and(|log| log.contains(BY_NAME)))
}

impl Upgrade<'_> {
    /// The older build is started on what the newer has written, while that is down.
    pub(super) async fn refuse_older(&self, seen: &mut Seen) -> Result<()> {
        let world = self.world;
        let before = dump::redis(&world.stores).await?;
        let said_before = world.coordinator.log().len();
        world.coordinator.run_build(Some(self.plan.from.clone()));
        world.revive(Part::Coordinator, None)?;
        let status = world.coordinator.wait_end().await;
        world.coordinator.run_build(None);
        let status = status.context("an older build goes on after the newer one")?;
        let log = world.coordinator.log();
        let said = &log[said_before..];
        ensure!(
            !status.success() && said.contains(BY_NAME),
            "the older build was not refused by name ({status}):\n{said}"
        );
        let after = dump::redis(&world.stores).await?;
        ensure!(before == after, "the older build has changed Redis");
        seen.older_refused += 1;
        Ok(())
    }

    /// The older coordinator with the newer sidecars: each refuses it by name, and Redis stays as it is.
    pub(super) async fn refuse_older_beside_sidecars(&self, seen: &mut Seen) -> Result<()> {
        let world = self.world;
        let before = dump::redis(&world.stores).await?;
        let said_before = world.coordinator.log().len();
        world.coordinator.run_build(Some(self.plan.from.clone()));
        world.revive(Part::Coordinator, None)?;
        until("both sidecars refuse it", NAMED_MAX, async || {
            let log = world.coordinator.log();
            let said = log[said_before..]
                .matches("coordinator shop is older")
                .count();
            Ok(said >= 2)
        })
        .await?;
        world.kill(Part::Coordinator)?;
        world.coordinator.run_build(None);
        let after = dump::redis(&world.stores).await?;
        ensure!(
            before == after,
            "the older build has changed Redis through a newer sidecar"
        );
        seen.older_refused += 1;
        Ok(())
    }

    /// The newer coordinator with the older sidecars: they are named, and Redis stays as it is. Then they
    /// are down, to be updated, as they should have been before it.
    pub(super) async fn refuse_older_sidecars(&self, seen: &mut Seen) -> Result<()> {
        let world = self.world;
        for part in self.sidecars() {
            world.sidecar(part).run_build(Some(self.plan.from.clone()));
            world.sidecar(part).restart().await?;
        }
        let before = dump::redis(&world.stores).await?;
        let said_before = world.coordinator.log().len();
        world.revive(Part::Coordinator, None)?;
        let named = |part| {
            let name = world.sidecar(part).kind().name();
            format!(
                "participant {name} at {}/ is older",
                world.sidecar(part).url()
            )
        };
        let all = [Part::MysqlSidecar, Part::RedisSidecar].map(named);
        until("both sidecars are named", NAMED_MAX, async || {
            let log = world.coordinator.log();
            Ok(all.iter().all(|name| log[said_before..].contains(name)))
        })
        .await?;
        world.kill(Part::Coordinator)?;
        let after = dump::redis(&world.stores).await?;
        ensure!(
            before == after,
            "the newer build has changed Redis through an older sidecar"
        );
        for part in self.sidecars() {
            world.kill(part)?;
        }
        world.update();
        seen.older_sidecars_refused += 1;
        Ok(())
    }
}
