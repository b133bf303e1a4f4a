//! Clients: what they buy, and that they come again.

use std::sync::Arc;

use tandem_protocol::{
    Event, Item as Line, Purchase, Reason, Reply, RequestId, Timestamp, WaitFor,
};

use crate::invariants::{Checked, check};
use crate::plan::{Planted, Shell, Trouble, Weather};
use crate::world::{Item, World};

impl World {
    pub(crate) fn purchase(&mut self, number: u64) -> Arc<Purchase> {
        let mut items = Vec::new();
        for (sku, chance) in [("tea", 700), ("mug", 400), ("pot", 150)] {
            if self.rng.per_mille(chance) {
                items.push(self.line(sku));
            }
        }
        if items.is_empty() {
            let sku = *self.rng.pick(&["tea", "ghost"]);
            items.push(self.line(sku));
        }
        if self.rng.per_mille(200) {
            let sku = *self.rng.pick(&["tea", "shipping"]);
            let mut line = self.line(sku);
            line.line_id = "l-2".into();
            line.untracked = true;
            items.push(line);
        }
        if self.rng.per_mille(100) {
            let mut line = self.line("tea");
            line.line_id = "l-3".into();
            items.push(line);
        }
        let customers = [
            "ann",
            "bob",
            "cem",
            "dia",
            "banned-by-mysql",
            "banned-by-ledger",
        ];
        Arc::new(Purchase {
            purchase_id: format!("p-{number}"),
            customer_id: (*self.rng.pick(&customers)).into(),
            currency: "EUR".into(),
            items,
            ..Default::default()
        })
    }

    fn line(&mut self, sku: &str) -> Line {
        Line {
            sku: sku.into(),
            quantity: u32::try_from(self.rng.within(1, 3)).expect("small"),
            unit_price_minor: 100,
            ..Default::default()
        }
    }

    pub(crate) fn submit(&mut self, purchase: Arc<Purchase>, tries: u32) -> Checked {
        if self.process.is_none() {
            self.after(50, 300, Item::Submit(purchase, tries));
            return Ok(());
        }
        self.next_request += 1;
        let request = self.next_request;
        let wait_for = if self.rng.per_mille(500) {
            WaitFor::Applied
        } else {
            WaitFor::Decided
        };
        let patience = if self.plan.weather == Weather::Calm {
            60_000
        } else if self.is_healed() {
            5_000
        } else {
            *self.rng.pick(&[0, 20, 100, 1_000, 5_000])
        };
        if self.chance(Trouble::HangUps, 50) {
            self.count("clients that hung up");
            self.come_again(purchase.clone(), tries);
        }
        self.availability.asked(request, self.now);
        if let Some(process) = &mut self.process {
            let asked = (purchase.clone(), tries);
            process.requests.insert(request, asked);
        }
        self.tell(vec![Event::Submitted {
            request,
            purchase,
            wait_for,
            deadline: Timestamp(self.now + patience),
        }])
    }

    pub(crate) fn come_again(&mut self, purchase: Arc<Purchase>, tries: u32) {
        if tries > 0 {
            self.count("purchases submitted again");
            self.after(20, 1_000, Item::Submit(purchase, tries - 1));
        }
    }

    pub(crate) fn replied(&mut self, request: RequestId, reply: &Reply) -> Checked {
        if self.has(Planted::Shell(Shell::RepliesAreLost)) && self.rng.per_mille(20) {
            return Ok(());
        }
        let asked = self
            .process
            .as_mut()
            .and_then(|p| p.requests.remove(&request));
        let Some((purchase, tries)) = asked else {
            let detail = format!("call {request} is answered again or was never made");
            return check("invariant_every_call_is_answered_once", false, detail);
        };
        self.judge_availability(request, &purchase, reply)?;
        if !matches!(
            reply,
            Reply::Reused | Reply::Crowded { .. } | Reply::OutcomeUnknown
        ) {
            self.wanted.replied(&purchase);
        }
        let is_stale = self.newest.is_some();
        if !is_stale || matches!(reply, Reply::Committed { .. }) {
            self.ledger.replied(&purchase, reply)?;
        }
        let what = match reply {
            Reply::Committed { applied: true, .. } => "replies committed, applied",
            Reply::Committed { .. } => "replies committed, not applied yet",
            Reply::Refused { refusal, .. } if refusal.reason.is_final() => "replies refused",
            Reply::Refused { .. } => "replies refused for now",
            Reply::Reused => "replies reused",
            Reply::Unavailable { .. } => "replies unavailable",
            Reply::QueueFull { .. } => "replies queue full",
            Reply::Crowded { .. } => "replies crowded",
            Reply::ShuttingDown => "replies shutting down",
            Reply::OutcomeUnknown => "replies outcome unknown",
            Reply::OutcomeCommitted { .. } => "replies outcome committed",
        };
        self.count(what);
        match reply {
            Reply::Refused { refusal, .. }
                if refusal.reason == Reason::Locked && self.met_a_lock(&purchase, 0) =>
            {
                self.count("purchases asked for again after a lock");
                self.after(5, 60, Item::Submit(purchase, tries));
            }
            Reply::Committed { .. } | Reply::Refused { .. } | Reply::Reused => {
                if self.chance(Trouble::HangUps, 300) {
                    self.come_again(purchase, tries);
                } else if self.chance(Trouble::HangUps, 100) {
                    let mut other = (*purchase).clone();
                    other.customer_id.push_str("-too");
                    self.come_again(Arc::new(other), tries);
                }
            }
            Reply::Unavailable { .. }
            | Reply::QueueFull { .. }
            | Reply::Crowded { .. }
            | Reply::ShuttingDown
            | Reply::OutcomeUnknown
            | Reply::OutcomeCommitted { .. } => self.come_again(purchase, tries),
        }
        Ok(())
    }
}
