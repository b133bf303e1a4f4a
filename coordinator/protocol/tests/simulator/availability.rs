//! Whether those whom no fault hits notice none.
//!
//! Judged where it is known what hits whom: in calm weather, where no message is lost and nothing happens
//! but outages with a beginning and an end, and rows that others hold.

use std::collections::{BTreeMap, BTreeSet};

use tandem_protocol::{Purchase, Reason, Reply, RequestId};

use crate::invariants::{Checked, check};
use crate::plan::Weather;
use crate::world::World;

/// A purchase that no fault hits is answered within this time: the transaction before its own, its own,
/// and its own once more for a neighbour's sake, each of which may wait for a lock that nobody knew of.
const ANSWERED_WITHIN_MS: u64 = 500;

/// One that waits apart, since something that it touches was locked a moment ago, is answered within this
/// time: there one transaction after the other may wait for a lock.
const ANSWERED_APART_WITHIN_MS: u64 = 1_500;

/// An outage ends this long after its cause, at the latest.
const RECOVERED_WITHIN_MS: u64 = 1_000;

/// The goods that run out in calm weather.
pub(crate) const SCARCE: &str = "pot";

/// What clients wait for, and what was out of service when.
#[derive(Default)]
pub(crate) struct Availability {
    /// When each call was made.
    asked: BTreeMap<RequestId, u64>,
    /// Calls whose purchase has waited apart since.
    apart: BTreeSet<RequestId>,
    /// From when and until when something was down.
    outages: Vec<(u64, u64)>,
    /// When the process died, while none runs.
    died: Option<u64>,
}

impl Availability {
    pub(crate) fn asked(&mut self, request: RequestId, now: u64) {
        self.asked.insert(request, now);
    }

    pub(crate) fn outage(&mut self, from: u64, until: u64) {
        self.outages.push((from, until));
    }

    pub(crate) fn process_died(&mut self, now: u64) {
        self.died.get_or_insert(now);
        self.asked.clear();
        self.apart.clear();
    }

    pub(crate) fn process_started(&mut self, now: u64) {
        let died = self.died.take().unwrap_or(0);
        self.outages.push((died, now));
    }

    /// When the last outage of those that have hit a call is over, which was made at a time.
    fn hit_until(&self, asked: u64, now: u64) -> Option<u64> {
        let outages = self.outages.iter();
        let over = outages
            .filter(|(from, _)| *from <= now)
            .map(|(_, until)| until + RECOVERED_WITHIN_MS);
        over.filter(|over| asked <= *over).max()
    }
}

impl World {
    /// These purchases wait apart.
    pub(crate) fn wait_apart(&mut self, apart: &[String]) {
        let Some(process) = &self.process else { return };
        let calls = process.requests.iter();
        let calls = calls.filter(|(_, (purchase, _))| apart.contains(&purchase.purchase_id));
        self.availability.apart.extend(calls.map(|(call, _)| *call));
    }

    /// A client is answered.
    pub(crate) fn judge_availability(
        &mut self,
        request: RequestId,
        purchase: &Purchase,
        reply: &Reply,
    ) -> Checked {
        let Some(asked) = self.availability.asked.remove(&request) else {
            return Ok(());
        };
        if self.plan.weather == Weather::Rough {
            return Ok(());
        }
        let hit_until = self.availability.hit_until(asked, self.now);
        let within = match self.availability.apart.remove(&request) {
            true => ANSWERED_APART_WITHIN_MS,
            false => ANSWERED_WITHIN_MS,
        };
        let due = hit_until.unwrap_or(0).max(asked) + within;
        check(
            "invariant_outage_ends_with_its_cause",
            self.now <= due,
            format!(
                "{} was asked for at {asked} and answered {} ms too late; hit until {hit_until:?}",
                purchase.purchase_id,
                self.now.saturating_sub(due)
            ),
        )?;
        // Of what runs out somebody may be giving units back, who has to be waited for.
        let is_scarce = purchase.items.iter().any(|item| item.sku == SCARCE);
        if hit_until.is_some() || is_scarce || self.met_a_lock(purchase, asked) {
            self.count("calm: purchases hit by a fault");
            return Ok(());
        }
        self.count("calm: purchases not hit by a fault");
        let is_an_outcome = match reply {
            Reply::Committed { .. } | Reply::Reused => true,
            Reply::Refused { refusal, .. } => {
                !matches!(refusal.reason, Reason::Locked | Reason::Misconfigured)
            }
            Reply::Unavailable { .. }
            | Reply::QueueFull { .. }
            | Reply::Crowded { .. }
            | Reply::ShuttingDown
            | Reply::OutcomeUnknown
            | Reply::OutcomeCommitted { .. } => false,
        };
        check(
            "invariant_who_is_not_hit_is_served",
            is_an_outcome,
            format!("{} heard {reply:?}", purchase.purchase_id),
        )
    }
}
