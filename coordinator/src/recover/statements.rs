//! What a person does at a store to have a verdict carried out there, where no coordinator does.

use std::collections::BTreeMap;

use tandem_participant::audit_question::TransactionHolding;
use tandem_protocol::{Decision, TransactionId};

use super::stores::Store;
use super::verdict::{Because, End, Holds};
use crate::config::{Config, ParticipantSettings};
use crate::store_kind::StoreKind;

/// Text with each statement between backticks; empty where nothing is to be done at this store.
pub(super) fn of(
    config: &Config,
    decision: Option<&Decision>,
    store: &Store,
    id: &TransactionId,
    holds: Holds,
    because: Because,
) -> String {
    match (because.end(), holds) {
        (None, Holds::Prepared) if because != Because::WorkUnderWay => format!(
            "to commit it: {}; to release it: {}",
            commit(config, None, store, id),
            release(config, store, id)
        ),
        (Some(End::Commit), Holds::Prepared) => commit(config, decision, store, id),
        (Some(End::Commit), Holds::Nothing | Holds::NoMemory | Holds::RolledBack)
            if decision.is_some() =>
        {
            commit(config, decision, store, id)
        }
        (Some(End::RollBack), Holds::Prepared) => release(config, store, id),
        (_, _) => String::new(),
    }
}

fn commit(
    config: &Config,
    decision: Option<&Decision>,
    store: &Store,
    id: &TransactionId,
) -> String {
    let (own, name) = (config.participants.get(&store.name), &store.name);
    match (store.kind, decision, own) {
        (StoreKind::Mysql, Some(decision), own) => {
            let own = match own {
                Some(ParticipantSettings::Mysql(own)) => Some(own),
                _ => None,
            };
            let begun = tandem_mysql::Begun {
                transaction: id,
                time: decision.begin_time,
            };
            tandem_mysql::commit_by_hand(own, begun, name, &decision.entries)
        }
        (StoreKind::Mysql, None, _) => tandem_mysql::commit_prepared_by_hand(id, name),
        (StoreKind::Redis, decision, own) => {
            let own = match own {
                Some(ParticipantSettings::Redis(own)) => Some(own),
                _ => None,
            };
            match decision {
                Some(decision) => tandem_redis::commit_by_hand(own, id, name, &decision.entries),
                None => match held(store, id) {
                    // What it holds was not read, or is of stock in another place than the settings'.
                    units if units.is_empty() => tandem_redis::end_by_hand(id, name),
                    units => tandem_redis::commit_units_by_hand(own, id, name, &units),
                },
            }
        }
        (StoreKind::Other, _, _) => "commit it as that store does".into(),
    }
}

fn release(config: &Config, store: &Store, id: &TransactionId) -> String {
    let name = &store.name;
    match (store.kind, config.participants.get(name)) {
        (StoreKind::Mysql, _) => tandem_mysql::release_by_hand(id, name),
        (StoreKind::Redis, Some(ParticipantSettings::Redis(own))) => {
            tandem_redis::release_by_hand(Some(own), id, name)
        }
        (StoreKind::Redis, _) => tandem_redis::release_by_hand(None, id, name),
        (StoreKind::Other, _) => "release it as that store does".into(),
    }
}

/// What a store of stock holds for a transaction, by the names of its stocks.
fn held(store: &Store, id: &TransactionId) -> BTreeMap<String, u64> {
    let id = id.to_string();
    let is_its = |holding: &&TransactionHolding| holding.transaction == id;
    let units = store
        .holds
        .iter()
        .filter(is_its)
        .flat_map(|holding| &holding.units);
    let units = units.filter_map(|one| Some((one.stock.clone(), u64::try_from(one.units).ok()?)));
    units.collect()
}
