//! What comes from outside, and when: purchases, and troubles by the weather.

use tandem_protocol::ParticipantName;

use crate::plan::{Trouble, Weather};
use crate::world::{HEAL_MS, Item, LATE_MS, World};

impl World {
    /// Puts on the agenda what comes from outside.
    pub(crate) fn prepare(&mut self) {
        self.at(0, Item::StartProcess);
        let wanted = self.rng.within(60, 180);
        for number in 0..self.plan.purchases.unwrap_or(wanted) {
            let purchase = self.purchase(number);
            self.purchases.push(purchase.clone());
            let time = self.rng.within(0, HEAL_MS - 1_000);
            // Many come in bursts.
            let time = if self.rng.per_mille(600) {
                time / 2_000 * 2_000
            } else {
                time
            };
            self.at(time, Item::Submit(purchase, 6));
        }
        self.at(500, Item::Operator);
        self.at(HEAL_MS + LATE_MS + 2_000, Item::LastRound);
        match self.plan.weather {
            Weather::Rough => self.prepare_rough(),
            Weather::Calm => self.prepare_calm(),
        }
    }

    /// A few outages, and a lock now and then.
    fn prepare_calm(&mut self) {
        let names: Vec<ParticipantName> = self.stores.keys().cloned().collect();
        for _ in 0..self.rng.within(1, 4) {
            let store = self.rng.pick(&names).clone();
            let item = match self.rng.within(0, 2) {
                0 => Item::CrashStore(store),
                1 => Item::OpenHalf(store),
                _ => Item::CrashProcess,
            };
            let time = self.rng.within(0, HEAL_MS - 4_000);
            self.at(time, item);
        }
        for _ in 0..self.rng.within(0, 10) {
            let time = self.rng.within(0, HEAL_MS - 1_000);
            let store = self.rng.pick(&names).clone();
            self.at(time, Item::LockRow(store));
        }
    }

    fn prepare_rough(&mut self) {
        let names: Vec<ParticipantName> = self.stores.keys().cloned().collect();
        for store in names {
            for _ in 0..self.rng.within(0, 3) {
                let crash = Item::CrashStore(store.clone());
                self.plan_trouble(Trouble::StoreCrashes, 1_000, crash);
            }
            let half = Item::OpenHalf(store.clone());
            self.plan_trouble(Trouble::HalfOpenLinks, 300, half);
            if self.lock_rng.per_mille(500) && !self.plan.without.contains(&Trouble::Locks) {
                let time = self.lock_rng.within(0, HEAL_MS - 100);
                self.at(time, Item::LockRow(store.clone()));
            }
            for item in [
                Item::CopyStore(store.clone()),
                Item::CopyStore(store.clone()),
                Item::RestoreStore(store.clone()),
                Item::RestoreStore(store.clone()),
                Item::SnapshotStore(store.clone()),
                Item::SnapshotStore(store.clone()),
            ] {
                self.plan_trouble(Trouble::Forgetting, 500, item);
            }
        }
        for _ in 0..self.rng.within(0, 4) {
            self.plan_trouble(Trouble::CoordinatorCrashes, 1_000, Item::CrashProcess);
        }
        for (trouble, item) in [
            (Trouble::App, Item::Restock),
            (Trouble::App, Item::AppTakesUnits),
            (Trouble::App, Item::AppTakesUnits),
            (Trouble::OldLogs, Item::CopyLog),
            (Trouble::OldLogs, Item::CopyLog),
            (Trouble::Forgetting, Item::FlushStore),
            (Trouble::Forgetting, Item::FlushStore),
            (Trouble::Forgetting, Item::FlushStore),
            (Trouble::Forgetting, Item::MemoryIsDeleted),
            (Trouble::Hands, Item::BranchIsRolledBackByHand),
            (Trouble::Hands, Item::BranchIsCommittedByHand),
            (Trouble::DiskFaults, Item::DiskFull),
        ] {
            self.plan_trouble(trouble, 500, item);
        }
    }

    fn plan_trouble(&mut self, trouble: Trouble, per_mille: u64, item: Item) {
        let time = self.rng.within(0, HEAL_MS - 100);
        if self.chance(trouble, per_mille) {
            self.at(time, item);
        }
    }
}
