//! The calls to a participant. Each runs in a task of its own; its answer comes as an event.

use std::sync::Arc;
use std::time::Duration;

use tandem_participant::{Commit, Error, Forget, Prepare, Recall, Recalled, RollBack};
use tandem_protocol::{
    Call, CallFailure, CallFailureKind, Ending, Entry, Event, Reason, Timestamp, TransactionId,
    Vote,
};

use super::Link;
use crate::daemon::crash_point::{self, CrashPoint};

impl Link {
    /// Asks for a promise; the answer comes as an event.
    pub fn prepare(
        self: &Arc<Self>,
        transaction: TransactionId,
        entries: Vec<Entry>,
        begin_time: Timestamp,
        deadline: Timestamp,
    ) {
        tracing::debug!(
            transaction_id = %transaction, participant = %self.name, purchases = entries.len(),
            "preparing"
        );
        let link = Arc::clone(self);
        let left = deadline.since(self.clock.now());
        let (asked_in, told, request) = {
            let enlistment = self.enlistment();
            let (acknowledged, told) = enlistment.acknowledged();
            let request = Prepare {
                transaction: transaction.clone(),
                entries,
                participants: self.participants.to_vec(),
                incarnation: enlistment.incarnation().to_owned(),
                acknowledged,
                begin_time,
                timeout: left,
            };
            (enlistment.number(), told, request)
        };
        tokio::spawn(async move {
            let call = link.participant.prepare(&request);
            let answer = link
                .bounded("prepare", Some(&transaction), left, call)
                .await;
            drop(told);
            let event = match answer {
                Ok(voted) => {
                    crash_point::reach(CrashPoint::Voted);
                    link.enlistment().hear(asked_in, voted.changes);
                    link.heed(&voted.vote);
                    Event::Voted {
                        transaction,
                        participant: link.name.clone(),
                        vote: voted.vote,
                    }
                }
                Err(error) => link.failed(asked_in, transaction, Call::Prepare, &error),
            };
            link.tell(event);
        });
    }

    /// Asks to carry out a stored decision; the answer comes as an event.
    pub fn commit(
        self: &Arc<Self>,
        transaction: TransactionId,
        entries: Vec<Entry>,
        begin_time: Timestamp,
        decide_time: Timestamp,
    ) {
        let link = Arc::clone(self);
        let request = self.decided(transaction.clone(), entries, begin_time, decide_time);
        self.carry_out(Call::End(Ending::Commit), transaction, async move {
            let (transaction, time) = (request.transaction.clone(), link.times.call_timeout);
            let call = link.participant.commit(&request);
            let committed = link
                .bounded("commit", Some(&transaction), time, call)
                .await?;
            crash_point::reach(CrashPoint::Acknowledged);
            let event = Event::Acknowledged {
                transaction,
                participant: link.name.clone(),
                ending: Ending::Commit,
                evidence: Some(committed.evidence),
                debts: committed.debts,
            };
            Ok((event, committed.changes))
        });
    }

    /// Asks to redo a stored decision; the answer comes as an event.
    pub fn repair(
        self: &Arc<Self>,
        transaction: TransactionId,
        entries: Vec<Entry>,
        begin_time: Timestamp,
        decide_time: Timestamp,
    ) {
        let link = Arc::clone(self);
        let request = self.decided(transaction.clone(), entries, begin_time, decide_time);
        self.carry_out(Call::Repair, transaction, async move {
            let (transaction, time) = (request.transaction.clone(), link.times.call_timeout);
            let call = link.participant.repair(&request);
            let repaired = link
                .bounded("repair", Some(&transaction), time, call)
                .await?;
            let event = Event::Repaired {
                transaction,
                participant: link.name.clone(),
                repaired,
            };
            // A repair's answer tells no number of changes.
            Ok((event, 0))
        });
    }

    fn decided(
        &self,
        transaction: TransactionId,
        entries: Vec<Entry>,
        begin_time: Timestamp,
        decide_time: Timestamp,
    ) -> Commit {
        Commit {
            transaction,
            caller_epoch: self.enlist.epoch,
            entries,
            begin_time,
            decide_time,
        }
    }

    /// Asks in a task of its own to carry out a decision, and reports what became of it, if the
    /// participant was not enlisted again since: its answer may be of a life of the store that is
    /// over, and what it speaks of may be gone. It is asked again.
    fn carry_out(
        self: &Arc<Self>,
        call: Call,
        transaction: TransactionId,
        ask: impl Future<Output = Result<(Event, u64), Error>> + Send + 'static,
    ) {
        let link = Arc::clone(self);
        let asked_in = self.enlistment().number();
        tokio::spawn(async move {
            let answer = ask.await;
            // Held until the event is sent, so that it can't come behind the next enlistment's.
            let mut enlistment = link.enlistment();
            let is_over = enlistment.number() != asked_in;
            let event = match answer {
                Ok(_) if is_over => Event::CallFailed {
                    transaction,
                    participant: link.name.clone(),
                    call,
                    failure: CallFailure {
                        kind: CallFailureKind::Unavailable,
                        detail: format!("{} was enlisted again since it was asked", link.name),
                    },
                },
                Ok((event, changes)) => {
                    enlistment.hear(asked_in, changes);
                    enlistment.hear_commit(&transaction);
                    event
                }
                Err(error) => {
                    drop(enlistment);
                    let event = link.failed(asked_in, transaction, call, &error);
                    return link.tell(event);
                }
            };
            link.tell(event);
        });
    }

    /// Asks to release a transaction; the answer comes as an event.
    pub fn roll_back(self: &Arc<Self>, transaction: TransactionId) {
        let link = Arc::clone(self);
        let asked_in = self.enlistment().number();
        let request = RollBack {
            transaction: transaction.clone(),
            caller_epoch: self.enlist.epoch,
        };
        tokio::spawn(async move {
            let time = link.times.call_timeout;
            let call = link.participant.roll_back(&request);
            let answer = link
                .bounded("roll back", Some(&transaction), time, call)
                .await;
            let event = match answer {
                Ok(done) => {
                    crash_point::reach(CrashPoint::RolledBack);
                    link.enlistment().hear(asked_in, done.changes);
                    Event::Acknowledged {
                        transaction,
                        participant: link.name.clone(),
                        ending: Ending::RollBack,
                        evidence: None,
                        debts: Vec::new(),
                    }
                }
                Err(error) => {
                    let call = Call::End(Ending::RollBack);
                    link.failed(asked_in, transaction, call, &error)
                }
            };
            link.tell(event);
        });
    }

    /// Lets the participant forget. Best effort: the next time says it again.
    pub fn forget(
        self: &Arc<Self>,
        before: TransactionId,
        except: Vec<TransactionId>,
        closed: Option<TransactionId>,
    ) {
        let link = Arc::clone(self);
        // Before it is asked: no call that goes out later may name what the store has forgotten.
        let told = self.enlistment().let_go(&before);
        let request = Forget {
            before,
            except,
            closed,
            caller_epoch: self.enlist.epoch,
        };
        tokio::spawn(async move {
            let time = link.times.call_timeout;
            // One that takes longer has been given up, or says itself what the store does not know.
            let _ = tokio::time::timeout(time, told.wait()).await;
            let call = link.participant.forget(&request);
            if let Err(error) = link.bounded("forget", None, time, call).await {
                tracing::info!(participant = %link.name, %error, "could not forget, later again");
            }
        });
    }

    /// Asks what the store remembers; the answer comes as an event. Without one the participant is
    /// enlisted again, and the coordinator begins anew.
    pub fn recall(self: &Arc<Self>, page: u64, transactions: Vec<TransactionId>) {
        let link = Arc::clone(self);
        let asked_in = self.enlistment().number();
        tokio::spawn(async move {
            match link.recalled(transactions, link.times.call_timeout).await {
                Ok(recalled) => {
                    link.enlistment().hear(asked_in, recalled.changes);
                    link.tell(Event::Recalled {
                        participant: link.name.clone(),
                        page,
                        forgotten: recalled.forgotten,
                        remembers_from: recalled.remembers_from,
                    });
                }
                Err(error) => link.is_in_trouble(asked_in, &error),
            }
        });
    }

    pub(super) async fn recalled(
        &self,
        transactions: Vec<TransactionId>,
        time: Duration,
    ) -> Result<Recalled, Error> {
        let request = Recall {
            coordinator: self.enlist.coordinator.clone(),
            caller_epoch: self.enlist.epoch,
            transactions,
        };
        let call = self.participant.recall(&request);
        self.bounded("recall", None, time, call).await
    }

    /// A failed call as an event. One that got no answer also wakes the probe, which is the one
    /// task that finds out whether the participant is there, and tries a dead one.
    fn failed(
        &self,
        asked_in: u64,
        transaction: TransactionId,
        call: Call,
        error: &Error,
    ) -> Event {
        let kind = match error {
            Error::Unavailable { .. } => {
                self.doubt.notify_one();
                CallFailureKind::Unavailable
            }
            Error::Unsafe { .. } | Error::NotEnlisted { .. } => {
                self.is_in_trouble(asked_in, error);
                CallFailureKind::Unavailable
            }
            Error::Busy { .. } => CallFailureKind::Busy,
            Error::Stuck { .. } | Error::Invalid { .. } => CallFailureKind::Stuck,
            Error::Heuristic { kind, .. } => CallFailureKind::Heuristic(*kind),
            Error::Fenced { .. } => CallFailureKind::Fenced,
        };
        Event::CallFailed {
            transaction,
            participant: self.name.clone(),
            call,
            failure: CallFailure {
                kind,
                // It begins with the name of a heuristic end, wherever it is shown or stored.
                detail: error.to_string(),
            },
        }
    }

    /// Asks the participant what is wrong with it when it refuses what it should take.
    fn heed(&self, vote: &Vote) {
        let Vote::Yes { refused, .. } = vote else {
            return;
        };
        let mut reasons = refused.iter().map(|refused| refused.refusal.reason);
        if reasons.any(|reason| reason == Reason::Misconfigured) {
            self.doubt.notify_one();
        }
    }

    /// Has the participant enlisted again, unless it has been since the call was made.
    fn is_in_trouble(&self, asked_in: u64, error: &Error) {
        if self.enlistment().number() == asked_in {
            self.lock().detail = error.to_string();
            self.trouble.notify_one();
        }
    }
}
