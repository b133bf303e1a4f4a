//! One thing that is suspected, looked at by itself.
//!
//! The order of reading rules out what is only under way: what the log says is read first where
//! the store must follow it, and the store first where the log must have gone before.

use tandem_participant::BranchState;
use tandem_participant::audit::{AuditAnswer, AuditQuestion, Holdings, KeptPurchase};
use tandem_proto::v1;
use tandem_protocol::{
    BranchProgress, Coordinator, ParticipantName, PreparedId, PurchaseView, Standing, TransactionId,
};

use super::compare::{Difference, difference};
use super::disagreement::{self, Kind, Place, disagreement};
use super::first_look::sums;
use super::read_decision;
use super::run::{Ended, Run};

/// What is suspected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A branch that the coordinator itself knows to be damaged.
    Damage {
        participant: ParticipantName,
        transaction: TransactionId,
    },
    /// A decided purchase's row.
    Purchase {
        participant: ParticipantName,
        transaction: TransactionId,
        purchase_id: String,
    },
    /// A store's memory of a transaction.
    Memory {
        participant: ParticipantName,
        transaction: TransactionId,
    },
    /// A row of a purchase that the log does not know.
    Row {
        participant: ParticipantName,
        purchase_id: String,
    },
    /// Units that are held.
    Hold {
        participant: ParticipantName,
        transaction: String,
    },
    /// A sum of what is held.
    Held {
        participant: ParticipantName,
        stock: String,
    },
    Debt {
        participant: ParticipantName,
        stock: String,
    },
    /// What a store has counted as deducted.
    Deducted {
        participant: ParticipantName,
        sku: String,
    },
    /// A prepared branch.
    Branch {
        participant: ParticipantName,
        id: String,
    },
}

/// What a look at it says.
pub(super) enum Look {
    Agrees,
    /// It may agree when its transaction has ended.
    UnderWay,
    Differs(Box<v1::Disagreement>),
    /// Somebody could not be asked.
    Unknown,
}

/// Whether a row is of a purchase that the log does not know to be committed.
pub(super) fn is_stranger(
    core: &Coordinator,
    participant: &ParticipantName,
    row: &KeptPurchase,
) -> bool {
    if let Some(PurchaseView::Committed { .. }) = core.purchase(&row.purchase_id) {
        return false;
    }
    let id = row.transaction_id.as_deref().unwrap_or_default();
    match id.parse::<TransactionId>() {
        Ok(id) => !matches!(
            core.standing(&id, participant),
            Standing::NotOurs | Standing::Forgotten
        ),
        Err(_) => true,
    }
}

impl Run<'_> {
    pub(super) async fn look(&mut self, subject: &Subject) -> Result<Look, Ended> {
        match subject {
            Subject::Damage {
                participant,
                transaction,
            } => self.look_at_damage(participant, transaction).await,
            Subject::Purchase {
                participant,
                transaction,
                purchase_id,
            } => {
                self.look_at_purchase(participant, transaction, purchase_id)
                    .await
            }
            Subject::Memory {
                participant,
                transaction,
            } => self.look_at_memory(participant, transaction).await,
            Subject::Row {
                participant,
                purchase_id,
            } => self.look_at_row(participant, purchase_id).await,
            Subject::Hold {
                participant,
                transaction,
            } => self.look_at_hold(participant, transaction).await,
            Subject::Held { participant, stock } => self.look_at_sum(participant, stock).await,
            Subject::Debt { participant, stock } => self.look_at_debt(participant, stock).await,
            Subject::Deducted { participant, sku } => self.look_at_deducted(participant, sku).await,
            Subject::Branch { participant, id } => self.look_at_branch(participant, id).await,
        }
    }

    async fn look_at_damage(
        &mut self,
        participant: &ParticipantName,
        id: &TransactionId,
    ) -> Result<Look, Ended> {
        let view = {
            let id = id.clone();
            self.ask_core(move |core| core.transaction(&id)).await?
        };
        let branches = view.into_iter().flat_map(|view| view.branches);
        let branch = branches
            .into_iter()
            .find(|branch| branch.participant == *participant);
        let Some(branch) = branch else {
            return Ok(Look::Agrees);
        };
        let (kind, detail, remedy) = match branch.progress {
            BranchProgress::Heuristic(kind) => (
                Kind::Heuristic,
                format!("{kind}: {}", branch.last_failure),
                disagreement::of_heuristic(kind, id, participant),
            ),
            BranchProgress::Stuck(_) => (
                Kind::Stuck,
                branch.last_failure,
                format!("`tandem tx show {id}` says what is to be done"),
            ),
            _ => return Ok(Look::Agrees),
        };
        let transaction = id.to_string();
        Ok(differs(
            kind,
            place(participant, &transaction, ""),
            detail,
            remedy,
        ))
    }

    async fn look_at_purchase(
        &mut self,
        participant: &ParticipantName,
        id: &TransactionId,
        purchase_id: &str,
    ) -> Result<Look, Ended> {
        let kept = {
            let id = id.clone();
            self.ask_core(move |core| core.decision(&id)).await?
        };
        let Some(kept) = kept else {
            return Ok(Look::Agrees);
        };
        if !kept.has_ended {
            return Ok(Look::UnderWay);
        }
        let decision = match kept.position {
            Some(position) => read_decision(&self.auditor.log, position).await,
            None => None,
        };
        let entries = decision.map(|decision| decision.entries);
        let entry = entries
            .into_iter()
            .flatten()
            .find(|entry| entry.purchase.purchase_id == purchase_id);
        let Some(entry) = entry else {
            return Ok(Look::Unknown);
        };
        let Some(rows) = self.rows(participant, purchase_id).await? else {
            return Ok(Look::Unknown);
        };
        let rows: Vec<&KeptPurchase> = rows.iter().collect();
        let transaction = id.to_string();
        let place = place(participant, &transaction, purchase_id);
        Ok(match difference(&entry.purchase, &rows) {
            None => Look::Agrees,
            Some(Difference::Missing) => {
                let items = entry.purchase.items.iter();
                let items: Vec<String> =
                    items.map(|i| format!("{} {}", i.sku, i.quantity)).collect();
                differs(
                    Kind::RowMissing,
                    place,
                    format!(
                        "the log has it decided for {} ({}), and {participant} has no row of it",
                        entry.purchase.customer_id,
                        items.join(", ")
                    ),
                    disagreement::of_row(id, participant),
                )
            }
            Some(Difference::Content(content)) => differs(
                Kind::RowDiffers,
                place,
                content.join("; "),
                "no verb: put right by hand whichever is wrong; the units deducted are those that \
                 were decided"
                    .into(),
            ),
        })
    }

    async fn look_at_memory(
        &mut self,
        participant: &ParticipantName,
        id: &TransactionId,
    ) -> Result<Look, Ended> {
        let standing = self.standing(participant, id).await?;
        let (is_settled, is_in_log) = {
            let (id, participant) = (id.clone(), participant.clone());
            self.ask_core(move |core| {
                let decision = core.decision(&id);
                let is_settled =
                    decision.is_some_and(|decision| decision.settled.contains(&participant));
                (is_settled, core.is_in_log(&id))
            })
            .await?
        };
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(Look::Unknown);
        };
        let call = link.participant().inspect(id);
        let Some(truth) = self.answered(link, call).await? else {
            return Ok(Look::Unknown);
        };
        let transaction = id.to_string();
        let place = place(participant, &transaction, "");
        let said = format!("{participant} says: {}", truth.detail);
        Ok(match (standing, truth.state) {
            (Standing::UnderWay, _) | (_, BranchState::Unclear) => Look::UnderWay,
            (Standing::Committed, _) if is_settled => Look::Agrees,
            (Standing::Committed, BranchState::Absent) => differs(
                Kind::CommitNotRemembered,
                place,
                format!("the log has it committed and acknowledged; {said}"),
                disagreement::of_memory(id, participant, self.keeps_rows(participant)),
            ),
            (Standing::Committed, BranchState::RolledBack) => differs(
                Kind::RollBackRemembered,
                place,
                format!("the log has it committed and acknowledged; {said}"),
                format!(
                    "{} redoes it from the decision",
                    disagreement::repair(id, participant)
                ),
            ),
            (Standing::WithoutDecision | Standing::NotBegun, BranchState::Committed) => differs(
                match is_in_log {
                    true => Kind::CommitByHand,
                    false => Kind::CommitWithoutDecision,
                },
                place,
                format!("the log has no decision to commit it; {said}"),
                disagreement::of_stranger(id, participant),
            ),
            // A prepared branch is looked at as such.
            (
                Standing::Committed
                | Standing::WithoutDecision
                | Standing::NotBegun
                | Standing::Forgotten
                | Standing::NotOurs,
                _,
            ) => Look::Agrees,
        })
    }

    async fn look_at_row(
        &mut self,
        participant: &ParticipantName,
        purchase_id: &str,
    ) -> Result<Look, Ended> {
        let Some(rows) = self.rows(participant, purchase_id).await? else {
            return Ok(Look::Unknown);
        };
        let Some(row) = rows.into_iter().next() else {
            return Ok(Look::Agrees);
        };
        let transaction = row.transaction_id.clone().unwrap_or_default();
        let (is_stranger, is_under_way) = {
            let participant = participant.clone();
            self.ask_core(move |core| {
                let pending = matches!(
                    core.purchase(&row.purchase_id),
                    Some(PurchaseView::Pending(_))
                );
                (is_stranger(core, &participant, &row), pending)
            })
            .await?
        };
        Ok(if !is_stranger {
            Look::Agrees
        } else if is_under_way {
            Look::UnderWay
        } else {
            differs(
                Kind::RowWithoutDecision,
                place(participant, &transaction, purchase_id),
                format!(
                    "{participant} has its row, written by {transaction:?}, and the log has not \
                     decided it"
                ),
                "no verb: delete the row, or deduct its units by hand".into(),
            )
        })
    }

    async fn look_at_hold(
        &mut self,
        participant: &ParticipantName,
        transaction: &str,
    ) -> Result<Look, Ended> {
        let id = transaction.parse::<TransactionId>().ok();
        let standing = match &id {
            Some(id) => Some(self.standing(participant, id).await?),
            None => None,
        };
        if standing == Some(Standing::UnderWay) {
            return Ok(Look::UnderWay);
        }
        let Some(holdings) = self.holdings(participant).await? else {
            return Ok(Look::Unknown);
        };
        let hold = holdings
            .holds
            .into_iter()
            .find(|hold| hold.transaction == transaction);
        let Some(hold) = hold else {
            return Ok(Look::Agrees);
        };
        let units: Vec<String> = hold
            .units
            .iter()
            .map(|units| format!("{} of {}", units.units, units.stock))
            .collect();
        Ok(differs(
            Kind::HoldLeft,
            place(participant, transaction, ""),
            format!(
                "{participant} holds {} for it; {}",
                units.join(", "),
                word(standing)
            ),
            disagreement::of_hold(id.as_ref(), standing, participant),
        ))
    }

    async fn look_at_sum(
        &mut self,
        participant: &ParticipantName,
        stock: &str,
    ) -> Result<Look, Ended> {
        let Some(holdings) = self.holdings(participant).await? else {
            return Ok(Look::Unknown);
        };
        let wrong = sums(&holdings)
            .into_iter()
            .find(|(other, _, _)| other == stock);
        Ok(match wrong {
            None => Look::Agrees,
            Some((stock, kept, held)) => differs(
                Kind::HeldSumWrong,
                place(participant, "", ""),
                format!("{participant} keeps {kept} units of {stock} as held, and {held} are"),
                disagreement::of_sum(&stock, held),
            ),
        })
    }

    async fn look_at_debt(
        &mut self,
        participant: &ParticipantName,
        stock: &str,
    ) -> Result<Look, Ended> {
        let Some(holdings) = self.holdings(participant).await? else {
            return Ok(Look::Unknown);
        };
        let owed = holdings
            .debts
            .into_iter()
            .find(|debt| debt.stock == stock && debt.units != 0);
        Ok(match owed {
            None => Look::Agrees,
            Some(debt) => differs(
                Kind::Debt,
                place(participant, "", ""),
                format!("{} units of {stock} were not deducted", debt.units),
                disagreement::of_debt(stock),
            ),
        })
    }

    async fn look_at_branch(
        &mut self,
        participant: &ParticipantName,
        text: &str,
    ) -> Result<Look, Ended> {
        let standing = match text.parse::<TransactionId>() {
            Ok(id) => Some(self.standing(participant, &id).await?),
            Err(_) => None,
        };
        if standing == Some(Standing::UnderWay) {
            return Ok(Look::UnderWay);
        }
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(Look::Unknown);
        };
        let call = link.participant().list_prepared();
        let Some(branches) = self.answered(link, call).await? else {
            return Ok(Look::Unknown);
        };
        let is_there = branches.iter().any(|branch| match &branch.id {
            PreparedId::Transaction(id) => id.to_string() == text,
            PreparedId::Foreign(other) => other == text,
        });
        if !is_there {
            return Ok(Look::Agrees);
        }
        let whose = word(standing);
        Ok(differs(
            Kind::BranchLeft,
            place(participant, text, ""),
            format!("{participant} has a prepared branch {text}; {whose}"),
            disagreement::of_branch(standing),
        ))
    }

    fn keeps_rows(&self, participant: &ParticipantName) -> bool {
        self.rows_at.contains(participant)
    }

    async fn standing(
        &self,
        participant: &ParticipantName,
        id: &TransactionId,
    ) -> Result<Standing, Ended> {
        let (participant, id) = (participant.clone(), id.clone());
        self.ask_core(move |core| core.standing(&id, &participant))
            .await
    }

    async fn rows(
        &mut self,
        participant: &ParticipantName,
        purchase_id: &str,
    ) -> Result<Option<Vec<KeptPurchase>>, Ended> {
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(None);
        };
        let question = AuditQuestion::Purchases {
            purchase_ids: vec![purchase_id.to_owned()],
        };
        Ok(match self.ask(link, &question).await? {
            Some(AuditAnswer::Purchases(rows)) => Some(rows),
            Some(_) | None => None,
        })
    }

    async fn holdings(&mut self, participant: &ParticipantName) -> Result<Option<Holdings>, Ended> {
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(None);
        };
        Ok(match self.ask(link, &AuditQuestion::Holdings).await? {
            Some(AuditAnswer::Holdings(holdings)) => Some(holdings),
            Some(_) | None => None,
        })
    }
}

pub(super) fn place<'a>(
    participant: &'a ParticipantName,
    transaction: &'a str,
    purchase: &'a str,
) -> Place<'a> {
    Place {
        participant,
        transaction,
        purchase,
    }
}

pub(super) fn differs(kind: Kind, place: Place<'_>, detail: String, remedy: String) -> Look {
    Look::Differs(Box::new(disagreement(kind, place, detail, remedy)))
}

/// What the log says of a transaction that holds or has prepared something.
fn word(standing: Option<Standing>) -> &'static str {
    match standing {
        None => "it is not a transaction of tandem's",
        Some(Standing::NotOurs) => "it is another coordinator's",
        Some(Standing::NotBegun) => "the coordinator has not begun it",
        Some(Standing::UnderWay) => "it is under way",
        Some(Standing::Committed) => "the log has it committed and ended",
        Some(Standing::WithoutDecision) => "the log has no decision to commit it",
        Some(Standing::Forgotten) => "the log has forgotten it",
    }
}
