//! Making a coordinator known: what comes before the first write to a server, and in which order.
//!
//! 1. Settings are read, and the server's run.
//! 2. A server that loads a torn append-only file wrongly begins to rewrite it ([`cut_off_torn_end`]).
//! 3. Keys of an earlier tandem are moved to where this one looks for them.
//! 4. Every command that the scripts use is tried.
//! 5. The coordinator is made known.
//!
//! A look changes nothing: it is what a coordinator asks before it has stored its epoch.

use std::collections::BTreeMap;
use std::time::Instant;

use redis::{Value, cmd, pipe};
use tandem_participant::{Enlist, Enlisted, Error, Finding, KnownCoordinator, Looked};
use tandem_protocol::{CoordinatorId, Epoch, TransactionId};

use crate::describe::Seen;
use crate::participant::{Learnt, RedisParticipant};
use crate::reply::Reply;
use crate::{keys, scripts};

/// Transactions that one call of the migration moves at most: some 20 ms of the server's time.
const MIGRATE_BATCH_MAX: usize = 2_000;

/// Pause between two looks at whether a rewrite of the append-only file has begun.
const REWRITE_POLL: std::time::Duration = std::time::Duration::from_millis(10);

/// A sku that nobody sells, for trying commands on its stock key.
const TRIAL_SKU: &str = "tandem.trial.of.rights";

/// The version of the keys that this build reads and writes.
const KEYS_VERSION: &str = "2";

impl RedisParticipant {
    pub(crate) async fn enlist_coordinator(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        let what = format!("enlisting {}", enlist.coordinator);
        let run = self.connection.run(&what).await?;
        let seen = Seen::read(&self.connection).await?;
        // What was found by trying is tried anew.
        let mut learnt = Learnt::default();
        self.learn(learnt.clone());
        self.refuse_unless_accepted(self.findings_of(&seen))?;
        learnt.torn_end = cut_off_torn_end(self, &what, &seen).await?;
        self.learn(learnt.clone());
        self.refuse_unless_accepted(self.findings_of(&seen))?;
        learnt.rights = self.try_commands(&what).await?;
        self.learn(learnt);
        self.refuse_unless_accepted(self.findings_of(&seen))?;
        self.migrate(&what, &enlist.coordinator).await?;
        let enlisted = self.make_known(&what, enlist, &run).await?;
        self.connection.enlisted_in(run);
        Ok(enlisted)
    }

    fn refuse_unless_accepted(&self, findings: Vec<Finding>) -> Result<(), Error> {
        match findings.iter().any(|finding| !finding.accepted) {
            true => Err(Error::Unsafe { findings }),
            false => Ok(()),
        }
    }

    /// Moves what an earlier tandem has kept, if there is any.
    async fn migrate(&self, what: &str, coordinator: &CoordinatorId) -> Result<(), Error> {
        let mut call = scripts::MIGRATE.prepare_invoke();
        call.key(self.keys.version())
            .arg(self.keys.prefix())
            .arg(coordinator.as_str())
            .arg(self.keys.participant().as_str())
            .arg(self.keys.place())
            .arg(MIGRATE_BATCH_MAX)
            .arg(self.keys.witness_place());
        let limit = self.connection.response_timeout();
        let address = self.connection.address();
        loop {
            let answer: Vec<Value> = self.connection.script(what, limit, &call).await?;
            let mut reply = Reply::read(what, answer)?;
            match reply.word() {
                "DONE" => return Ok(()),
                "MORE" => {}
                "OTHER" => {
                    let branch: String = reply.next()?;
                    return Err(Error::Invalid {
                        detail: format!(
                            "{what}: an earlier tandem keeps its keys at {address}, and {branch} of \
                             another coordinator is prepared there: let that coordinator end it, stop \
                             it and update it, then start this one again"
                        ),
                    });
                }
                "NEWER" => {
                    let version: String = reply.next()?;
                    return Err(newer(what, address, &version));
                }
                _ => return Err(reply.unexpected()),
            }
        }
    }

    /// Tries each command that a script uses, for this user. Gives what is missing and how to grant it.
    pub(crate) async fn try_commands(&self, what: &str) -> Result<Option<String>, Error> {
        let (stock, _) = self.place.key_and_field(TRIAL_SKU, "");
        let mut call = scripts::TRIAL.prepare_invoke();
        for key in self.keys.scratch() {
            call.arg(key);
        }
        call.arg(stock).arg(self.place.kind());
        let limit = self.connection.response_timeout();
        let answer: Vec<Value> = self.connection.script(what, limit, &call).await?;
        let mut reply = Reply::read(what, answer)?;
        if reply.word() != "TRIED" {
            return Err(reply.unexpected());
        }
        let mut failed: BTreeMap<String, String> = BTreeMap::new();
        while reply.has_more() {
            let (command, words): (String, String) = (reply.next()?, reply.next()?);
            failed.entry(command).or_insert(words);
        }
        Ok((!failed.is_empty()).then(|| self.missing(&failed)))
    }

    fn missing(&self, failed: &BTreeMap<String, String>) -> String {
        let mut commands = Vec::new();
        let mut said = Vec::new();
        for (command, words) in failed {
            commands.push(format!("+{}", command.to_lowercase()));
            said.push(format!("{command}: {words}"));
        }
        let (stock, _) = self.place.key_and_field("*", "*");
        let prefix = self.keys.prefix();
        format!(
            "the scripts can't use all that they need, and would stop half way: {}. Grant it: ACL \
             SETUSER {} {} ~{prefix}* ~witness:{prefix}* ~{stock}; a command that redis.conf renames or \
             disables must have its name back",
            said.join("; "),
            self.connection.user(),
            commands.join(" "),
        )
    }

    async fn make_known(&self, what: &str, enlist: &Enlist, run: &str) -> Result<Enlisted, Error> {
        let id = &enlist.coordinator;
        // No transaction's: numbers begin at 1.
        let nobody = TransactionId {
            coordinator: id.clone(),
            epoch: enlist.epoch,
            sequence: 0,
        };
        let mut call = self.about(&scripts::ENLIST, &nobody, enlist.epoch);
        call.arg(&enlist.log_id)
            .arg(&enlist.instance_id)
            .arg(Enlisted::NEWEST_COMMITTED_MAX)
            .arg(run)
            .arg(enlist.acknowledged.changes);
        for transaction in &enlist.acknowledged.committed {
            call.arg(keys::member(transaction));
        }
        let limit = self.connection.response_timeout();
        let answer: Vec<Value> = self.connection.script(what, limit, &call).await?;
        let mut reply = Reply::read(what, answer)?;
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
                participant = %self.keys.participant(),
                address = self.connection.address(),
                coordinator = %id,
                epoch = enlist.epoch.0,
                "the store remembers nothing of this coordinator: it is new, or it lost its data",
            );
        }
        let incarnation = reply.next()?;
        let changes = reply.next_number()?;
        let newest: Vec<String> = reply.next()?;
        Ok(Enlisted {
            incarnation,
            changes,
            newest_committed: members(id, &newest),
            refuses_singly: true,
        })
    }

    /// What is known of a coordinator, in keys of this version or of the one before.
    pub(crate) async fn look_for(&self, id: &CoordinatorId) -> Result<Looked, Error> {
        let what = format!("looking for coordinator {id}");
        let newest = isize::try_from(Enlisted::NEWEST_COMMITTED_MAX).unwrap_or(isize::MAX);
        let mut commands = pipe();
        commands
            .key_type(self.keys.version())
            .hmget(self.keys.coordinator(id), &["epoch", "log", "instance"])
            .zrevrange(self.keys.committed(id), 0, newest - 1);
        type Known = (Option<u64>, Option<String>, Option<String>);
        let (version, (epoch, log, instance), newest): (String, Known, Vec<String>) =
            self.connection.commands(&what, &commands).await?;
        if version == "string" {
            self.check_version(&what).await?;
        }
        let Some(epoch) = epoch else {
            return self.look_for_before(&what, id).await;
        };
        Ok(Looked {
            known: Some(known(epoch, log, instance)),
            newest_committed: members(id, &newest),
        })
    }

    async fn check_version(&self, what: &str) -> Result<(), Error> {
        let mut commands = pipe();
        commands.get(self.keys.version());
        let (text,): (String,) = self.connection.commands(what, &commands).await?;
        let version = text.split(' ').next().unwrap_or_default();
        match version {
            KEYS_VERSION => Ok(()),
            _ => Err(newer(what, self.connection.address(), version)),
        }
    }

    /// The same in the keys of version 1, whose names of transactions are `EPOCH.SEQUENCE`. While they are
    /// being moved their own epoch is beside the one that refuses.
    async fn look_for_before(&self, what: &str, id: &CoordinatorId) -> Result<Looked, Error> {
        let mut commands = pipe();
        commands
            .hmget(
                self.keys.coordinator_before(id),
                &["epoch", "log", "instance"],
            )
            .hmget(
                self.keys.coordinator_before(id),
                &["was_epoch", "was_log", "was_instance", "moving"],
            )
            .zrevrange(
                self.keys.committed_before(id),
                0,
                isize::try_from(Enlisted::NEWEST_COMMITTED_MAX).unwrap_or(isize::MAX) - 1,
            );
        type Known = (Option<u64>, Option<String>, Option<String>);
        type Moving = (Option<u64>, Option<String>, Option<String>, Option<String>);
        let (before, moving, newest): (Known, Moving, Vec<String>) =
            self.connection.commands(what, &commands).await?;
        let is_mine = match &moving.3 {
            Some(participant) => participant == self.keys.participant().as_str(),
            None => before.0.is_some_and(|epoch| epoch < keys::NEVER.0),
        };
        if !is_mine {
            return Ok(Looked::default());
        }
        let (epoch, log, instance) = match moving.0 {
            Some(epoch) => (Some(epoch), moving.1, moving.2),
            None => before,
        };
        let newest = newest
            .iter()
            .filter_map(|member| format!("{id}.{member}").parse().ok());
        Ok(Looked {
            known: epoch.map(|epoch| known(epoch, log, instance)),
            newest_committed: newest.collect(),
        })
    }
}

/// Has a server that was just started begin a new append-only file before tandem's first write.
///
/// Redis 7.0 and 8.0 cut a file that is torn within a transaction (MULTI) to the last whole command
/// *within* it and leave that orphan in the file: the next start runs it with the first EXEC that follows,
/// whosever it is. A rewrite that has begun ends that, since later commands go to another file (measured;
/// Valkey 9.1 takes the whole transaction back). Whether a file was torn the server does not tell, so it is
/// done once in each of its runs. It costs a fork.
async fn cut_off_torn_end(
    participant: &RedisParticipant,
    what: &str,
    seen: &Seen,
) -> Result<Option<String>, Error> {
    if !seen.may_keep_torn_end() {
        return Ok(None);
    }
    let connection = &participant.connection;
    let answer: Result<String, String> = connection
        .command_if_allowed(what, &cmd("BGREWRITEAOF"))
        .await?;
    if let Err(words) = answer
        && !words.contains("in progress")
    {
        return Ok(Some(format!(
            "after a crash this server may keep half of a transaction at the end of its append-only \
             file and run it at a later start; a rewrite of the file that has begun prevents that, and \
             it can't be begun: {words}. Allow the user BGREWRITEAOF (ACL SETUSER {} +bgrewriteaof), \
             see that the server can fork (vm.overcommit_memory = 1), or run BGREWRITEAOF yourself \
             after each start of the server",
            participant.connection.user()
        )));
    }
    let began = Instant::now();
    while began.elapsed() < connection.response_timeout() {
        if !Seen::read(connection).await?.may_keep_torn_end() {
            return Ok(None);
        }
        tokio::time::sleep(REWRITE_POLL).await;
    }
    Err(Error::Busy {
        detail: format!(
            "{what}: {} has been asked to rewrite its append-only file and has not begun: it waits for \
             another background save to end",
            connection.address()
        ),
    })
}

fn known(epoch: u64, log: Option<String>, instance: Option<String>) -> KnownCoordinator {
    KnownCoordinator {
        log_id: log.unwrap_or_default(),
        epoch: Epoch(epoch),
        instance_id: instance.unwrap_or_default(),
    }
}

fn members(id: &CoordinatorId, members: &[String]) -> Vec<TransactionId> {
    let found = members
        .iter()
        .filter_map(|member| keys::transaction_of(id, member));
    found.collect()
}

fn newer(what: &str, address: &str, version: &str) -> Error {
    Error::Invalid {
        detail: format!(
            "{what}: the keys at {address} are of version {version}, of a later tandem, and this one \
             knows up to {KEYS_VERSION}: update it"
        ),
    }
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
