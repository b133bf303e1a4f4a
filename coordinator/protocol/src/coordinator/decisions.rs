//! The decisions that the log holds, as an audit asks for them: page by page, so that no event waits for
//! it.

use super::Coordinator;
use crate::by_hand::ByHand;
use crate::history::{Fate, Kept};
use crate::id::{BranchId, ParticipantName, Position, TransactionId};
use crate::time::Timestamp;
use crate::transaction::{Branch, Progress, State};
use crate::transactions::Knowledge;

/// Transactions of the history that one page looks at.
const PAGE_MAX: usize = 1_000;

/// Some of what the log remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// Decisions to commit that were made within the time, oldest first.
    pub decisions: Vec<RememberedDecision>,
    /// The last transaction that was looked at; `None` where there are no more.
    pub next: Option<TransactionId>,
}

/// A decision to commit that the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedDecision {
    pub transaction: TransactionId,
    /// When it was decided.
    pub decide_time: Timestamp,
    /// Where it stands in the log, if that is known yet.
    pub position: Option<Position>,
    /// Whether every branch has ended.
    pub has_ended: bool,
    /// Participants whose branch a person has settled: what their stores remember says nothing.
    pub settled: Vec<ParticipantName>,
}

/// What the log says of a transaction that a store speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    NotOurs,
    /// Its number has not been given out yet.
    NotBegun,
    /// It has not ended, or is being decided.
    UnderWay,
    /// Decided and carried out.
    Committed,
    /// No decision is stored, and none can be any more.
    WithoutDecision,
    /// So old that the log has forgotten what became of it.
    Forgotten,
}

impl Coordinator {
    /// Decisions between two moments, behind a transaction.
    pub fn decisions(
        &self,
        since: Timestamp,
        until: Timestamp,
        after: Option<&TransactionId>,
    ) -> HistoryPage {
        let mut page = HistoryPage::default();
        for (number, (id, kept)) in self.transactions.history().behind(after).enumerate() {
            if number == PAGE_MAX {
                return page;
            }
            page.next = Some(id.clone());
            let is_within = (since..=until).contains(&kept.decide_time);
            if is_within && kept.fate.is_committed() {
                page.decisions.push(self.remembered(id, kept));
            }
        }
        page.next = None;
        page
    }

    /// One decision that the log holds.
    pub fn decision(&self, id: &TransactionId) -> Option<RememberedDecision> {
        let kept = self.transactions.history().transaction(id)?;
        kept.fate.is_committed().then(|| self.remembered(id, kept))
    }

    /// The oldest moment of which the log remembers all that was decided, if it has forgotten what was
    /// before. Unfinished transactions from before may be remembered too.
    pub fn remembers_since(&self) -> Option<Timestamp> {
        let floor = self.transactions.floor();
        let oldest = self.transactions.history().oldest_from(floor)?;
        (floor.epoch.0 > 0).then_some(oldest.decide_time)
    }

    /// Whether the log has forgotten anything.
    pub fn has_forgotten(&self) -> bool {
        self.transactions.floor().epoch.0 > 0
    }

    /// What the log says of a transaction of which a participant's store speaks.
    pub fn standing(&self, branch: &BranchId) -> Standing {
        let transaction = match self.transactions.known(&branch.transaction) {
            Knowledge::NotOurs => return Standing::NotOurs,
            Knowledge::NotBegun => return Standing::NotBegun,
            Knowledge::Ended(kept) if kept.fate.is_committed() => return Standing::Committed,
            Knowledge::Ended(_) | Knowledge::PresumedAborted => return Standing::WithoutDecision,
            Knowledge::Forgotten => return Standing::Forgotten,
            Knowledge::UnderWay(transaction) => transaction,
        };
        let has_ended = self
            .transactions
            .branch(branch)
            .is_some_and(Branch::has_ended);
        match &transaction.state {
            State::Committing(_) if has_ended => Standing::Committed,
            State::Aborting(_) if has_ended => Standing::WithoutDecision,
            State::Preparing(_)
            | State::Deciding(_)
            | State::Committing(_)
            | State::Aborting(_) => Standing::UnderWay,
        }
    }

    /// Whether the log holds something about a transaction, so that its commit by hand does not make a
    /// start take the log for an old copy.
    pub fn is_in_log(&self, id: &TransactionId) -> bool {
        self.transactions.history().transaction(id).is_some()
    }

    fn remembered(&self, id: &TransactionId, kept: &Kept) -> RememberedDecision {
        let ended = kept.by_hand.iter().filter_map(|word| match word {
            ByHand::Settled(settlement) => Some(settlement.participant.clone()),
            ByHand::Repaired(_) => None,
        });
        let branches = self.transactions.get(id).and_then(|known| known.branches());
        let unfinished = branches
            .into_iter()
            .flatten()
            .filter(|(_, branch)| matches!(branch.progress, Progress::Settled(_)))
            .map(|(name, _)| name.clone());
        RememberedDecision {
            transaction: id.clone(),
            decide_time: kept.decide_time,
            position: kept.decision(),
            has_ended: kept.fate == Fate::Committed,
            settled: ended.chain(unfinished).collect(),
        }
    }
}
