//! A transaction on keys of tandem's own that no coordinator uses: prepared and committed, and prepared and
//! rolled back, by the scripts that do it for purchases.

use std::sync::Arc;
use std::time::Duration;

use redis::pipe;
use tandem_participant::{
    Acknowledged, Commit, Enlist, Error, Participant, Prepare, RollBack, Trial, Vote, clock,
};
use tandem_protocol::{
    CoordinatorId, Entry, Epoch, Item, ParticipantName, Purchase, TransactionId,
};

use crate::connection::Connection;
use crate::danger::Danger;
use crate::participant::RedisParticipant;
use crate::settings::Settings;

/// What it does, for messages.
const DOING: &str = "trying a transaction";

/// How long the server may take for a promise.
const TIMEOUT: Duration = Duration::from_secs(5);

const SKU: &str = "unit";

const EPOCH: Epoch = Epoch(1);

/// Units that the scratch stock begins with.
const UNITS: i64 = 10;

/// The same server, with keys that nothing else has: under the prefix, so that the user's rights suffice, and a
/// stock beside them.
pub(crate) fn settings(settings: &Settings) -> Settings {
    let prefix = &settings.key_prefix;
    Settings {
        stock_key: Some(format!("{prefix}try-stock:{{sku}}")),
        stock_hash: None,
        stock_field: None,
        default_pool: None,
        count_in_hash: true,
        key_prefix: format!("{prefix}try:"),
        // They are told by themselves.
        accept: Danger::acceptable()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        ..settings.clone()
    }
}

/// Runs it, and leaves nothing.
pub(crate) async fn run(settings: &Settings, connection: &Connection) -> Trial {
    let name: ParticipantName = "try".parse().expect("well formed");
    let trial = match RedisParticipant::new(name, settings.clone()) {
        Ok(participant) => On {
            participant,
            connection,
        },
        Err(error) => return Trial::Failed(error.to_string()),
    };
    // What a trial that was killed has left.
    let done = match trial.clean().await {
        Ok(()) => trial.both().await,
        Err(error) => Err(error),
    };
    let cleaned = trial.clean().await;
    match done.and_then(|wrong| cleaned.map(|()| wrong)) {
        Ok(None) => Trial::Passed,
        Ok(Some(wrong)) => Trial::Failed(wrong),
        Err(error) => Trial::Failed(error.to_string()),
    }
}

struct On<'a> {
    participant: RedisParticipant,
    connection: &'a Connection,
}

impl On<'_> {
    async fn both(&self) -> Result<Option<String>, Error> {
        let mut set = pipe();
        set.set(self.stock(), UNITS);
        let (_,): (String,) = self.connection.commands(DOING, &set).await?;
        let enlisted = self.participant.enlist(&enlist()).await?;
        for (sequence, is_committed) in [(1, false), (2, true)] {
            let prepare = Prepare {
                transaction: transaction(sequence),
                entries: vec![entry()],
                participants: vec![self.participant.keys.participant().clone()],
                incarnation: enlisted.incarnation.clone(),
                acknowledged: Acknowledged::default(),
                begin_time: clock::now(),
                timeout: TIMEOUT,
            };
            match self.participant.prepare(&prepare).await?.vote {
                Vote::No { detail } => return Ok(Some(detail)),
                Vote::Yes { refused, .. } => {
                    if let Some(entry) = refused.first() {
                        return Ok(Some(entry.refusal.detail.clone()));
                    }
                }
            }
            if is_committed {
                let commit = Commit {
                    transaction: transaction(sequence),
                    caller_epoch: EPOCH,
                    entries: vec![entry()],
                    begin_time: prepare.begin_time,
                    decide_time: clock::now(),
                };
                self.participant.commit(&commit).await?;
            } else {
                let roll_back = RollBack {
                    transaction: transaction(sequence),
                    caller_epoch: EPOCH,
                };
                self.participant.roll_back(&roll_back).await?;
            }
            let mut get = pipe();
            get.get(self.stock());
            let (units,): (i64,) = self.connection.commands(DOING, &get).await?;
            let expected = UNITS - i64::from(is_committed);
            if units != expected {
                return Ok(Some(format!(
                    "the scratch stock was {units} where it had to be {expected}"
                )));
            }
        }
        Ok(None)
    }

    fn stock(&self) -> String {
        let (key, _) = self.participant.place.key_and_field(SKU, "");
        key
    }

    /// Deletes every key that it may have made.
    async fn clean(&self) -> Result<(), Error> {
        let keys = &self.participant.keys;
        let stock = self.stock();
        let mut made = vec![keys.version(), keys.count(&coordinator(), &stock), stock];
        made.extend(keys.scratch());
        for sequence in [1, 2] {
            made.extend(keys.of_branch(&transaction(sequence)));
        }
        let mut delete = pipe();
        delete.del(made);
        let (_,): (i64,) = self.connection.commands(DOING, &delete).await?;
        Ok(())
    }
}

fn coordinator() -> CoordinatorId {
    "tandem-try".parse().expect("well formed")
}

fn enlist() -> Enlist {
    Enlist {
        coordinator: coordinator(),
        log_id: "try".into(),
        epoch: EPOCH,
        instance_id: "try".into(),
        acknowledged: Acknowledged::default(),
    }
}

fn transaction(sequence: u64) -> TransactionId {
    TransactionId {
        coordinator: coordinator(),
        epoch: EPOCH,
        sequence,
    }
}

/// A purchase of one unit.
fn entry() -> Entry {
    let purchase = Purchase {
        purchase_id: "try".into(),
        customer_id: "try".into(),
        currency: "EUR".into(),
        items: vec![Item {
            sku: SKU.into(),
            quantity: 1,
            unit_price_minor: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    Entry {
        number: 0,
        purchase: Arc::new(purchase),
    }
}
