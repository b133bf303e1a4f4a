//! The one-line notation of events, actions and records that transcripts and traces are written in.
//!
//! `transcripts/README.md` describes it for readers.

#![allow(dead_code, reason = "each test program uses its part")]

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tandem_protocol::{
    Action, Call, CallFailure, CallFailureKind, CommitEvidence, Debt, Ending, Entry, Event, Item,
    Note, ParticipantName, PreparedBranch, PreparedId, Purchase, Record, Refusal, RefusedEntry,
    Repair, Repaired, Reply, Settlement, Timestamp, TransactionId, Vote, WaitFor,
};

/// Reads an event's line.
pub(crate) fn parse_event(line: &str) -> Result<Event, String> {
    let mut words = Words::new(line);
    let event = match words.next()? {
        "submit" => {
            let request = words.parse()?;
            let purchase_id = words.next()?.to_owned();
            let customer_id = words.next()?.to_owned();
            let items = words
                .next()?
                .split(',')
                .map(item)
                .collect::<Result<_, _>>()?;
            let mut wait_for = WaitFor::Applied;
            let mut deadline = Timestamp(60_000);
            while let Some(word) = words.peek() {
                match word {
                    "decided" => wait_for = WaitFor::Decided,
                    "by" => {
                        words.next()?;
                        deadline =
                            Timestamp(words.peek().ok_or("by when?")?.parse().map_err(text)?);
                    }
                    other => return Err(format!("{other:?} is not an option of submit")),
                }
                words.next()?;
            }
            Event::Submitted {
                request,
                purchase: Arc::new(Purchase {
                    purchase_id,
                    customer_id,
                    currency: "EUR".into(),
                    items,
                    ..Default::default()
                }),
                wait_for,
                deadline,
            }
        }
        "vote" => {
            let transaction = words.parse()?;
            let participant = words.parse()?;
            let vote = match words.next()? {
                "no" => Vote::No {
                    detail: words.rest(),
                },
                "yes" => {
                    let incarnation = words.option("in")?.unwrap_or_default();
                    let refused = match words.option("refusing")? {
                        None => Vec::new(),
                        Some(list) => list.split(',').map(refused).collect::<Result<_, _>>()?,
                    };
                    Vote::Yes {
                        refused,
                        incarnation,
                    }
                }
                other => return Err(format!("{other:?} is not a vote")),
            };
            Event::Voted {
                transaction,
                participant,
                vote,
            }
        }
        "ack" => {
            let transaction = words.parse()?;
            let participant = words.parse()?;
            let ending = ending(words.next()?)?;
            let evidence = match (ending, words.peek()) {
                (Ending::RollBack, _) => None,
                (Ending::Commit, Some("already")) => Some(CommitEvidence::AlreadyApplied),
                (Ending::Commit, Some("redone")) => Some(CommitEvidence::Redone),
                (Ending::Commit, _) => Some(CommitEvidence::Applied),
            };
            if matches!(words.peek(), Some("already" | "redone")) {
                words.next()?;
            }
            let debts = match words.option("owing")? {
                None => Vec::new(),
                Some(list) => list.split(',').map(debt).collect::<Result<_, _>>()?,
            };
            Event::Acknowledged {
                transaction,
                participant,
                ending,
                evidence,
                debts,
            }
        }
        "fail" => {
            let transaction = words.parse()?;
            let participant = words.parse()?;
            let call = match words.next()? {
                "prepare" => Call::Prepare,
                "repair" => Call::Repair,
                other => Call::End(ending(other)?),
            };
            let kind = match words.next()? {
                "unavailable" => CallFailureKind::Unavailable,
                "busy" => CallFailureKind::Busy,
                "stuck" => CallFailureKind::Stuck,
                "fenced" => CallFailureKind::Fenced,
                other => CallFailureKind::Heuristic(
                    other
                        .parse()
                        .map_err(|_| format!("{other:?} is no failure"))?,
                ),
            };
            Event::CallFailed {
                transaction,
                participant,
                call,
                failure: CallFailure {
                    kind,
                    detail: words.rest(),
                },
            }
        }
        "enlistable" => Event::Enlistable {
            participant: words.parse()?,
            newest_committed: match words.option("knows")? {
                None => Vec::new(),
                Some(list) => list.split(',').map(parse).collect::<Result<_, _>>()?,
            },
        },
        "up" => {
            let participant = words.parse()?;
            let incarnation = words.option("in")?.unwrap_or_default();
            let refuses_singly = words.peek() == Some("singly");
            if refuses_singly {
                words.next()?;
            }
            let newest_committed = match words.option("knows")? {
                None => Vec::new(),
                Some(list) => list.split(',').map(parse).collect::<Result<_, _>>()?,
            };
            Event::ParticipantUp {
                participant,
                incarnation,
                newest_committed,
                refuses_singly,
            }
        }
        "down" => Event::ParticipantDown {
            participant: words.parse()?,
            detail: words.rest(),
        },
        "refused" => Event::Refused {
            participant: words.parse()?,
            detail: words.rest(),
        },
        "found" => {
            let participant = words.parse()?;
            let mut branches = Vec::new();
            while let Some(word) = words.peek() {
                let id = word.parse().map_or_else(
                    |_| PreparedId::Foreign(word.to_owned()),
                    PreparedId::Transaction,
                );
                let prepare_time = None;
                branches.push(PreparedBranch { id, prepare_time });
                words.next()?;
            }
            Event::FoundPrepared {
                participant,
                branches,
            }
        }
        "retry" => Event::RetryNow {
            transaction: words.parse()?,
        },
        "settle" => {
            let request = words.parse()?;
            let transaction = words.parse()?;
            let participant = words.parse()?;
            let ending = ending(words.next()?)?;
            let force = words.peek() == Some("force");
            if force {
                words.next()?;
            }
            Event::Settled {
                request,
                settlement: Settlement {
                    transaction,
                    participant,
                    ending,
                    reason: words.rest(),
                    operator: "ann".into(),
                },
                force,
            }
        }
        "repair" => Event::RepairOrdered {
            request: words.parse()?,
            repair: Repair {
                transaction: words.parse()?,
                participant: words.parse()?,
                reason: words.rest(),
                operator: "ann".into(),
            },
            decision: None,
        },
        "repaired" => {
            let transaction = words.parse()?;
            let participant = words.parse()?;
            let evidence = match words.peek() {
                Some("already") => CommitEvidence::AlreadyApplied,
                _ => CommitEvidence::Redone,
            };
            if evidence == CommitEvidence::AlreadyApplied {
                words.next()?;
            }
            let present = match words.option("present")? {
                None => Vec::new(),
                Some(list) => list.split(',').map(parse).collect::<Result<_, _>>()?,
            };
            let debts = match words.option("owing")? {
                None => Vec::new(),
                Some(list) => list.split(',').map(debt).collect::<Result<_, _>>()?,
            };
            Event::Repaired {
                transaction,
                participant,
                repaired: Repaired {
                    evidence,
                    present,
                    debts,
                },
            }
        }
        "drain" => Event::Drain,
        "tick" => Event::Tick,
        other => return Err(format!("{other:?} is no event")),
    };
    words.end()?;
    Ok(event)
}

fn ids_text(ids: &[TransactionId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

/// An event's line.
pub(crate) fn event_text(event: &Event) -> String {
    match event {
        Event::Submitted {
            request,
            purchase,
            wait_for,
            deadline,
        } => {
            let items: Vec<String> = purchase
                .items
                .iter()
                .map(|item| format!("{}:{}", item.sku, item.quantity))
                .collect();
            let (id, customer) = (&purchase.purchase_id, &purchase.customer_id);
            let wait_for = match wait_for {
                WaitFor::Applied => "",
                WaitFor::Decided => " decided",
            };
            let items = items.join(",");
            format!(
                "submit {request} {id} {customer} {items}{wait_for} by {}",
                deadline.0
            )
        }
        Event::Voted {
            transaction,
            participant,
            vote: Vote::No { detail },
        } => format!("vote {transaction} {participant} no {detail}"),
        Event::Voted {
            transaction,
            participant,
            vote: Vote::Yes {
                refused,
                incarnation,
            },
        } => {
            let refused: Vec<String> = refused
                .iter()
                .map(|refused| format!("{}={}", refused.number, refused.refusal.reason))
                .collect();
            format!(
                "vote {transaction} {participant} yes{}{}",
                optional("in", incarnation),
                optional("refusing", &refused.join(","))
            )
        }
        Event::Stored { ticket, position } => format!("stored #{ticket} at {position}"),
        Event::Acknowledged {
            transaction,
            participant,
            ending,
            evidence,
            debts,
        } => {
            let evidence = match evidence {
                None | Some(CommitEvidence::Applied) => "",
                Some(CommitEvidence::AlreadyApplied) => " already",
                Some(CommitEvidence::Redone) => " redone",
            };
            let ending = ending_text(*ending);
            let debts = optional("owing", &debts_text(debts));
            format!("ack {transaction} {participant} {ending}{evidence}{debts}")
        }
        Event::CallFailed {
            transaction,
            participant,
            call,
            failure,
        } => {
            let call = match call {
                Call::Prepare => "prepare",
                Call::Repair => "repair",
                Call::End(ending) => ending_text(*ending),
            };
            let kind = match &failure.kind {
                CallFailureKind::Unavailable => "unavailable",
                CallFailureKind::Busy => "busy",
                CallFailureKind::Stuck => "stuck",
                CallFailureKind::Fenced => "fenced",
                CallFailureKind::Heuristic(kind) => kind.as_ref(),
            };
            format!(
                "fail {transaction} {participant} {call} {kind} {}",
                failure.detail
            )
        }
        Event::Enlistable {
            participant,
            newest_committed,
        } => format!(
            "enlistable {participant}{}",
            optional("knows", &ids_text(newest_committed))
        ),
        Event::ParticipantUp {
            participant,
            incarnation,
            newest_committed,
            refuses_singly,
        } => {
            let singly = if *refuses_singly { " singly" } else { "" };
            let incarnation = optional("in", incarnation);
            let known = optional("knows", &ids_text(newest_committed));
            format!("up {participant}{incarnation}{singly}{known}")
        }
        Event::ParticipantDown {
            participant,
            detail,
        } => format!("down {participant} {detail}"),
        Event::Refused {
            participant,
            detail,
        } => format!("refused {participant} {detail}"),
        Event::FoundPrepared {
            participant,
            branches,
        } => {
            let ids: String = branches
                .iter()
                .map(|branch| match &branch.id {
                    PreparedId::Transaction(id) => format!(" {id}"),
                    PreparedId::Foreign(text) => format!(" {text}"),
                })
                .collect();
            format!("found {participant}{ids}")
        }
        Event::Recalled {
            participant,
            page,
            forgotten,
            remembers_from,
        } => {
            let forgotten: Vec<String> = forgotten.iter().map(ToString::to_string).collect();
            let from = remembers_from.as_ref().map(ToString::to_string);
            format!(
                "recalled {participant} #{page}{}{}",
                optional("without", &forgotten.join(",")),
                optional("from", &from.unwrap_or_default())
            )
        }
        Event::DecisionRead {
            transaction,
            decision,
        } => {
            let what = if decision.is_some() {
                ""
            } else {
                " without success"
            };
            format!("read {transaction}{what}")
        }
        Event::RetryNow { transaction } => format!("retry {transaction}"),
        Event::Settled {
            request,
            settlement,
            force,
        } => {
            let force = if *force { " force" } else { "" };
            format!(
                "settle {request} {} {} {}{force} {}",
                settlement.transaction,
                settlement.participant,
                ending_text(settlement.ending),
                settlement.reason
            )
        }
        Event::RepairOrdered {
            request, repair, ..
        } => format!(
            "repair {request} {} {} {}",
            repair.transaction, repair.participant, repair.reason
        ),
        Event::Repaired {
            transaction,
            participant,
            repaired,
        } => format!(
            "repaired {transaction} {participant}{}",
            repaired_text(repaired)
        ),
        Event::Drain => "drain".into(),
        Event::Tick => "tick".into(),
    }
}

/// An action's line.
pub(crate) fn action_text(action: &Action) -> String {
    match action {
        Action::Store {
            ticket,
            record,
            forced,
        } => {
            let forced = if *forced { "force" } else { "lazy" };
            format!("store #{ticket} {forced}: {}", record_text(record))
        }
        Action::Enlist { participant } => format!("enlist {participant}"),
        Action::Prepare {
            participant,
            transaction,
            entries,
            deadline,
            ..
        } => format!(
            "prepare {transaction} at {participant}: {} by {}",
            entries_text(entries),
            deadline.0
        ),
        Action::Commit {
            participant,
            transaction,
            entries,
            ..
        } => format!(
            "commit {transaction} at {participant}: {}",
            entries_text(entries)
        ),
        Action::Repair {
            participant,
            transaction,
            entries,
            ..
        } => format!(
            "repair {transaction} at {participant}: {}",
            entries_text(entries)
        ),
        Action::RollBack {
            participant,
            transaction,
        } => format!("roll back {transaction} at {participant}"),
        Action::Recall {
            participant,
            transactions,
            ..
        } => {
            let ids: Vec<String> = transactions.iter().map(ToString::to_string).collect();
            format!("recall at {participant}: {}", ids.join(","))
        }
        Action::ReadDecision {
            transaction,
            position,
        } => format!("read decision of {transaction} at {position}"),
        Action::Forget {
            participant,
            before,
            except,
            closed,
        } => {
            let except: Vec<String> = except.iter().map(ToString::to_string).collect();
            let except = optional("except", &except.join(","));
            let closed = closed.as_ref().map(ToString::to_string).unwrap_or_default();
            let closed = optional("closing what is before", &closed);
            format!("forget before {before}{except}{closed} at {participant}")
        }
        Action::Reply { request, reply } => format!("reply {request}: {}", reply_text(reply)),
        Action::ReplySettled { request, result } => match result {
            Ok(()) => format!("reply {request}: settled"),
            Err(error) => format!("reply {request}: not settled: {error}"),
        },
        Action::ReplyRepaired { request, result } => match result {
            Ok(repaired) => format!("reply {request}: repaired{}", repaired_text(repaired)),
            Err(error) => format!("reply {request}: not repaired: {error}"),
        },
        Action::Release { before } => format!("release log before {before}"),
        Action::Halt { reason } => format!("halt: {reason}"),
        Action::Note(note) => format!("note {}", note_text(note)),
    }
}

/// A record's line.
pub(crate) fn record_text(record: &Record) -> String {
    match record {
        Record::EpochStarted { epoch, .. } => format!("epoch {epoch} started"),
        Record::Decided(decision) => {
            let refused: Vec<String> = decision
                .refused
                .iter()
                .map(|refused| format!("{}={}", refused.purchase_id, refused.refusal.reason))
                .collect();
            format!(
                "decided {} commits {}{}",
                decision.transaction,
                entries_text(&decision.entries),
                optional("refusing", &refused.join(","))
            )
        }
        Record::Refused {
            transaction,
            refused,
            ..
        } => {
            let refused: Vec<String> = refused
                .iter()
                .map(|refused| format!("{}={}", refused.purchase_id, refused.refusal.reason))
                .collect();
            format!(
                "refused {transaction}{}",
                optional("refusing", &refused.join(","))
            )
        }
        Record::Ended { transaction, .. } => format!("ended {transaction}"),
        Record::Settled { settlement, .. } => format!(
            "settled {} at {} as {}: {}",
            settlement.transaction,
            settlement.participant,
            ending_text(settlement.ending),
            settlement.reason
        ),
        Record::Heuristic {
            transaction,
            participant,
            kind,
            ..
        } => format!("heuristic {transaction} at {participant} {kind}"),
        Record::RepairOrdered { repair, .. } => format!(
            "repair ordered of {} at {}: {}",
            repair.transaction, repair.participant, repair.reason
        ),
        Record::Forgotten { epoch, before } => {
            format!("forgotten before {before} in epoch {epoch}")
        }
        Record::Totals(totals) => {
            let skus = totals.skus.iter();
            let skus: Vec<String> = skus
                .map(|total| match total.unsure {
                    0 => format!("{} {}", total.deducted, total.sku),
                    unsure => format!("{} and maybe {} more {}", total.deducted, unsure, total.sku),
                })
                .collect();
            format!("totals of {}: {}", totals.participant, skus.join(", "))
        }
    }
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Committed {
            transaction,
            applied,
            ..
        } => {
            let applied = if *applied {
                "applied"
            } else {
                "not applied yet"
            };
            format!("committed by {transaction}, {applied}")
        }
        Reply::Refused {
            transaction,
            participant,
            refusal,
        } => format!(
            "refused by {participant} in {transaction}: {}",
            refusal.reason
        ),
        Reply::Reused => "purchase id reused with another content".into(),
        Reply::Unavailable { detail, .. } => format!("unavailable: {detail}"),
        Reply::QueueFull { .. } => "queue full".into(),
        Reply::Crowded { .. } => "crowded".into(),
        Reply::ShuttingDown => "shutting down".into(),
        Reply::OutcomeUnknown => "outcome unknown".into(),
        Reply::OutcomeCommitted { transaction, .. } => {
            format!("outcome committed by {transaction}, not applied yet")
        }
    }
}

fn note_text(note: &Note) -> String {
    match note {
        Note::Decided {
            transaction,
            committed,
            refused,
        } => {
            let refused: Vec<String> = refused
                .iter()
                .map(|(id, reason)| format!("{id}={reason}"))
                .collect();
            format!(
                "decided {transaction}{}{}",
                optional("committing", &committed.join(",")),
                optional("refusing", &refused.join(","))
            )
        }
        Note::Aborted {
            transaction,
            detail,
            ..
        } => format!("aborted {transaction}: {detail}"),
        Note::Ended { transaction } => format!("ended {transaction}"),
        Note::Waiting {
            transaction,
            participant,
            detail,
        } => format!("waiting {transaction} at {participant}: {detail}"),
        Note::Stuck {
            transaction,
            participant,
            detail,
        } => format!("stuck {transaction} at {participant}: {detail}"),
        Note::Heuristic {
            transaction,
            participant,
            kind,
            ..
        } => format!("heuristic {transaction} at {participant}: {kind}"),
        Note::Redone {
            transaction,
            participant,
        } => format!("redone {transaction} at {participant}"),
        Note::Debts {
            transaction,
            participant,
            debts,
        } => format!(
            "debts {transaction} at {participant}: {}",
            debts_text(debts)
        ),
        Note::Forgot {
            participant,
            transactions,
        } => format!("{participant} forgot {transactions}"),
        Note::Unchecked {
            participant,
            from,
            before,
        } => {
            let from = from.as_ref().map(|id| format!(" from {id}"));
            let from = from.unwrap_or_default();
            format!("unchecked at {participant}:{from} before {before}")
        }
        Note::Unreadable {
            transaction,
            participants,
        } => {
            let names: Vec<&str> = participants.iter().map(ParticipantName::as_str).collect();
            format!("unreadable {transaction}, forgotten at {}", names.join(","))
        }
        Note::Remembers {
            participant,
            redone,
            still_there,
        } => format!("{participant} remembers again: redone {redone}, still there {still_there}"),
        Note::FoundCommitted {
            transaction,
            participant,
        } => format!("found committed {transaction} at {participant}"),
        Note::FoundSettled {
            transaction,
            participant,
            ending,
        } => {
            let ending = ending_text(*ending);
            format!("found settled {transaction} at {participant}: {ending}")
        }
        Note::FoundUndecided {
            transaction,
            participant,
        } => format!("found undecided {transaction} at {participant}"),
        Note::RepairOrdered { repair } => format!(
            "repair ordered of {} at {}",
            repair.transaction, repair.participant
        ),
        Note::Repaired {
            transaction,
            participant,
            present,
        } => format!(
            "repaired {transaction} at {participant}{}",
            optional("leaving", &present.join(","))
        ),
        Note::Settled { settlement } => format!(
            "settled {} at {} as {}",
            settlement.transaction,
            settlement.participant,
            ending_text(settlement.ending)
        ),
    }
}

fn entries_text(entries: &[Entry]) -> String {
    let texts: Vec<String> = entries
        .iter()
        .map(|entry| format!("{}={}", entry.number, entry.purchase.purchase_id))
        .collect();
    texts.join(",")
}

fn repaired_text(repaired: &Repaired) -> String {
    let already = match repaired.evidence {
        CommitEvidence::AlreadyApplied => " already",
        CommitEvidence::Applied | CommitEvidence::Redone => "",
    };
    let present: Vec<String> = repaired.present.iter().map(ToString::to_string).collect();
    format!(
        "{already}{}{}",
        optional("present", &present.join(",")),
        optional("owing", &debts_text(&repaired.debts))
    )
}

fn debts_text(debts: &[Debt]) -> String {
    let texts: Vec<String> = debts
        .iter()
        .map(|debt| format!("{}:{}", debt.sku, debt.quantity))
        .collect();
    texts.join(",")
}

fn ending_text(ending: Ending) -> &'static str {
    match ending {
        Ending::Commit => "commit",
        Ending::RollBack => "rollback",
    }
}

fn optional(name: &str, value: &str) -> String {
    if value.is_empty() {
        String::new()
    } else {
        format!(" {name} {value}")
    }
}

fn ending(word: &str) -> Result<Ending, String> {
    match word {
        "commit" => Ok(Ending::Commit),
        "rollback" => Ok(Ending::RollBack),
        other => Err(format!("{other:?} is neither commit nor rollback")),
    }
}

fn item(word: &str) -> Result<Item, String> {
    let (sku, quantity) = word
        .split_once(':')
        .ok_or(format!("{word:?} is not SKU:N"))?;
    Ok(Item {
        sku: sku.to_owned(),
        quantity: parse(quantity)?,
        unit_price_minor: 100,
        ..Default::default()
    })
}

fn debt(word: &str) -> Result<Debt, String> {
    let (sku, quantity) = word
        .split_once(':')
        .ok_or(format!("{word:?} is not SKU:N"))?;
    Ok(Debt {
        sku: sku.to_owned(),
        quantity: parse(quantity)?,
        detail: "not there".into(),
    })
}

fn refused(word: &str) -> Result<RefusedEntry, String> {
    let (number, reason) = word
        .split_once('=')
        .ok_or(format!("{word:?} is not N=REASON"))?;
    Ok(RefusedEntry {
        number: parse(number)?,
        refusal: Refusal {
            reason: reason
                .parse()
                .map_err(|_| format!("{reason:?} is no reason"))?,
            detail: "as the store said".into(),
        },
    })
}

fn parse<T: FromStr<Err: std::fmt::Display>>(word: &str) -> Result<T, String> {
    word.parse().map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A line's words, read from left to right.
pub(crate) struct Words<'a> {
    words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(line: &'a str) -> Words<'a> {
        Words {
            words: line.split_whitespace().peekable(),
        }
    }

    pub(crate) fn next(&mut self) -> Result<&'a str, String> {
        self.words.next().ok_or("the line is too short".into())
    }

    pub(crate) fn peek(&mut self) -> Option<&'a str> {
        self.words.peek().copied()
    }

    pub(crate) fn parse<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Result<T, String> {
        parse(self.next()?)
    }

    /// The word after `name`, if that is the next word.
    fn option(&mut self, name: &str) -> Result<Option<String>, String> {
        if self.peek() != Some(name) {
            return Ok(None);
        }
        self.next()?;
        Ok(Some(self.next()?.to_owned()))
    }

    fn rest(&mut self) -> String {
        let words: Vec<&str> = self.words.by_ref().collect();
        words.join(" ")
    }

    fn end(&mut self) -> Result<(), String> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(format!("{word:?} is too much")),
        }
    }
}

/// A participant's name that a test writes down.
pub(crate) fn name(text: &str) -> ParticipantName {
    text.parse().expect("a test's name is well formed")
}

/// A transaction's id that a test writes down.
pub(crate) fn id(text: &str) -> TransactionId {
    text.parse().expect("a test's id is well formed")
}

/// Bounds that a small test can reach.
pub(crate) fn settings() -> tandem_protocol::Settings {
    tandem_protocol::Settings {
        queue_purchases_max: 100,
        transaction_purchases_max: 8,
        transaction_bytes_max: 60_000,
        pipeline_transactions_max: 2,
        unfinished_transactions_max: 100,
        cautious_transactions: 32,
        prepare_timeout: Duration::from_millis(5_000),
        unavailable_grace: Duration::from_millis(1_000),
        retry_base: Duration::from_millis(100),
        retry_cap: Duration::from_millis(5_000),
        retries_in_flight_max: 4,
        retention_age: Duration::from_secs(3_600),
        retention_purchases_max: 1_000,
        retention_age_min: Duration::ZERO,
        closing_age: Duration::from_secs(3_600),
    }
}
