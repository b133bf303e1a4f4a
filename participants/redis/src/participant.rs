//! The participant: each call of the trait is one script.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::{Script, ScriptInvocation, Value, pipe};
use tandem_participant::audit::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    BranchTruth, Commit, CommitEvidence, Committed, Debt, Description, Enlist, Enlisted, Error,
    Forget, HeuristicKind, Look, Looked, Participant, Prepare, PreparedBranch, Recall, Recalled,
    RefusedEntry, Repaired, RollBack, Stock, Vote, Voted,
};
use tandem_protocol::{Entry, Epoch, ParticipantName, TransactionId};

use crate::connection::Connection;
use crate::describe::describe;
use crate::keys::{self, Keys};
use crate::refusal;
use crate::reply::{Reply, Row};
use crate::scripts;
use crate::settings::{Settings, SettingsError, StockPlace, Wait};

/// Transactions that one call of the forget script drops at most: about 5 ms of the server's time.
const FORGET_BATCH_MAX: usize = 2_000;

/// The stock of one Redis or Valkey server.
pub struct RedisParticipant {
    name: ParticipantName,
    pub(crate) place: StockPlace,
    pub(crate) keys: Keys,
    accept: Vec<String>,
    wait: Option<Wait>,
    pub(crate) connection: Connection,
}

impl RedisParticipant {
    /// Checks the settings. Connects to nothing: each call connects when it must.
    pub fn new(
        name: ParticipantName,
        settings: Settings,
    ) -> Result<RedisParticipant, SettingsError> {
        Ok(RedisParticipant {
            name,
            place: settings.stock_place()?,
            wait: settings.wait(),
            connection: Connection::new(
                settings.client()?,
                Duration::from_millis(settings.connect_timeout_ms),
                Duration::from_millis(settings.response_timeout_ms),
            ),
            keys: Keys::new(settings.key_prefix),
            accept: settings.accept,
        })
    }

    /// The stock key of a sku, or its field in the stock hash. The error is a key that would be one
    /// of tandem's own.
    pub(crate) fn stock_of(&self, sku: &str) -> Result<String, String> {
        match &self.place {
            StockPlace::Keys(pattern) => {
                let key = pattern.of(sku);
                if self.keys.are_reserved(&key) {
                    Err(key)
                } else {
                    Ok(key)
                }
            }
            StockPlace::Hash { field, .. } => Ok(field.of(sku)),
        }
    }

    /// A script's call with the keys and words that `common.lua` lists.
    pub(crate) fn about<'a>(
        &self,
        script: &'a Script,
        transaction: &TransactionId,
        caller: Epoch,
    ) -> Result<ScriptInvocation<'a>, Error> {
        keys::check_epoch(caller)?;
        let mut call = script.prepare_invoke();
        for key in self.keys.of_transaction(transaction) {
            call.key(key);
        }
        call.arg(transaction.to_string())
            .arg(keys::member(transaction))
            .arg(keys::order(transaction)?)
            .arg(caller.0);
        Ok(call)
    }

    /// Adds the keys and words that `stock.lua` lists.
    fn with_stocks(&self, call: &mut ScriptInvocation<'_>, stocks: &[String]) {
        match &self.place {
            StockPlace::Keys(_) => {
                call.key(stocks).arg("key").arg(stocks.len());
            }
            StockPlace::Hash { key, .. } => {
                call.key(key).arg("hash").arg(stocks.len()).arg(stocks);
            }
        }
    }

    pub(crate) async fn run(
        &self,
        what: &str,
        limit: Duration,
        call: &ScriptInvocation<'_>,
    ) -> Result<Reply, Error> {
        let answer: Vec<Value> = self.connection.script(what, limit, call).await?;
        Reply::read(what, answer)
    }

    /// As [`Self::run`], for the scripts that refuse a caller of an old epoch.
    async fn run_fenced(
        &self,
        what: &str,
        limit: Duration,
        call: &ScriptInvocation<'_>,
    ) -> Result<Reply, Error> {
        let reply = self.run(what, limit, call).await?;
        self.unless_refused(what, reply)
    }

    /// As [`Self::run_fenced`], for what must be on the replicas before it counts.
    async fn run_on_replicas(
        &self,
        what: &str,
        limit: Duration,
        call: &ScriptInvocation<'_>,
    ) -> Result<Reply, Error> {
        let Some(wait) = self.wait else {
            return self.run_fenced(what, limit, call).await;
        };
        let answer = self.connection.script_on_replicas(what, limit, call, wait);
        self.unless_refused(what, Reply::read(what, answer.await?)?)
    }

    fn unless_refused(&self, what: &str, mut reply: Reply) -> Result<Reply, Error> {
        if reply.word() == "FENCED" {
            let epoch: String = reply.next()?;
            return Err(Error::Fenced {
                detail: format!(
                    "{what}: {} knows the later epoch {epoch} of this coordinator: a newer \
                     process runs, and this one must stop",
                    self.connection.address()
                ),
            });
        }
        if reply.word() == "LOST" {
            return Err(Error::NotEnlisted {
                detail: format!(
                    "{what}: nobody has enlisted in the present life of {}: it was restarted, \
                     promoted, restored or flushed, or keys of tandem's were deleted; nothing was done",
                    self.connection.address()
                ),
            });
        }
        Ok(reply)
    }

    pub(crate) fn debts(&self, skus: &HashMap<String, &str>, rows: &[Row]) -> Vec<Debt> {
        rows.iter()
            .filter_map(|row| {
                let stock = row.first()?;
                let sku = skus.get(stock).copied().unwrap_or(stock);
                refusal::debt(&self.place, sku, row)
            })
            .collect()
    }
}

#[async_trait]
impl Participant for RedisParticipant {
    async fn look(&self, look: &Look) -> Result<Looked, Error> {
        self.read_coordinator(&look.coordinator).await
    }

    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        keys::check_epoch(enlist.epoch)?;
        let findings = self.describe().await?.findings;
        if findings.iter().any(|finding| !finding.accepted) {
            return Err(Error::Unsafe { findings });
        }
        let id = &enlist.coordinator;
        let what = format!("enlisting {id}");
        let mut call = scripts::ENLIST.prepare_invoke();
        call.key(self.keys.coordinator(id))
            .key(self.keys.committed(id))
            .key(self.keys.life())
            .key(self.keys.witness(id))
            .arg(enlist.epoch.0)
            .arg(&enlist.log_id)
            .arg(&enlist.instance_id)
            .arg(Enlisted::NEWEST_COMMITTED_MAX);
        let limit = self.connection.response_timeout();
        let mut reply = self.run(&what, limit, &call).await?;
        match reply.word() {
            "ENLISTED" => {}
            "FENCED" => {
                let (kind, known): (String, String) = (reply.next()?, reply.next()?);
                return Err(Error::Fenced {
                    detail: fenced(enlist, self.connection.address(), &kind, &known),
                });
            }
            _ => return Err(reply.unexpected()),
        }
        let known: String = reply.next()?;
        if known == "NEW" && enlist.epoch > Epoch(1) {
            tracing::warn!(
                participant = %self.name,
                address = self.connection.address(),
                coordinator = %id,
                epoch = enlist.epoch.0,
                "the store remembers nothing of this coordinator: it is new, or it lost its data",
            );
        }
        let incarnation = reply.next()?;
        let newest: Vec<String> = reply.next()?;
        Ok(Enlisted {
            incarnation,
            changes: 0,
            newest_committed: newest
                .iter()
                .filter_map(|member| keys::transaction_of(id, member))
                .collect(),
            refuses_singly: true,
        })
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        let transaction = &prepare.transaction;
        let what = format!("prepare of {transaction}");
        let mut call = self.about(&scripts::PREPARE, transaction, transaction.epoch)?;
        let mut stocks = Stocks::default();
        let mut words: Vec<u64> = Vec::new();
        let mut refused = Vec::new();
        for entry in &prepare.entries {
            match self.words_of(entry, &mut stocks) {
                Ok(entry_words) => words.extend(entry_words),
                Err(entry) => refused.push(entry),
            }
        }
        self.with_stocks(&mut call, &stocks.names);
        call.arg(words);
        let limit = prepare.timeout.min(self.connection.response_timeout());
        let mut reply = self.run_on_replicas(&what, limit, &call).await?;
        match reply.word() {
            "NO" => {
                let why: String = reply.next()?;
                return Ok(Vote::No {
                    detail: late_prepare(transaction, &why),
                }
                .into());
            }
            "VOTE" => {}
            _ => return Err(reply.unexpected()),
        }
        let incarnation = reply.next()?;
        for row in reply.next::<Vec<Row>>()? {
            let entry = self.refused_entry(&prepare.entries, &row);
            refused.push(entry.ok_or_else(|| reply.unexpected())?);
        }
        refused.sort_by_key(|entry| entry.number);
        Ok(Vote::Yes {
            refused,
            incarnation,
        }
        .into())
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, Error> {
        self.apply("commit", &scripts::COMMIT, commit).await
    }

    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        let Committed {
            evidence, debts, ..
        } = self.apply("repair", &scripts::REPAIR, commit).await?;
        Ok(Repaired {
            evidence,
            // The memory is one for all entries: none is there without the others.
            present: Vec::new(),
            debts,
        })
    }

    async fn roll_back(&self, roll_back: &RollBack) -> Result<(), Error> {
        let transaction = &roll_back.transaction;
        let what = format!("roll back of {transaction}");
        let call = self.about(&scripts::ROLL_BACK, transaction, roll_back.caller_epoch)?;
        let limit = self.connection.response_timeout();
        let reply = self.run_fenced(&what, limit, &call).await?;
        match reply.word() {
            "DONE" => Ok(()),
            "COMMITTED" => Err(Error::Heuristic {
                kind: HeuristicKind::Committed,
                detail: format!(
                    "{what}: {} remembers that it was committed; nothing was changed",
                    self.connection.address()
                ),
            }),
            _ => Err(reply.unexpected()),
        }
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        self.read_prepared().await
    }

    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error> {
        self.read_truth(transaction).await
    }

    async fn forget(&self, forget: &Forget) -> Result<(), Error> {
        let before = &forget.before;
        let what = format!("forgetting before {before}");
        let mut except = Vec::with_capacity(forget.except.len());
        for transaction in &forget.except {
            if transaction.coordinator == before.coordinator && transaction < before {
                except.push((keys::order(transaction)?, keys::member(transaction)));
            }
        }
        except.sort_unstable();
        except.dedup();
        let mut call = self.about(&scripts::FORGET, before, forget.caller_epoch)?;
        call.arg(FORGET_BATCH_MAX);
        for (order, member) in except {
            call.arg(member).arg(order);
        }
        let limit = self.connection.response_timeout();
        let began = Instant::now();
        // What is left after that goes with the next call.
        while began.elapsed() < limit {
            let reply = self.run_fenced(&what, limit, &call).await?;
            match reply.word() {
                "MORE" => {}
                "DONE" => break,
                _ => return Err(reply.unexpected()),
            }
        }
        Ok(())
    }

    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error> {
        let coordinator = &recall.coordinator;
        let what = format!("asking what is remembered of {coordinator}");
        keys::check_epoch(recall.caller_epoch)?;
        let mut call = scripts::RECALL.prepare_invoke();
        call.key(self.keys.coordinator(coordinator))
            .key(self.keys.committed(coordinator))
            .key(self.keys.life())
            .arg(recall.caller_epoch.0);
        for transaction in &recall.transactions {
            call.arg(keys::member(transaction));
        }
        let limit = self.connection.response_timeout();
        let mut reply = self.run_fenced(&what, limit, &call).await?;
        if reply.word() != "RECALLED" {
            return Err(reply.unexpected());
        }
        let floor: String = reply.next()?;
        let numbers: Vec<usize> = reply.next()?;
        let forgotten = numbers
            .into_iter()
            .map(|number| recall.transactions.get(number).cloned())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| reply.unexpected())?;
        let incarnation = reply.next()?;
        let floor = floor.parse().ok();
        Ok(Recalled {
            forgotten,
            remembers_from: floor.map(|order| keys::transaction_at(coordinator, order)),
            incarnation,
            changes: 0,
        })
    }

    async fn describe(&self) -> Result<Description, Error> {
        let mut description = describe(&self.connection, &self.accept).await?;
        let mut commands = pipe();
        commands.hget(self.keys.life(), "id");
        let what = "reading the store's life";
        // Best effort: a cluster without slots can be described too.
        let life = self.connection.commands(what, &commands).await;
        if let Ok((Some(life),)) = life as Result<(Option<String>,), Error>
            && !description.incarnation.is_empty()
        {
            description.incarnation = format!("{}.{life}", description.incarnation);
        }
        Ok(description)
    }

    async fn stock(&self, sku: &str) -> Result<Option<Stock>, Error> {
        self.read_stock(sku).await
    }

    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        self.answer_audit(question).await
    }
}

impl RedisParticipant {
    /// Carries out a decision, by the commit script or the repair script.
    async fn apply(
        &self,
        verb: &str,
        script: &Script,
        commit: &Commit,
    ) -> Result<Committed, Error> {
        let transaction = &commit.transaction;
        let what = format!("{verb} of {transaction}");
        let mut call = self.about(script, transaction, commit.caller_epoch)?;
        let mut stocks = Stocks::default();
        let mut units: Vec<u64> = Vec::new();
        let mut skus = HashMap::new();
        for item in commit
            .entries
            .iter()
            .flat_map(|entry| &entry.purchase.items)
        {
            let stock = self.stock_of(&item.sku).map_err(|key| Error::Invalid {
                detail: format!("{what}: {}", refusal::reserved(&item.sku, &key).detail),
            })?;
            skus.insert(stock.clone(), item.sku.as_str());
            let number = stocks.number(stock);
            units.resize(stocks.names.len(), 0);
            units[number] += u64::from(item.quantity);
        }
        self.with_stocks(&mut call, &stocks.names);
        call.arg(units);
        let limit = self.connection.response_timeout();
        let mut reply = self.run_on_replicas(&what, limit, &call).await?;
        let evidence = match reply.word() {
            "APPLIED" => CommitEvidence::Applied,
            "ALREADY" => CommitEvidence::AlreadyApplied,
            "REDONE" => CommitEvidence::Redone,
            "RELEASED" => {
                return Err(Error::Heuristic {
                    kind: HeuristicKind::RolledBack,
                    detail: format!(
                        "{what}: {} remembers that it was rolled back or refused; nothing was \
                         deducted",
                        self.connection.address()
                    ),
                });
            }
            "FORGOTTEN" => {
                return Err(Error::Invalid {
                    detail: format!(
                        "{what}: the coordinator has let {} forget it; whether it was deducted is \
                         no longer known, and nothing was done",
                        self.connection.address()
                    ),
                });
            }
            _ => return Err(reply.unexpected()),
        };
        Ok(Committed {
            evidence,
            debts: self.debts(&skus, &reply.next::<Vec<Row>>()?),
            changes: 0,
        })
    }

    /// What the prepare script is told of an entry: its number, how many items, and for each the
    /// number of its stock and the units.
    fn words_of(&self, entry: &Entry, stocks: &mut Stocks) -> Result<Vec<u64>, RefusedEntry> {
        let items = &entry.purchase.items;
        let mut words = vec![u64::from(entry.number), items.len() as u64];
        for item in items {
            let stock = self.stock_of(&item.sku).map_err(|key| RefusedEntry {
                number: entry.number,
                refusal: refusal::reserved(&item.sku, &key),
            })?;
            // Lua counts from 1.
            words.extend([stocks.number(stock) as u64 + 1, u64::from(item.quantity)]);
        }
        Ok(words)
    }

    fn refused_entry(&self, entries: &[Entry], row: &Row) -> Option<RefusedEntry> {
        let number = row.first()?.parse().ok()?;
        let stock = row.get(2)?;
        let item = entries
            .iter()
            .find(|entry| entry.number == number)?
            .purchase
            .items
            .iter()
            .find(|item| self.stock_of(&item.sku).as_ref() == Ok(stock))?;
        Some(RefusedEntry {
            number,
            refusal: refusal::refusal(&self.place, &item.sku, item.quantity, row)?,
        })
    }
}

impl fmt::Debug for RedisParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisParticipant")
            .field("name", &self.name)
            .field("address", &self.connection.address())
            .finish_non_exhaustive()
    }
}

/// Stock keys, or fields of the stock hash, each once, numbered from 0.
#[derive(Default)]
struct Stocks {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Stocks {
    fn number(&mut self, name: String) -> usize {
        let next = self.names.len();
        match self.numbers.get(&name) {
            Some(number) => *number,
            None => {
                self.names.push(name.clone());
                self.numbers.insert(name, next);
                next
            }
        }
    }
}

fn late_prepare(transaction: &TransactionId, why: &str) -> String {
    let why = match why {
        "COMMITTED" => "it was committed before",
        "RELEASED" => "it was rolled back before",
        _ => "it is older than what the coordinator let the store forget",
    };
    format!("transaction {transaction} is not prepared: {why}")
}

fn fenced(enlist: &Enlist, address: &str, kind: &str, known: &str) -> String {
    let Enlist {
        coordinator, epoch, ..
    } = enlist;
    match kind {
        "LOG" => format!(
            "{address} knows coordinator {coordinator} with log {known}, not with log {}: either \
             two coordinators have the same id, or the log was replaced; start with the log that \
             it knows, or give this coordinator another id",
            enlist.log_id
        ),
        "EPOCH" => format!(
            "{address} knows epoch {known} of coordinator {coordinator}, and this log is at epoch \
             {epoch}: the log is an old copy, or a newer process runs; start with the newest log"
        ),
        _ => format!(
            "{address} knows epoch {epoch} of coordinator {coordinator} from another process \
             ({known}): if one runs on a copy of this log, stop it; if that was a start that was \
             refused for its old copy, start this one again, which begins the next epoch"
        ),
    }
}
