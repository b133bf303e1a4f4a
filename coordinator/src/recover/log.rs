//! What the decision log says: the folder where nobody runs on it, else the coordinator that does.

use std::collections::{BTreeMap, BTreeSet};

use tandem_log::OpenError;
use tandem_proto::v1::operator_service_client::OperatorServiceClient;
use tandem_proto::v1::{
    GetTransactionRequest, ListParticipantsRequest, ListParticipantsResponse, TransactionState,
};
use tandem_protocol::{
    CoordinatorId, Decision, Ending, ParticipantName, Record, Recovered, TransactionId,
};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::verdict::LogSays;
use crate::config::Config;

/// What there is of the decision log.
pub(super) enum Log {
    /// Nothing that can be believed; why, for a person.
    Missing(String),
    Folder(Box<Folder>),
    Running(Box<Running>),
}

/// A log on which nobody runs.
pub(super) struct Folder {
    id: CoordinatorId,
    /// The last epoch that was started on it: of a later one it says nothing.
    epoch: u64,
    /// The first transaction that the log has not forgotten.
    floor: Option<TransactionId>,
    decided: BTreeMap<TransactionId, Decision>,
    aborted: BTreeSet<TransactionId>,
    settled: BTreeMap<(TransactionId, ParticipantName), Ending>,
}

/// A coordinator that runs on the log.
pub(super) struct Running {
    client: OperatorServiceClient<Channel>,
    known: ListParticipantsResponse,
}

impl Log {
    /// Reads the folder, or asks who has it open.
    pub(super) async fn of(config: &Config) -> Log {
        match tandem_log::inspect(&config.coordinator.data_dir) {
            Ok(found) if !found.damage.is_empty() => Log::Missing(format!(
                "the log in {} is damaged: `tandem log inspect` says what can be read of it",
                config.coordinator.data_dir.display()
            )),
            Ok(found) => {
                let records = found.records.iter().map(|(at, bytes)| (at.0, &bytes[..]));
                match Folder::of(&config.coordinator.id, records) {
                    Ok(folder) => Log::Folder(Box::new(folder)),
                    Err(error) => Log::Missing(error),
                }
            }
            Err(OpenError::InUse { .. }) => match Running::of(config).await {
                Ok(running) => Log::Running(Box::new(running)),
                Err(why) => Log::Missing(why),
            },
            Err(error) => Log::Missing(error.to_string()),
        }
    }

    /// Where what it says is from, for a person.
    pub(super) fn source(&self) -> String {
        match self {
            Log::Missing(why) => format!("no log can be asked: {why}"),
            Log::Folder(folder) => format!(
                "the log's folder, of {} in epoch {}; it can't say whether it is the newest copy",
                folder.id, folder.epoch
            ),
            Log::Running(running) => format!(
                "coordinator {}, which runs in epoch {}",
                running.known.coordinator_id, running.known.epoch
            ),
        }
    }

    /// What it says of a transaction.
    pub(super) async fn says(&self, id: &TransactionId) -> LogSays {
        match self {
            Log::Missing(_) => LogSays::Silent,
            Log::Folder(folder) => folder.says(id),
            Log::Running(running) => running.says(id).await,
        }
    }

    /// Whether a coordinator runs on it.
    pub(super) fn is_running(&self) -> bool {
        matches!(self, Log::Running(_))
    }

    /// The decision, where the log's folder has it.
    pub(super) fn decision(&self, id: &TransactionId) -> Option<&Decision> {
        match self {
            Log::Folder(folder) => folder.decided.get(id),
            Log::Missing(_) | Log::Running(_) => None,
        }
    }

    /// How a person has said that a branch ended, where the log's folder has it.
    pub(super) fn settled(&self, id: &TransactionId, at: &ParticipantName) -> Option<Ending> {
        match self {
            Log::Folder(folder) => folder.settled.get(&(id.clone(), at.clone())).copied(),
            Log::Missing(_) | Log::Running(_) => None,
        }
    }

    /// What the log has to have everywhere.
    pub(super) fn decided(&self) -> impl Iterator<Item = &TransactionId> {
        let folder = match self {
            Log::Folder(folder) => Some(folder),
            Log::Missing(_) | Log::Running(_) => None,
        };
        folder.into_iter().flat_map(|folder| folder.decided.keys())
    }
}

impl Folder {
    /// The error is for a person.
    fn of<'a>(
        id: &CoordinatorId,
        records: impl Iterator<Item = (u64, &'a [u8])> + Clone,
    ) -> Result<Folder, String> {
        let recovered =
            Recovered::replay(id, records.clone()).map_err(|error| error.to_string())?;
        let mut folder = Folder {
            id: id.clone(),
            epoch: recovered.epoch.map_or(0, |epoch| epoch.0),
            floor: None,
            decided: BTreeMap::new(),
            aborted: BTreeSet::new(),
            settled: BTreeMap::new(),
        };
        for (_, bytes) in records {
            let record = Record::decode(bytes).map_err(|error| error.to_string())?;
            folder.take(record);
        }
        Ok(folder)
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Decided(decision) => {
                self.decided.insert(decision.transaction.clone(), decision);
            }
            Record::Refused { transaction, .. } => {
                self.aborted.insert(transaction);
            }
            Record::Settled { settlement, .. } => {
                let at = (settlement.transaction, settlement.participant);
                self.settled.insert(at, settlement.ending);
            }
            Record::Forgotten { before, .. } => self.floor = self.floor.take().max(Some(before)),
            Record::EpochStarted { .. }
            | Record::Ended { .. }
            | Record::Heuristic { .. }
            | Record::RepairOrdered { .. }
            | Record::Totals(_) => {}
        }
    }

    fn says(&self, id: &TransactionId) -> LogSays {
        let is_past = self.floor.as_ref().is_some_and(|floor| id < floor);
        if self.decided.contains_key(id) {
            LogSays::Committed
        } else if self.aborted.contains(id) {
            LogSays::Aborted
        } else if id.coordinator != self.id || is_past || id.epoch.0 > self.epoch {
            LogSays::Silent
        } else {
            LogSays::NotThere
        }
    }
}

impl Running {
    async fn of(config: &Config) -> Result<Running, String> {
        let url = config.operators_url();
        let url = url.map_err(|why| format!("a process has the log open; the file {why}"))?;
        let told = |why: String| {
            format!("a process has the log open, and does not answer at {url}: {why}")
        };
        let endpoint = Endpoint::from_shared(url.clone())
            .map_err(|error| told(error.to_string()))?
            .connect_timeout(config.limits.call_timeout)
            .timeout(config.limits.call_timeout);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| told(error.to_string()))?;
        let mut client = OperatorServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let known = client.list_participants(ListParticipantsRequest {}).await;
        let known = known.map_err(|status| told(status.message().to_owned()))?;
        Ok(Running {
            client,
            known: known.into_inner(),
        })
    }

    async fn says(&self, id: &TransactionId) -> LogSays {
        let mut listed = self
            .known
            .participants
            .iter()
            .flat_map(|one| &one.foreign_branches);
        let is_forgotten = listed.any(|branch| branch.id == id.to_string());
        if id.coordinator.as_str() != self.known.coordinator_id || is_forgotten {
            return LogSays::Silent;
        }
        let question = GetTransactionRequest {
            transaction_id: id.to_string(),
        };
        match self.client.clone().get_transaction(question).await {
            Ok(answer) => match answer.into_inner().transaction.map(|one| one.state()) {
                None => LogSays::Undecided,
                Some(TransactionState::Committed) => LogSays::Committed,
                Some(TransactionState::Refused) => LogSays::Aborted,
                Some(
                    TransactionState::Preparing
                    | TransactionState::Deciding
                    | TransactionState::Committing
                    | TransactionState::Aborting,
                ) => LogSays::UnderWay,
                Some(TransactionState::Unspecified) => LogSays::Silent,
            },
            Err(status) if status.code() == Code::NotFound => LogSays::Undecided,
            Err(_) => LogSays::Silent,
        }
    }
}
