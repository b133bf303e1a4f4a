//! Processor time of every process that takes part.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use tandem_tests::World;

/// Processor time of each process since it began.
pub(crate) struct Meter(BTreeMap<&'static str, (u32, Duration)>);

impl Meter {
    /// Reads the clients' (this process), the stores', the coordinator's.
    pub(crate) fn read(world: &World) -> Result<Meter> {
        let stores = &world.stores;
        let mut processes = BTreeMap::from([("clients", std::process::id())]);
        for (name, pid) in [
            ("mysql", stores.mysql.pid()),
            ("redis", stores.redis.pid()),
            ("coordinator", world.coordinator.process_id()),
        ] {
            processes.insert(name, pid.with_context(|| format!("{name} is down"))?);
        }
        let read = processes
            .into_iter()
            .map(|(name, pid)| Ok((name, (pid, used(pid)?))));
        Ok(Meter(read.collect::<Result<_>>()?))
    }

    /// What each has used since then.
    pub(crate) fn since(&self) -> Result<BTreeMap<&'static str, Duration>> {
        self.0
            .iter()
            .map(|(name, (pid, before))| Ok((*name, used(*pid)?.saturating_sub(*before))))
            .collect()
    }
}

/// User and system time of a process: fields 14 and 15 of `/proc/PID/stat` (proc(5)), in clock
/// ticks.
fn used(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, field 2, is in parentheses and may hold spaces.
    let ticks: u64 = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().context("an unreadable process state"))
        .sum::<Result<_>>()?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}
