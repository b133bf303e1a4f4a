//! What the processes that take part use: processor time, forced writes.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cpu;
use crate::forces::Forces;
use crate::score::Used;

/// The processes of a turn.
pub(crate) struct Meter<'a> {
    forces: &'a Forces,
    processes: Vec<(&'static str, u32)>,
}

/// What each has used since it began.
pub(crate) type Reading = BTreeMap<&'static str, Used>;

impl<'a> Meter<'a> {
    /// Of these processes, and of this one: the clients.
    pub(crate) fn of(forces: &'a Forces, mut processes: Vec<(&'static str, u32)>) -> Meter<'a> {
        processes.push(("clients", std::process::id()));
        Meter { forces, processes }
    }

    pub(crate) fn read(&self) -> Result<Reading> {
        let read = |pid| {
            anyhow::Ok(Used {
                cpu: cpu::used(pid)?,
                forces: self.forces.made(pid)?,
            })
        };
        let each = self.processes.iter();
        each.map(|(name, pid)| Ok((*name, read(*pid)?))).collect()
    }

    pub(crate) fn since(&self, before: &Reading) -> Result<Reading> {
        let mut used = self.read()?;
        for (name, used) in &mut used {
            let before = before.get(name).copied().unwrap_or_default();
            used.cpu = used.cpu.saturating_sub(before.cpu);
            used.forces -= before.forces;
        }
        Ok(used)
    }
}
