//! The participant: each call of the trait is one script.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::{Script, pipe};
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    BranchTruth, Commit, CommitEvidence, Committed, Debt, Description, Enlist, Enlisted, Error,
    Examined, Finding, Forget, HeuristicKind, Look, Looked, Participant, Prepare, PreparedBranch,
    Recall, Recalled, RefusedEntry, Repaired, RollBack, RolledBack, Stock, Vote, Voted,
};
use tandem_protocol::{CoordinatorId, Entry, Item, ParticipantName, TransactionId, sku_and_pool};

use crate::connection::Connection;
use crate::danger::Danger;
use crate::describe::{self, Seen};
use crate::keys::{self, Keys};
use crate::place::{Location, StockPlace};
use crate::refusal::{self, NoStock};
use crate::reply::Row;
use crate::rights::Rights;
use crate::settings::{Settings, SettingsError, Wait};
use crate::wanted::Wanted;
use crate::{scripts, trial};

/// Transactions that one call of the forget script drops at most: about 5 ms of the server's time.
const FORGET_BATCH_MAX: usize = 2_000;

/// The stock of one Redis or Valkey server.
pub struct RedisParticipant {
    pub(crate) place: StockPlace,
    pub(crate) keys: Keys,
    accept: Vec<String>,
    pub(crate) wait: Option<Wait>,
    pub(crate) connection: Connection,
    /// The least that its user needs.
    pub(crate) rights: Rights,
    /// For a transaction on keys that nothing else has.
    pub(crate) trial_settings: Settings,
    learnt: Mutex<Learnt>,
}

/// What the last enlistment found out by trying, for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct Learnt {
    /// Why a torn end of the append-only file was not cut off.
    pub(crate) torn_end: Option<String>,
    /// What the scripts may not use.
    pub(crate) rights: Option<String>,
}

impl RedisParticipant {
    /// Checks the settings. Connects to nothing: each call connects when it must.
    pub fn new(
        name: ParticipantName,
        settings: Settings,
    ) -> Result<RedisParticipant, SettingsError> {
        let place = settings.stock_place()?;
        let entrance = settings.entrance()?;
        Ok(RedisParticipant {
            rights: settings.rights()?,
            trial_settings: trial::settings(&settings),
            wait: settings.wait(),
            connection: Connection::new(
                entrance,
                Duration::from_millis(settings.connect_timeout_ms),
                Duration::from_millis(settings.response_timeout_ms),
            ),
            keys: Keys::new(settings.key_prefix, name, &place),
            place,
            accept: settings.accept,
            learnt: Mutex::default(),
        })
    }

    /// Notes what an enlistment found out by trying.
    pub(crate) fn learn(&self, learnt: Learnt) {
        *self.learnt.lock().unwrap_or_else(PoisonError::into_inner) = learnt;
    }

    /// Everything unsafe that is known of the server.
    pub(crate) fn findings_of(&self, seen: &Seen) -> Vec<Finding> {
        let dangers = self.dangers_of(seen).into_iter();
        dangers
            .map(|danger| danger.into_finding(&self.accept))
            .collect()
    }

    /// The same by what was found.
    pub(crate) fn dangers_of(&self, seen: &Seen) -> Vec<Danger> {
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let Learnt { torn_end, rights } = learnt.clone();
        let dangers = describe::dangers(seen).into_iter();
        dangers
            .chain((!self.keys.counts()).then_some(Danger::StockNotCounted))
            .chain(torn_end.map(Danger::AofNotRewritten))
            .chain(rights.map(Danger::RightMissing))
            .collect()
    }

    /// What tandem's books call the stock of a sku: its key, its field in the stock hash, or the key of its hash
    /// and the field. The error is a key (or field) that would be one of tandem's own.
    pub fn stock_of(&self, sku: &str) -> Result<String, String> {
        self.stock_in(sku, "").map_err(|no_stock| match no_stock {
            NoStock::Reserved(key) | NoStock::NoPools(key) => key,
        })
    }

    /// The same of a [`stock_name`](tandem_protocol::stock_name).
    pub(crate) fn stock_named(&self, name: &str) -> Result<String, NoStock> {
        let (sku, pool) = sku_and_pool(name);
        self.stock_in(sku, pool)
    }

    fn stock_in(&self, sku: &str, pool: &str) -> Result<String, NoStock> {
        if !pool.is_empty() && self.place.default_pool().is_none() {
            return Err(NoStock::NoPools(pool.to_owned()));
        }
        let (key, field) = self.place.key_and_field(sku, pool);
        // The stock hash has been looked at with the settings.
        if !matches!(self.place, StockPlace::Hash { .. }) && self.keys.are_reserved(&key) {
            return Err(NoStock::Reserved(key));
        }
        // Fields of tandem's own are beside those of the app.
        match field {
            Some(field) if self.keys.are_own_fields(&field) => Err(NoStock::Reserved(field)),
            _ => Ok(self.place.name_of(sku, pool)),
        }
    }

    /// The key, or the field of the stock's hash, that counts what was deducted of a stock.
    pub(crate) fn count_of(&self, coordinator: &CoordinatorId, name: &str) -> String {
        match self.place.locate(name) {
            Location::Key(key) => self.keys.count(coordinator, key),
            Location::Field { field, .. } => self.keys.count(coordinator, field),
        }
    }

    /// What a script says is owed. A stock is shown as the sku that one of the entries has for it.
    pub(crate) fn debts(&self, entries: &[Entry], rows: &[Row]) -> Vec<Debt> {
        if rows.is_empty() {
            return Vec::new();
        }
        let items = entries.iter().flat_map(|entry| entry.purchase.tracked());
        let skus: HashMap<String, Cow<'_, str>> = items
            .filter_map(|item| Some((self.stock_in(&item.sku, &item.pool).ok()?, item.stock())))
            .collect();
        rows.iter()
            .filter_map(|row| {
                let stock = row.first()?;
                let sku = skus.get(stock).map_or(stock.as_str(), |sku| sku);
                refusal::debt(&self.place, sku, row)
            })
            .collect()
    }
}

#[async_trait]
impl Participant for RedisParticipant {
    async fn look(&self, look: &Look) -> Result<Looked, Error> {
        self.look_for(&look.coordinator).await
    }

    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        self.enlist_coordinator(enlist).await
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        let transaction = &prepare.transaction;
        let what = format!("prepare of {transaction}");
        let mut call = self.about(&scripts::PREPARE, transaction, transaction.epoch);
        let mut wanted = Wanted::default();
        let mut refused = Vec::new();
        for entry in &prepare.entries {
            match self.items_of(entry) {
                Ok(items) => wanted.add(entry.number, items),
                Err(entry) => refused.push(entry),
            }
        }
        self.with_stocks(&mut call, wanted.stocks());
        let participants: Vec<&str> = prepare.participants.iter().map(|p| p.as_str()).collect();
        call.arg(&prepare.incarnation)
            .arg(prepare.acknowledged.changes)
            .arg(participants.join(","))
            .arg(wanted.holds());
        for committed in &prepare.acknowledged.committed {
            call.arg(keys::member(committed));
        }
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
        let changes = reply.next_number()?;
        for row in reply.next::<Vec<Row>>()? {
            let entry = self.refused_entry(&prepare.entries, &row);
            refused.push(entry.ok_or_else(|| reply.unexpected())?);
        }
        refused.sort_by_key(|entry| entry.number);
        Ok(Voted {
            vote: Vote::Yes {
                refused,
                incarnation,
            },
            changes,
        })
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

    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error> {
        let transaction = &roll_back.transaction;
        let what = format!("roll back of {transaction}");
        let call = self.about(&scripts::ROLL_BACK, transaction, roll_back.caller_epoch);
        let limit = self.connection.response_timeout();
        let mut reply = self.run_fenced(&what, limit, &call).await?;
        match reply.word() {
            "DONE" => Ok(RolledBack {
                changes: reply.next_number()?,
            }),
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
                except.push(keys::member(transaction));
            }
        }
        except.sort_unstable();
        except.dedup();
        let mut call = self.about(&scripts::FORGET, before, forget.caller_epoch);
        let closed = forget.closed.as_ref().map(keys::member);
        call.arg(FORGET_BATCH_MAX).arg(closed.unwrap_or_default());
        for member in except {
            call.arg(member);
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
        let mut call = scripts::RECALL.prepare_invoke();
        call.key(self.keys.store())
            .key(self.keys.coordinator(coordinator))
            .key(self.keys.committed(coordinator))
            .key(self.keys.busy())
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
        Ok(Recalled {
            forgotten,
            remembers_from: keys::transaction_of(coordinator, &floor),
            incarnation,
            changes: reply.next_number()?,
        })
    }

    async fn describe(&self) -> Result<Description, Error> {
        let seen = Seen::read(&self.connection).await?;
        let mut commands = pipe();
        commands.hget(self.keys.store(), "life");
        let what = "reading the store's life";
        // Best effort: a cluster without slots can be described too.
        let life: Result<(Option<String>,), Error> =
            self.connection.commands(what, &commands).await;
        let mut findings = self.findings_of(&seen);
        findings.extend(self.connection.try_the_entrance().await);
        Ok(Description {
            kind: "redis".to_owned(),
            server: seen.server(),
            address: self.connection.address().to_owned(),
            incarnation: life.ok().and_then(|(life,)| life).unwrap_or_default(),
            findings,
        })
    }

    async fn examine(&self) -> Result<Examined, Error> {
        self.look_and_try().await
    }

    async fn reconnect(&self) -> Result<(), Error> {
        self.connection.reconnect("reconnecting").await
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
        let mut call = self.about(script, transaction, commit.caller_epoch);
        let mut wanted = Wanted::default();
        for entry in &commit.entries {
            let items = self.items_of(entry).map_err(|refused| Error::Invalid {
                detail: format!("{what}: {}", refused.refusal.detail),
            })?;
            wanted.add(entry.number, items);
        }
        let stocks = wanted.stocks();
        self.with_stocks(&mut call, stocks);
        let id = &transaction.coordinator;
        let counts: Vec<String> = stocks.iter().map(|s| self.count_of(id, s)).collect();
        match &self.place {
            StockPlace::Keys(_) => call.key(counts),
            StockPlace::Hash { .. } | StockPlace::Hashes { .. } => call.arg(counts),
        };
        call.arg(u8::from(self.keys.counts())).arg(wanted.units());
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
            changes: reply.next_number()?,
            debts: self.debts(&commit.entries, &reply.next::<Vec<Row>>()?),
        })
    }

    /// The stock of each tracked item of an entry and the units wanted of it.
    fn items_of(&self, entry: &Entry) -> Result<Vec<(String, u64)>, RefusedEntry> {
        let items = entry.purchase.tracked();
        let stock_of = |item: &Item| match self.stock_in(&item.sku, &item.pool) {
            Ok(stock) => Ok((stock, u64::from(item.quantity))),
            Err(no_stock) => Err(RefusedEntry {
                number: entry.number,
                refusal: no_stock.refusal(&item.sku),
            }),
        };
        items.map(stock_of).collect()
    }

    fn refused_entry(&self, entries: &[Entry], row: &Row) -> Option<RefusedEntry> {
        let number = row.first()?.parse().ok()?;
        let stock = row.get(2)?;
        let entry = entries.iter().find(|entry| entry.number == number)?;
        // The same stock may be on several lines.
        let is_of = |item: &&Item| {
            let of = self.stock_in(&item.sku, &item.pool);
            of.as_ref() == Ok(stock)
        };
        let lines: Vec<&Item> = entry.purchase.tracked().filter(is_of).collect();
        let wanted = lines.iter().map(|item| u64::from(item.quantity)).sum();
        let sku = lines.first()?.stock();
        Some(RefusedEntry {
            number,
            refusal: refusal::refusal(&self.place, &sku, wanted, row)?,
        })
    }
}

impl fmt::Debug for RedisParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisParticipant")
            .field("name", self.keys.participant())
            .field("address", &self.connection.address())
            .finish_non_exhaustive()
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
