//! What stores of stock have counted as deducted, against what the log says was.
//!
//! The log's lower bound is read before the store is asked, and its upper bound after: everything
//! that had ended before is counted there, and nothing is that was not decided when it was counted.
//! So what is under way is no difference, and no moment has to be the same at both.

use tandem_participant::audit_question::{AuditAnswer, AuditQuestion, SkuDeducted};
use tandem_protocol::{ParticipantName, SkuDeductions};

use super::disagreement::{self, DisagreementKind};
use super::look::{differs, place};
use super::run::{Ended, Run, Step};
use super::subject::{Look, Subject};
use crate::daemon::Link;

/// What one sku's count should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    at_least: u64,
    at_most: u64,
}

impl Bounds {
    /// By what the log said before the store was asked, and after.
    fn of(before: &SkuDeductions, after: &SkuDeductions) -> Bounds {
        Bounds {
            // Lower after than before: it is being carried out again for a store that lost it.
            at_least: before.at_least.min(after.at_least),
            at_most: before.at_most.max(after.at_most),
        }
    }

    fn holds(self, deducted: u64) -> bool {
        (self.at_least..=self.at_most).contains(&deducted)
    }

    /// By how many units the stock is too low, or too high if that is less than nothing.
    fn excess(self, deducted: u64) -> i128 {
        let bound = if deducted > self.at_most {
            self.at_most
        } else {
            self.at_least
        };
        i128::from(deducted) - i128::from(bound)
    }

    fn text(self) -> String {
        match (self.at_least, self.at_most) {
            (least, most) if least == most => format!("{least}"),
            (least, most) => format!("{least} to {most}"),
        }
    }
}

impl Run<'_> {
    /// Each store's counts against the log's totals.
    pub(super) async fn compare_deductions(&mut self) -> Step {
        for name in self.stock_at.clone() {
            let Some(link) = self.auditor.links.get(&name) else {
                continue;
            };
            let mut next = Some(0);
            while let Some(begin) = next {
                let page = {
                    let name = name.clone();
                    self.ask_core(move |core| core.deductions(&name, begin))
                        .await?
                };
                next = page.next;
                for some in page.skus.chunks(AuditQuestion::SKUS_MAX) {
                    if !self.compare_counts(link, some).await? {
                        next = None;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares some of one store's counts. Gives whether it keeps any.
    async fn compare_counts(
        &mut self,
        link: &Link,
        before: &[SkuDeductions],
    ) -> Result<bool, Ended> {
        let name = link.name().clone();
        let Some(counted) = self.bounds_and_counts(link, before.to_vec()).await? else {
            return Ok(false);
        };
        self.summary.skus += counted.len() as u64;
        for (bounds, counted) in counted {
            if !bounds.holds(counted.deducted) {
                self.suspect(Subject::Deducted {
                    participant: name.clone(),
                    sku: counted.sku,
                })
                .await?;
            }
        }
        Ok(true)
    }

    /// What a store has counted of these skus, and what it should have. Of a stock that has two names the log
    /// has decisions under both.
    async fn bounds_and_counts(
        &mut self,
        link: &Link,
        mut before: Vec<SkuDeductions>,
    ) -> Result<Option<Vec<(Bounds, SkuDeducted)>>, Ended> {
        let skus: Vec<String> = before.iter().map(|due| due.sku.clone()).collect();
        let Some(mut counted) = self.counts(link, skus.clone()).await? else {
            return Ok(None);
        };
        let also: Vec<Option<String>> = counted.iter().map(|one| one.also.clone()).collect();
        if also.iter().any(Option::is_some) {
            before = self.deductions_of(link.name(), skus.clone()).await?;
            self.add_deductions(link.name(), &mut before, &also).await?;
            let Some(again) = self.counts(link, skus.clone()).await? else {
                return Ok(None);
            };
            counted = again;
        }
        let mut after = self.deductions_of(link.name(), skus).await?;
        self.add_deductions(link.name(), &mut after, &also).await?;
        let bounds = before.iter().zip(&after);
        let bounds = bounds.map(|(before, after)| Bounds::of(before, after));
        Ok(Some(bounds.zip(counted).collect()))
    }

    /// Adds what the log says under each one's other name, where it has one.
    async fn add_deductions(
        &self,
        participant: &ParticipantName,
        sums: &mut [SkuDeductions],
        also: &[Option<String>],
    ) -> Result<(), Ended> {
        let others = also.iter().flatten().cloned().collect();
        let mut others = self.deductions_of(participant, others).await?.into_iter();
        for (sum, _) in sums.iter_mut().zip(also).filter(|(_, also)| also.is_some()) {
            if let Some(other) = others.next() {
                sum.at_least = sum.at_least.saturating_add(other.at_least);
                sum.at_most = sum.at_most.saturating_add(other.at_most);
            }
        }
        Ok(())
    }

    /// The second look at one count.
    pub(super) async fn look_at_deducted(
        &mut self,
        participant: &ParticipantName,
        sku: &str,
    ) -> Result<Look, Ended> {
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(Look::Unknown);
        };
        let before = self
            .deductions_of(participant, vec![sku.to_owned()])
            .await?;
        let counted = self.bounds_and_counts(link, before).await?;
        let Some((bounds, counted)) = counted.into_iter().flatten().next() else {
            return Ok(Look::Unknown);
        };
        if bounds.holds(counted.deducted) {
            return Ok(Look::Agrees);
        }
        let due = bounds.text();
        Ok(differs(
            DisagreementKind::DeductedDiffers,
            place(participant, "", ""),
            format!(
                "{participant} has counted {} units of {sku} as deducted, and by the log they are \
                 {due}; the stock is {}",
                counted.deducted,
                match counted.value {
                    Some(value) => value.to_string(),
                    None => "missing, or no integer".into(),
                }
            ),
            disagreement::of_deducted(sku, bounds.excess(counted.deducted), &due),
        ))
    }

    /// What a store has counted of these skus; `None` if it counts nothing or can't be asked.
    async fn counts(
        &mut self,
        link: &Link,
        skus: Vec<String>,
    ) -> Result<Option<Vec<SkuDeducted>>, Ended> {
        let question = AuditQuestion::Deducted {
            coordinator: self.auditor.coordinator.clone(),
            skus: skus.clone(),
        };
        match self.ask(link, &question).await? {
            Some(AuditAnswer::Deducted(counted))
                if counted.iter().map(|one| &one.sku).eq(&skus) =>
            {
                Ok(Some(counted))
            }
            Some(AuditAnswer::Deducted(_)) => {
                let text = format!("{}: it has told of other skus than asked for", link.name());
                self.unchecked(text).await?;
                Ok(None)
            }
            Some(AuditAnswer::NotKept(why)) => {
                let text = format!("what {} has deducted is not compared: {why}", link.name());
                self.unchecked(text).await?;
                Ok(None)
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn deductions_of(
        &self,
        participant: &ParticipantName,
        skus: Vec<String>,
    ) -> Result<Vec<SkuDeductions>, Ended> {
        let participant = participant.clone();
        self.ask_core(move |core| {
            let skus = skus.iter();
            skus.map(|sku| core.deductions_of(&participant, sku))
                .collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(at_least: u64, at_most: u64) -> SkuDeductions {
        SkuDeductions {
            sku: "tea".into(),
            at_least,
            at_most,
        }
    }

    #[test]
    fn what_is_under_way_while_the_store_is_asked_is_no_difference() {
        // 3 units were decided before, 2 more meanwhile, and all of them have ended since.
        let bounds = Bounds::of(&due(20, 23), &due(25, 25));
        assert!((20..=25).all(|deducted| bounds.holds(deducted)));
        assert!(!bounds.holds(19) && !bounds.holds(26));
        assert_eq!(bounds.text(), "20 to 25");
        assert_eq!((bounds.excess(19), bounds.excess(28)), (-1, 3));
    }

    #[test]
    fn what_begins_to_be_carried_out_again_meanwhile_is_no_difference() {
        let bounds = Bounds::of(&due(20, 20), &due(15, 20));
        assert!(bounds.holds(15) && bounds.holds(20) && !bounds.holds(14));
    }
}
