//! The look itself.

use std::collections::BTreeSet;

use futures::future::join_all;
use tandem_protocol::{CoordinatorId, Ending, ParticipantName, TransactionId};

use super::log::Log;
use super::statements;
use super::stores::Store;
use super::verdict::{Because, Holds, verdict};
use crate::config::Config;
use crate::daemon;
use crate::store_kind::StoreKind;

/// All that was found.
pub(crate) struct Looked {
    /// Where what is said of the log is from.
    pub(crate) log: String,
    /// Stores that could not be looked at, and why.
    pub(crate) failures: Vec<(ParticipantName, String)>,
    /// Prepared branches that are not tandem's.
    pub(crate) others: Vec<(ParticipantName, String)>,
    /// Transactions that have ended alike wherever that could be seen.
    pub(crate) ended: usize,
    /// The others.
    pub(crate) found: Vec<Found>,
}

/// A transaction of which something is to be done, or can't be known.
pub(crate) struct Found {
    pub(crate) transaction: TransactionId,
    pub(crate) because: Because,
    pub(crate) branches: Vec<BranchFound>,
}

/// What a store says of it, and what is to be done there.
pub(crate) struct BranchFound {
    pub(crate) participant: ParticipantName,
    pub(crate) holds: Holds,
    /// What the store showed.
    pub(crate) detail: String,
    /// What to do by hand, for a person; empty where nothing is.
    pub(crate) by_hand: String,
}

/// Looks at the stores of a configuration, and at its log or the coordinator that runs on it. `more` are
/// coordinators whose ended transactions are looked at besides; those that have something prepared are anyway.
///
/// # Errors
/// Where a participant can't be made from its settings.
pub(crate) async fn look(config: &Config, more: &[CoordinatorId]) -> anyhow::Result<Looked> {
    let participants = daemon::participants(config)?;
    let mut stores: Vec<Store> = participants
        .into_iter()
        .map(|(name, participant)| {
            let kind = config.participants.get(&name).and_then(|one| one.kind());
            Store::new(name, participant, kind.unwrap_or(StoreKind::Other))
        })
        .collect();
    join_all(stores.iter_mut().map(Store::list_prepared)).await;
    let prepared = stores.iter().flat_map(|store| &store.prepared);
    let mut coordinators: BTreeSet<CoordinatorId> =
        prepared.map(|id| id.coordinator.clone()).collect();
    coordinators.extend(more.iter().cloned());
    coordinators.insert(config.coordinator.id.clone());
    join_all(stores.iter_mut().map(async |store| {
        for coordinator in &coordinators {
            store.list_remembered(coordinator).await;
        }
        store.list_holds().await;
    }))
    .await;
    let log = Log::of(config).await;
    Ok(judge(config, stores, &log).await)
}

/// Judges all that was read, and again what is not simply over.
async fn judge(config: &Config, stores: Vec<Store>, log: &Log) -> Looked {
    let all = stores.iter().flat_map(Store::transactions);
    let all: BTreeSet<&TransactionId> = all.chain(log.decided()).collect();
    let mut looked = Looked {
        log: log.source(),
        failures: Vec::new(),
        others: Vec::new(),
        ended: 0,
        found: Vec::new(),
    };
    for id in all {
        let at_first: Vec<Holds> = stores
            .iter()
            .map(|store| settled(log, store, id, store.holds(id)))
            .collect();
        let any = |wanted| at_first.contains(&wanted);
        // Most have ended everywhere, whatever the log says of them; and a coordinator that runs has itself what a
        // store has lost.
        let is_over = at_first.iter().all(|holds| *holds == Holds::Committed)
            || log.is_running() && !any(Holds::Prepared) && !any(Holds::Committed);
        let is_worth_asking = !is_over && verdict(log.says(id).await, &at_first).is_some();
        match is_worth_asking {
            false => looked.ended += 1,
            true => match again(config, &stores, log, id).await {
                Some(found) => looked.found.push(found),
                None => looked.ended += 1,
            },
        }
    }
    for store in stores {
        let others = store.others.into_iter();
        looked
            .others
            .extend(others.map(|text| (store.name.clone(), text)));
        looked
            .failures
            .extend(store.failure.map(|why| (store.name, why)));
    }
    looked
}

/// Asks about one transaction by itself: first the stores, then the log, so that a decision is not missed that
/// was carried out in between.
async fn again(config: &Config, stores: &[Store], log: &Log, id: &TransactionId) -> Option<Found> {
    let now = join_all(stores.iter().map(|store| store.holds_now(id))).await;
    let holds: Vec<Holds> = stores
        .iter()
        .zip(&now)
        .map(|(store, (holds, _))| settled(log, store, id, *holds))
        .collect();
    let because = verdict(log.says(id).await, &holds)?;
    let branches = stores.iter().zip(now).zip(holds);
    let branches = branches.map(|((store, (_, detail)), holds)| BranchFound {
        participant: store.name.clone(),
        holds,
        detail,
        by_hand: statements::of(config, log.decision(id), store, id, holds, because),
    });
    Some(Found {
        transaction: id.clone(),
        because,
        branches: branches.collect(),
    })
}

/// A branch that a person has settled leaves nothing at its store: his word counts in place of that.
fn settled(log: &Log, store: &Store, id: &TransactionId, holds: Holds) -> Holds {
    match (holds, log.settled(id, &store.name)) {
        (Holds::Nothing | Holds::NoMemory, Some(Ending::Commit)) => Holds::Committed,
        (Holds::Nothing | Holds::NoMemory, Some(Ending::RollBack)) => Holds::RolledBack,
        (holds, _) => holds,
    }
}
