//! The first look, page by page: what differs is suspected.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use tandem_participant::audit_question::{
    AuditAnswer, AuditQuestion, Holdings, KeptPurchase, Remembered,
};
use tandem_protocol::{
    BranchProgress, Decision, Entry, ParticipantName, PreparedId, RememberedDecision, Standing,
    TransactionId,
};

use super::compare::difference;
use super::look::is_stranger;
use super::memory::MemoryReader;
use super::run::{Ended, Run, Step};
use super::subject::Subject;

/// Decisions that are read back from the log and compared at once.
const DECISIONS_MAX: usize = 64;

impl Run<'_> {
    /// Damage that the coordinator knows of itself.
    pub(super) async fn look_at_unfinished(&mut self) -> Step {
        let found = self
            .ask_core(|core| {
                let mut damaged = Vec::new();
                let mut in_flight = 0;
                for view in core.unfinished() {
                    in_flight += u64::from(view.decide_time.is_some());
                    for branch in view.branches {
                        if matches!(
                            branch.progress,
                            BranchProgress::Heuristic(_) | BranchProgress::Stuck(_)
                        ) {
                            damaged.push((branch.participant, view.id.clone()));
                        }
                    }
                }
                (damaged, in_flight)
            })
            .await?;
        let (damaged, in_flight) = found;
        self.summary.in_flight = in_flight;
        for (participant, transaction) in damaged {
            self.suspect(Subject::Damage {
                participant,
                transaction,
            })
            .await?;
        }
        Ok(())
    }

    /// Each decision against the rows and the memories, and each memory against the decisions.
    pub(super) async fn compare_decisions(&mut self) -> Step {
        let mut after = None;
        let mut readers: BTreeMap<ParticipantName, MemoryReader> = BTreeMap::new();
        let mut has_begun = false;
        loop {
            let page = {
                let (since, until, after) = (self.since, self.until, after.clone());
                self.ask_core(move |core| core.decisions(since, until, after.as_ref()))
                    .await?
            };
            if !has_begun && (!page.decisions.is_empty() || page.next.is_none()) {
                // Before the first decision of the time nothing is compared.
                has_begun = true;
                for link in self.links() {
                    let reader = MemoryReader::new(after.clone());
                    readers.insert(link.name().clone(), reader);
                }
            }
            let mut expected: BTreeMap<ParticipantName, BTreeSet<TransactionId>> = BTreeMap::new();
            let ended: Vec<RememberedDecision> = page
                .decisions
                .into_iter()
                .filter(|decision| decision.has_ended)
                .collect();
            for some in ended.chunks(DECISIONS_MAX) {
                let decisions = self.read(some).await?;
                for (kept, decision) in some.iter().zip(&decisions) {
                    for name in decision.iter().flat_map(|decision| &decision.participants) {
                        if !kept.settled.contains(name) {
                            let ids = expected.entry(name.clone()).or_default();
                            ids.insert(kept.transaction.clone());
                        }
                    }
                }
                let decisions: Vec<Decision> = decisions.into_iter().flatten().collect();
                self.compare_purchases(&decisions).await?;
            }
            if has_begun {
                for (name, reader) in &mut readers {
                    let remembered = self.read_memory(name, reader, page.next.as_ref()).await?;
                    let expected = expected.remove(name).unwrap_or_default();
                    if !self.silent.contains(name) && !self.forgetful.contains(name) {
                        self.compare_memory(name, remembered, expected).await?;
                    }
                }
            }
            match page.next {
                None => return Ok(()),
                next => after = next,
            }
        }
    }

    /// Reads decisions back from the log, in their order.
    async fn read(&mut self, kept: &[RememberedDecision]) -> Result<Vec<Option<Decision>>, Ended> {
        let log = &self.auditor.log;
        let read = kept.iter().map(|kept| async {
            match kept.position {
                Some(position) => log.decision(position).await,
                None => None,
            }
        });
        let read = join_all(read).await;
        for (kept, decision) in kept.iter().zip(&read) {
            let id = kept.transaction.clone();
            if decision.as_ref().is_some_and(|d| d.transaction == id) {
                self.summary.transactions += 1;
                continue;
            }
            let lookup = id.clone();
            let is_kept = self
                .ask_core(move |core| core.decision(&lookup).is_some())
                .await?;
            // Otherwise it was forgotten while it was being read.
            if is_kept {
                self.unchecked(format!(
                    "the decision of {id} could not be read back from the log"
                ))
                .await?;
            }
        }
        let ids = kept.iter().map(|kept| &kept.transaction);
        Ok(read
            .into_iter()
            .zip(ids)
            .map(|(decision, id)| decision.filter(|decision| decision.transaction == *id))
            .collect())
    }

    async fn compare_purchases(&mut self, decisions: &[Decision]) -> Step {
        let purchases: Vec<(&Decision, &Entry)> = decisions
            .iter()
            .flat_map(|decision| {
                let entries = decision.entries.iter();
                entries.map(move |entry| (decision, entry))
            })
            .collect();
        self.summary.purchases += purchases.len() as u64;
        for name in self.rows_at.clone() {
            let Some(link) = self.auditor.links.get(&name) else {
                continue;
            };
            for some in purchases.chunks(AuditQuestion::PURCHASES_MAX) {
                let ids = some.iter().map(|(_, e)| e.purchase.purchase_id.clone());
                let question = AuditQuestion::Purchases {
                    purchase_ids: ids.collect(),
                };
                let Some(AuditAnswer::Purchases(rows)) = self.ask(link, &question).await? else {
                    continue;
                };
                let mut by_id: BTreeMap<&str, Vec<&KeptPurchase>> = BTreeMap::new();
                for row in &rows.purchases {
                    by_id.entry(&row.purchase_id).or_default().push(row);
                }
                for (decision, entry) in some {
                    let purchase = &entry.purchase;
                    let rows = by_id.get(purchase.purchase_id.as_str());
                    let rows = rows.map_or(&[][..], Vec::as_slice);
                    let attributes = &self.auditor.attributes;
                    if difference(decision, purchase, attributes, rows).is_some() {
                        self.suspect(Subject::Purchase {
                            participant: name.clone(),
                            transaction: decision.transaction.clone(),
                            purchase_id: purchase.purchase_id.clone(),
                        })
                        .await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn read_memory(
        &mut self,
        name: &ParticipantName,
        reader: &mut MemoryReader,
        last: Option<&TransactionId>,
    ) -> Result<Vec<Remembered>, Ended> {
        let Some(link) = self.auditor.links.get(name) else {
            return Ok(Vec::new());
        };
        while let Some(after) = reader.needs(last) {
            let question = AuditQuestion::Memory {
                coordinator: self.auditor.coordinator.clone(),
                after,
            };
            match self.ask(link, &question).await? {
                Some(AuditAnswer::Memory(page)) => reader.add(page),
                Some(AuditAnswer::NotKept(why)) => {
                    self.unchecked(format!("what {name} remembers: {why}"))
                        .await?;
                    self.forgetful.insert(name.clone());
                    break;
                }
                Some(_) | None => break,
            }
        }
        Ok(reader.take(last))
    }

    async fn compare_memory(
        &mut self,
        name: &ParticipantName,
        remembered: Vec<Remembered>,
        mut expected: BTreeSet<TransactionId>,
    ) -> Step {
        self.summary.remembered += remembered.len() as u64;
        let mut strangers = Vec::new();
        let mut suspects = Vec::new();
        for one in remembered {
            let is_expected = expected.remove(&one.transaction);
            match (is_expected, one.committed) {
                (true, true) | (false, false) => {}
                (true, false) => suspects.push(one.transaction),
                (false, true) => strangers.push(one.transaction),
            }
        }
        suspects.extend(expected);
        let name = name.clone();
        let standing = {
            let name = name.clone();
            self.ask_core(move |core| {
                let unknown = |id: &TransactionId| {
                    matches!(
                        core.standing(&id.at(&name)),
                        Standing::NotBegun | Standing::WithoutDecision
                    )
                };
                strangers.retain(unknown);
                strangers
            })
            .await?
        };
        for transaction in suspects.into_iter().chain(standing) {
            self.suspect(Subject::Memory {
                participant: name.clone(),
                transaction,
            })
            .await?;
        }
        Ok(())
    }

    /// Each row against the decisions.
    pub(super) async fn compare_rows(&mut self) -> Step {
        for name in self.rows_at.clone() {
            let Some(link) = self.auditor.links.get(&name) else {
                continue;
            };
            let mut after = String::new();
            loop {
                let question = AuditQuestion::Rows {
                    since: self.since,
                    until: self.until,
                    after,
                };
                let page = match self.ask(link, &question).await? {
                    Some(AuditAnswer::Rows(page)) => page,
                    Some(AuditAnswer::NotKept(why)) => {
                        self.note(format!(
                            "rows at {name} that tandem has not decided are not looked for: {why}"
                        ))
                        .await?;
                        break;
                    }
                    Some(_) | None => break,
                };
                self.summary.rows += page.purchases.len() as u64;
                let strangers = {
                    let name = name.clone();
                    let rows = page.purchases;
                    self.ask_core(move |core| {
                        rows.into_iter()
                            .filter(|row| is_stranger(core, &name, row))
                            .map(|row| row.purchase_id)
                            .collect::<Vec<_>>()
                    })
                    .await?
                };
                for purchase_id in strangers {
                    self.suspect(Subject::Row {
                        participant: name.clone(),
                        purchase_id,
                    })
                    .await?;
                }
                match page.next {
                    None => break,
                    Some(next) => after = next,
                }
            }
        }
        Ok(())
    }

    /// What is held against what is under way, and the sums against what is held.
    pub(super) async fn compare_holdings(&mut self) -> Step {
        for link in self.links() {
            let name = link.name().clone();
            let holdings = match self.ask(&link, &AuditQuestion::Holdings).await? {
                Some(AuditAnswer::Holdings(holdings)) => holdings,
                Some(_) | None => continue,
            };
            self.stock_at.insert(name.clone());
            let mut suspects: Vec<Subject> = holdings
                .holds
                .iter()
                .map(|hold| Subject::Hold {
                    participant: name.clone(),
                    transaction: hold.transaction.clone(),
                })
                .collect();
            // Those under way are the rule; which they are is asked at once.
            suspects = {
                let name = name.clone();
                self.ask_core(move |core| {
                    suspects.retain(|subject| {
                        let Subject::Hold { transaction, .. } = subject else {
                            return true;
                        };
                        let id = transaction.parse::<TransactionId>();
                        !id.is_ok_and(|id| core.standing(&id.at(&name)) == Standing::UnderWay)
                    });
                    suspects
                })
                .await?
            };
            suspects.extend(
                sums(&holdings)
                    .into_iter()
                    .map(|(stock, _, _)| Subject::Held {
                        participant: name.clone(),
                        stock,
                    }),
            );
            let owed = holdings.debts.into_iter().filter(|debt| debt.units != 0);
            suspects.extend(owed.map(|debt| Subject::Debt {
                participant: name.clone(),
                stock: debt.stock,
            }));
            for suspect in suspects {
                self.suspect(suspect).await?;
            }
        }
        Ok(())
    }

    /// What is prepared where nothing is held.
    pub(super) async fn compare_branches(&mut self) -> Step {
        for link in self.links() {
            let name = link.name().clone();
            if self.stock_at.contains(&name) {
                continue;
            }
            let call = link.participant().list_prepared();
            let Some(branches) = self.answered(&link, call).await? else {
                continue;
            };
            let suspects = {
                let name = name.clone();
                self.ask_core(move |core| {
                    let mut suspects = Vec::new();
                    for branch in branches {
                        match branch.id {
                            PreparedId::Transaction(id)
                                if core.standing(&id.at(&name)) == Standing::UnderWay => {}
                            PreparedId::Transaction(id) => suspects.push(id.to_string()),
                            PreparedId::Foreign(text) => suspects.push(text),
                        }
                    }
                    suspects
                })
                .await?
            };
            for id in suspects {
                self.suspect(Subject::Branch {
                    participant: name.clone(),
                    id,
                })
                .await?;
            }
        }
        Ok(())
    }
}

/// Stocks whose kept sum is not what is held: the stock, the kept sum, what is held.
pub(super) fn sums(holdings: &Holdings) -> Vec<(String, i64, i64)> {
    let mut units: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for sum in &holdings.held {
        units.entry(&sum.stock).or_default().0 += sum.units;
    }
    for held in holdings.holds.iter().flat_map(|hold| &hold.units) {
        units.entry(&held.stock).or_default().1 += held.units;
    }
    units
        .into_iter()
        .filter(|(_, (kept, held))| kept != held)
        .map(|(stock, (kept, held))| (stock.to_owned(), kept, held))
        .collect()
}
