//! What participants answer.

use tandem_proto::v1;
use tandem_protocol::{Epoch, Reason, Refusal, Timestamp, TransactionId};

use super::{
    REFUSAL_DETAIL_BYTES_MAX, invalid, required, timestamp_from_wire, timestamp_to_wire,
    transaction, truncate, within,
};
use crate::{
    BranchState, BranchTruth, CommitEvidence, Committed, Debt, Description, Enlisted, Error,
    Finding, Hold, KnownCoordinator, Looked, PreparedBranch, PreparedId, Recalled, RefusedEntry,
    Repaired, Stock, Vote, Voted,
};

impl From<Looked> for v1::LookResponse {
    fn from(looked: Looked) -> Self {
        Self {
            known: looked.known.map(|known| v1::KnownCoordinator {
                log_id: known.log_id,
                epoch: known.epoch.0,
                instance_id: known.instance_id,
            }),
            newest_committed: texts(&looked.newest_committed),
        }
    }
}

impl TryFrom<v1::LookResponse> for Looked {
    type Error = Error;

    fn try_from(answer: v1::LookResponse) -> Result<Self, Error> {
        Ok(Self {
            known: answer.known.map(|known| KnownCoordinator {
                log_id: known.log_id,
                epoch: Epoch(known.epoch),
                instance_id: known.instance_id,
            }),
            newest_committed: newest_committed(&answer.newest_committed)?,
        })
    }
}

fn newest_committed(texts: &[String]) -> Result<Vec<TransactionId>, Error> {
    if texts.len() > Enlisted::NEWEST_COMMITTED_MAX {
        let rule = format!("must hold at most {}", Enlisted::NEWEST_COMMITTED_MAX);
        return Err(invalid("newest_committed", rule));
    }
    let read = |(index, text): (usize, &String)| {
        transaction(format_args!("newest_committed[{index}]"), text)
    };
    texts.iter().enumerate().map(read).collect()
}

impl From<Enlisted> for v1::EnlistResponse {
    fn from(enlisted: Enlisted) -> Self {
        Self {
            incarnation: enlisted.incarnation,
            newest_committed: texts(&enlisted.newest_committed),
            refuses_singly: enlisted.refuses_singly,
            changes: enlisted.changes,
        }
    }
}

impl TryFrom<v1::EnlistResponse> for Enlisted {
    type Error = Error;

    fn try_from(answer: v1::EnlistResponse) -> Result<Self, Error> {
        Ok(Self {
            incarnation: answer.incarnation,
            changes: answer.changes,
            newest_committed: newest_committed(&answer.newest_committed)?,
            refuses_singly: answer.refuses_singly,
        })
    }
}

impl From<Recalled> for v1::RecallResponse {
    fn from(recalled: Recalled) -> Self {
        let from = recalled.remembers_from.map(|id| id.to_string());
        Self {
            forgotten_transaction_ids: texts(&recalled.forgotten),
            remembers_from_transaction_id: from.unwrap_or_default(),
            incarnation: recalled.incarnation,
            changes: recalled.changes,
        }
    }
}

impl TryFrom<v1::RecallResponse> for Recalled {
    type Error = Error;

    fn try_from(answer: v1::RecallResponse) -> Result<Self, Error> {
        let read = |(index, text): (usize, &String)| {
            transaction(format_args!("forgotten_transaction_ids[{index}]"), text)
        };
        let from = Some(answer.remembers_from_transaction_id).filter(|text| !text.is_empty());
        Ok(Self {
            forgotten: answer
                .forgotten_transaction_ids
                .iter()
                .enumerate()
                .map(read)
                .collect::<Result<_, _>>()?,
            remembers_from: from
                .map(|text| transaction("remembers_from_transaction_id", &text))
                .transpose()?,
            incarnation: answer.incarnation,
            changes: answer.changes,
        })
    }
}

/// The answer to `Prepare`.
pub fn voted_to_wire(voted: Voted) -> v1::PrepareResponse {
    let changes = voted.changes;
    let vote = match voted.vote {
        Vote::Yes {
            refused,
            incarnation,
        } => v1::prepare_response::Vote::Yes(v1::VoteYes {
            refused: refused.into_iter().map(refused_to_wire).collect(),
            incarnation,
            changes,
        }),
        Vote::No { detail } => v1::prepare_response::Vote::No(v1::VoteNo { detail }),
    };
    v1::PrepareResponse { vote: Some(vote) }
}

/// The vote of an answer to `Prepare`.
///
/// # Errors
/// [`Error::Invalid`] when there is none.
pub fn voted_from_wire(answer: v1::PrepareResponse) -> Result<Voted, Error> {
    Ok(match required("vote", answer.vote)? {
        v1::prepare_response::Vote::Yes(yes) => Voted {
            vote: Vote::Yes {
                refused: yes.refused.into_iter().map(refused_from_wire).collect(),
                incarnation: yes.incarnation,
            },
            changes: yes.changes,
        },
        v1::prepare_response::Vote::No(no) => Vote::No { detail: no.detail }.into(),
    })
}

impl From<Committed> for v1::CommitResponse {
    fn from(committed: Committed) -> Self {
        Self {
            evidence: evidence_to_wire(committed.evidence).into(),
            debts: committed.debts.into_iter().map(debt_to_wire).collect(),
            changes: committed.changes,
        }
    }
}

impl TryFrom<v1::CommitResponse> for Committed {
    type Error = Error;

    fn try_from(answer: v1::CommitResponse) -> Result<Self, Error> {
        Ok(Self {
            evidence: evidence_from_wire(answer.evidence)?,
            debts: answer.debts.into_iter().map(debt_from_wire).collect(),
            changes: answer.changes,
        })
    }
}

/// The answer to `Repair`.
pub fn repaired_to_wire(repaired: Repaired) -> v1::RepairResponse {
    v1::RepairResponse {
        evidence: evidence_to_wire(repaired.evidence).into(),
        present: repaired.present,
        debts: repaired.debts.into_iter().map(debt_to_wire).collect(),
    }
}

/// What came of a repair, from its answer.
pub(crate) fn repaired_from_wire(answer: v1::RepairResponse) -> Result<Repaired, Error> {
    Ok(Repaired {
        evidence: evidence_from_wire(answer.evidence)?,
        present: answer.present,
        debts: answer.debts.into_iter().map(debt_from_wire).collect(),
    })
}

fn evidence_to_wire(evidence: CommitEvidence) -> v1::CommitEvidence {
    match evidence {
        CommitEvidence::Applied => v1::CommitEvidence::Applied,
        CommitEvidence::AlreadyApplied => v1::CommitEvidence::AlreadyApplied,
        CommitEvidence::Redone => v1::CommitEvidence::Redone,
    }
}

/// An evidence that is not known is no evidence: the coordinator asks again, and a participant
/// that keeps the contract then says that it was done before.
fn evidence_from_wire(evidence: i32) -> Result<CommitEvidence, Error> {
    match v1::CommitEvidence::try_from(evidence) {
        Ok(v1::CommitEvidence::Applied) => Ok(CommitEvidence::Applied),
        Ok(v1::CommitEvidence::AlreadyApplied) => Ok(CommitEvidence::AlreadyApplied),
        Ok(v1::CommitEvidence::Redone) => Ok(CommitEvidence::Redone),
        Ok(v1::CommitEvidence::Unspecified) => Err(invalid("evidence", "must be set")),
        Err(_) => {
            let rule = format!("{evidence} is not known to this version");
            Err(invalid("evidence", rule))
        }
    }
}

fn debt_to_wire(debt: Debt) -> v1::Debt {
    v1::Debt {
        sku: debt.sku,
        quantity: debt.quantity,
        detail: debt.detail,
    }
}

fn debt_from_wire(debt: v1::Debt) -> Debt {
    Debt {
        sku: debt.sku,
        quantity: debt.quantity,
        detail: debt.detail,
    }
}

/// A prepared branch as the wire has it.
pub fn branch_to_wire(branch: PreparedBranch) -> v1::PreparedBranch {
    let (id, tandem) = match branch.id {
        PreparedId::Transaction(id) => (id.to_string(), true),
        PreparedId::Foreign(text) => (text, false),
    };
    v1::PreparedBranch {
        id,
        tandem,
        prepare_time: branch.prepare_time.map(timestamp_to_wire),
    }
}

fn branch_from_wire(branch: v1::PreparedBranch) -> Result<PreparedBranch, Error> {
    let id = if branch.tandem {
        PreparedId::Transaction(transaction("id", &branch.id)?)
    } else {
        PreparedId::Foreign(branch.id)
    };
    let prepare_time = branch
        .prepare_time
        .map(|time| timestamp_from_wire("prepare_time", time))
        .transpose()?;
    Ok(PreparedBranch { id, prepare_time })
}

/// The answer to `ListPrepared`.
pub fn branches_to_wire(branches: Vec<PreparedBranch>) -> v1::ListPreparedResponse {
    v1::ListPreparedResponse {
        branches: branches.into_iter().map(branch_to_wire).collect(),
    }
}

/// The branches of an answer to `ListPrepared`.
///
/// # Errors
/// [`Error::Invalid`] with the first field that breaks the contract.
pub fn branches_from_wire(answer: v1::ListPreparedResponse) -> Result<Vec<PreparedBranch>, Error> {
    let branches = answer.branches.into_iter().enumerate();
    branches
        .map(|(index, branch)| within(format_args!("branches[{index}]"), branch_from_wire(branch)))
        .collect()
}

impl BranchTruth {
    /// The answer to `Inspect`, read at `read_time`.
    pub fn into_wire(self, read_time: Timestamp) -> v1::InspectResponse {
        let state = match self.state {
            BranchState::Prepared => v1::BranchState::Prepared,
            BranchState::Committed => v1::BranchState::Committed,
            BranchState::RolledBack => v1::BranchState::RolledBack,
            BranchState::Absent => v1::BranchState::Absent,
            BranchState::Unclear => v1::BranchState::Unclear,
        };
        v1::InspectResponse {
            state: state.into(),
            detail: self.detail,
            read_time: Some(timestamp_to_wire(read_time)),
        }
    }
}

impl TryFrom<v1::InspectResponse> for BranchTruth {
    type Error = Error;

    fn try_from(answer: v1::InspectResponse) -> Result<Self, Error> {
        let state = match v1::BranchState::try_from(answer.state) {
            Ok(v1::BranchState::Prepared) => BranchState::Prepared,
            Ok(v1::BranchState::Committed) => BranchState::Committed,
            Ok(v1::BranchState::RolledBack) => BranchState::RolledBack,
            Ok(v1::BranchState::Absent) => BranchState::Absent,
            Ok(v1::BranchState::Unclear) => BranchState::Unclear,
            Ok(v1::BranchState::Unspecified) => return Err(invalid("state", "must be set")),
            // A state of a later version tells this one nothing: that is what unclear means.
            Err(_) => {
                return Ok(Self {
                    state: BranchState::Unclear,
                    detail: format!(
                        "state {} is not known to this version: {}",
                        answer.state, answer.detail
                    ),
                });
            }
        };
        Ok(Self {
            state,
            detail: answer.detail,
        })
    }
}

impl From<Finding> for v1::Finding {
    fn from(finding: Finding) -> Self {
        Self {
            name: finding.name,
            detail: finding.detail,
            accepted: finding.accepted,
            told: finding.told,
        }
    }
}

impl From<Description> for v1::DescribeResponse {
    fn from(description: Description) -> Self {
        Self {
            kind: description.kind,
            server: description.server,
            address: description.address,
            incarnation: description.incarnation,
            findings: description.findings.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::DescribeResponse> for Description {
    fn from(answer: v1::DescribeResponse) -> Self {
        let finding = |finding: v1::Finding| Finding {
            name: finding.name,
            detail: finding.detail,
            accepted: finding.accepted,
            told: finding.told,
        };
        Self {
            kind: answer.kind,
            server: answer.server,
            address: answer.address,
            incarnation: answer.incarnation,
            findings: answer.findings.into_iter().map(finding).collect(),
        }
    }
}

impl Stock {
    /// The answer to `GetStock` for `sku`.
    pub fn into_wire(self, sku: String) -> v1::GetStockResponse {
        let hold = |hold: Hold| v1::Hold {
            transaction_id: hold.transaction.to_string(),
            quantity: hold.quantity,
            hold_time: Some(timestamp_to_wire(hold.since)),
        };
        v1::GetStockResponse {
            sku,
            stock: self.value,
            holds: self.holds.into_iter().map(hold).collect(),
            detail: self.detail,
            debt: self.debt,
            debt_remedy: self.debt_remedy,
        }
    }
}

impl TryFrom<v1::GetStockResponse> for Stock {
    type Error = Error;

    fn try_from(answer: v1::GetStockResponse) -> Result<Self, Error> {
        let holds = answer.holds.into_iter().enumerate();
        Ok(Self {
            value: answer.stock,
            holds: holds
                .map(|(index, hold)| within(format_args!("holds[{index}]"), hold_from_wire(hold)))
                .collect::<Result<_, _>>()?,
            debt: answer.debt,
            debt_remedy: answer.debt_remedy,
            detail: answer.detail,
        })
    }
}

fn hold_from_wire(hold: v1::Hold) -> Result<Hold, Error> {
    Ok(Hold {
        transaction: transaction("transaction_id", &hold.transaction_id)?,
        quantity: hold.quantity,
        since: timestamp_from_wire("hold_time", required("hold_time", hold.hold_time)?)?,
    })
}

fn refused_to_wire(refused: RefusedEntry) -> v1::RefusedEntry {
    v1::RefusedEntry {
        number: refused.number,
        reason: refused.refusal.reason.to_string(),
        detail: refused.refusal.detail,
    }
}

/// A refusal stands whatever its reason is called: a participant of another make has reasons of
/// its own, and they are rules of the app's as far as a coordinator can tell.
fn refused_from_wire(refused: v1::RefusedEntry) -> RefusedEntry {
    let (reason, mut detail) = match refused.reason.parse() {
        Ok(reason) => (reason, refused.detail),
        Err(_) => (
            Reason::ConstraintViolated,
            format!("{}: {}", refused.reason, refused.detail),
        ),
    };
    truncate(&mut detail, REFUSAL_DETAIL_BYTES_MAX);
    RefusedEntry {
        number: refused.number,
        refusal: Refusal { reason, detail },
    }
}

fn texts(ids: &[TransactionId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
