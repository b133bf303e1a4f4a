//! How a script is called: with which keys and words, in which life of the store, and on how many replicas
//! its effect must be.

use std::time::Duration;

use redis::{Script, ScriptInvocation, Value, pipe};
use tandem_participant::Error;
use tandem_protocol::{Epoch, TransactionId};

use crate::keys;
use crate::participant::RedisParticipant;
use crate::place::{Location, StockPlace};
use crate::reply::Reply;

impl RedisParticipant {
    /// A script's call with the keys and words that `common.lua` lists.
    pub(crate) fn about<'a>(
        &self,
        script: &'a Script,
        transaction: &TransactionId,
        caller: Epoch,
    ) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        for key in self.keys.of_branch(transaction) {
            call.key(key);
        }
        let (row, place) = self.keys.witness(transaction);
        call.arg(self.keys.branch(transaction))
            .arg(keys::member(transaction))
            .arg(caller.0)
            .arg(self.keys.prefix())
            .arg(self.keys.owner(&transaction.coordinator))
            .arg(format!("{row} {place}"))
            .arg(self.keys.place())
            .arg(self.keys.witness_place());
        call
    }

    /// Adds the keys and words that `stock.lua` lists.
    pub(crate) fn with_stocks(&self, call: &mut ScriptInvocation<'_>, stocks: &[String]) {
        call.arg(stocks.len()).arg(self.place.kind());
        if let StockPlace::Hash { key, .. } = &self.place {
            call.key(key).arg(stocks);
            return;
        }
        for stock in stocks {
            match self.place.locate(stock) {
                Location::Key(key) => call.key(key),
                Location::Field { hash, field } => call.key(hash).arg(field),
            };
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

    /// For the scripts that refuse a caller of an old epoch, or in another life of the store.
    pub(crate) async fn run_fenced(
        &self,
        what: &str,
        limit: Duration,
        call: &ScriptInvocation<'_>,
    ) -> Result<Reply, Error> {
        self.join_run(what).await?;
        let answer = self.connection.script_in_life(what, limit, call).await?;
        self.unless_refused(what, Reply::read(what, answer)?)
    }

    /// A process that has just begun serves those who have enlisted in this run of the server already,
    /// through another.
    async fn join_run(&self, what: &str) -> Result<(), Error> {
        if self.connection.is_enlisted() {
            return Ok(());
        }
        let mut commands = pipe();
        commands.hget(self.keys.store(), "run");
        let (enlisted,): (Option<String>,) = self.connection.commands(what, &commands).await?;
        let run = self.connection.run(what).await?;
        if enlisted.as_deref() == Some(&*run) {
            self.connection.enlisted_in(run);
        }
        Ok(())
    }

    /// As [`Self::run_fenced`], for what must be on the replicas before it counts.
    pub(crate) async fn run_on_replicas(
        &self,
        what: &str,
        limit: Duration,
        call: &ScriptInvocation<'_>,
    ) -> Result<Reply, Error> {
        let Some(wait) = self.wait else {
            return self.run_fenced(what, limit, call).await;
        };
        self.join_run(what).await?;
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
}
