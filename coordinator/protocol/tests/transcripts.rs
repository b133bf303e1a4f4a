//! Plays the transcripts in `transcripts/*.txt`; `UPDATE=1` writes what happens into them.
//!
//! A transcript is a conversation with the core. `>` lines are what happens, `<` lines what the
//! core asks for in answer. `transcripts/README.md` describes the notation.

#![allow(clippy::unwrap_used)]

mod notation;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use notation::{Words, action_text, name, parse_event, record_text, settings};
use tandem_protocol::{
    Action, Coordinator, CoordinatorId, Epoch, Event, Position, Record, Recovered, Settings,
    Ticket, Timestamp, TransactionId,
};

#[test]
fn transcripts_play_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 12, "transcripts are missing in {folder:?}");
    let update = env::var_os("UPDATE").is_some();
    let mut wrong = String::new();
    for path in paths {
        let written = fs::read_to_string(&path).unwrap();
        let played = play(&written).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if update {
            fs::write(&path, played).unwrap();
        } else if let Some((at, (was, is))) = first_difference(&written, &played) {
            let _ = writeln!(
                wrong,
                "{}:{at}\n  written {was}\n  played  {is}",
                path.display()
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "UPDATE=1 writes anew what is played:\n{wrong}"
    );
}

fn first_difference(written: &str, played: &str) -> Option<(usize, (String, String))> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (written, played) = (lines(written), lines(played));
    let end = || "the end".to_owned();
    (0..written.len().max(played.len()))
        .map(|at| {
            let was = written.get(at).cloned().unwrap_or_else(end);
            (at + 1, (was, played.get(at).cloned().unwrap_or_else(end)))
        })
        .find(|(_, (was, is))| was != is)
}

/// Plays a transcript: everything but its `<` lines, and what the core answers in their place.
fn play(written: &str) -> Result<String, String> {
    let mut stage = Stage::new();
    let mut played = String::new();
    for (at, line) in written.lines().enumerate() {
        if line.starts_with('<') {
            continue;
        }
        played.push_str(line);
        played.push('\n');
        if let Some(input) = line.strip_prefix("> ") {
            let answers = stage
                .input(input)
                .map_err(|error| format!("line {}: {error}", at + 1))?;
            for answer in answers {
                let _ = writeln!(played, "< {answer}");
            }
        }
    }
    Ok(played)
}

/// The core between a clock, a log that keeps only what was stored, and the transcript's hand.
struct Stage {
    settings: Settings,
    now: Timestamp,
    core: Option<Coordinator>,
    durable: Vec<(Position, Vec<u8>)>,
    next_position: Position,
    pending: Vec<(Ticket, Vec<u8>)>,
    /// What the store that comes up has forgotten.
    forgotten: BTreeSet<TransactionId>,
}

impl Stage {
    fn new() -> Stage {
        Stage {
            settings: settings(),
            now: Timestamp(0),
            core: None,
            durable: Vec::new(),
            next_position: 1,
            pending: Vec::new(),
            forgotten: BTreeSet::new(),
        }
    }

    fn input(&mut self, line: &str) -> Result<Vec<String>, String> {
        let mut words = Words::new(line);
        match words.next()? {
            "at" => {
                let time = Timestamp(words.parse()?);
                if time < self.now {
                    return Err("time goes back".into());
                }
                self.now = time;
                Ok(Vec::new())
            }
            "settings" => {
                while let Some(word) = words.peek() {
                    words.next()?;
                    self.set(word)?;
                }
                Ok(Vec::new())
            }
            "start" => self.start(),
            "stored" => {
                let mut answers = Vec::new();
                for (ticket, bytes) in std::mem::take(&mut self.pending) {
                    let position = self.append(bytes);
                    answers.extend(self.handle(Event::Stored { ticket, position })?);
                }
                Ok(answers)
            }
            "log" => self
                .durable
                .iter()
                .map(|(position, bytes)| {
                    let record = Record::decode(bytes).map_err(|error| error.to_string())?;
                    Ok(format!("{position} {}", record_text(&record)))
                })
                .collect(),
            "up" => {
                // What the store has forgotten is not a part of the event.
                let (line, forgotten) = line.split_once(" forgets ").unwrap_or((line, ""));
                let forgotten = forgotten.split(',').filter(|id| !id.is_empty());
                self.forgotten = forgotten.map(notation::id).collect();
                self.handle(parse_event(line)?)
            }
            _ => self.handle(parse_event(line)?),
        }
    }

    /// What the daemon does at its start: reads the log, stores a new epoch, begins. What was not
    /// stored before is lost.
    fn start(&mut self) -> Result<Vec<String>, String> {
        self.pending.clear();
        let id: CoordinatorId = "shop".parse().unwrap();
        let records = self
            .durable
            .iter()
            .map(|(at, bytes)| (*at, bytes.as_slice()));
        let recovered = Recovered::replay(&id, records).map_err(|error| error.to_string())?;
        let epoch = recovered.next_epoch();
        let unfinished = recovered.unfinished().len();
        self.append(
            Record::EpochStarted {
                epoch,
                instance_id: format!("instance-{epoch}"),
                time: self.now,
            }
            .encode(),
        );
        self.core = Some(Coordinator::new(
            self.settings.clone(),
            id,
            Epoch(epoch.0),
            [name("mysql"), name("redis")],
            recovered,
            self.now,
        ));
        Ok(vec![format!("epoch {epoch}, {unfinished} unfinished")])
    }

    fn handle(&mut self, mut event: Event) -> Result<Vec<String>, String> {
        if let Event::RepairOrdered {
            repair, decision, ..
        } = &mut event
        {
            // The daemon reads back what memory has forgotten.
            *decision =
                self.durable
                    .iter()
                    .find_map(|(_, bytes)| match Record::decode(bytes).ok()? {
                        Record::Decided(decision) if decision.transaction == repair.transaction => {
                            Some(decision)
                        }
                        _ => None,
                    });
        }
        let core = self.core.as_mut().ok_or("nothing has started")?;
        let actions = core.handle(self.now, event);
        let mut answers: Vec<String> = actions.iter().map(action_text).collect();
        for action in &actions {
            match action {
                Action::Recall {
                    participant,
                    page,
                    transactions,
                } => {
                    let is_forgotten = |id: &&TransactionId| self.forgotten.contains(*id);
                    let forgotten = transactions.iter().filter(is_forgotten).cloned().collect();
                    answers.extend(self.handle(Event::Recalled {
                        participant: participant.clone(),
                        page: *page,
                        forgotten,
                        remembers_from: None,
                    })?);
                }
                Action::ReadDecision {
                    transaction,
                    position,
                } => {
                    let found = self.durable.iter().find(|(at, _)| at == position);
                    let decision = match found.map(|(_, bytes)| Record::decode(bytes)) {
                        Some(Ok(Record::Decided(decision))) => Some(decision),
                        _ => None,
                    };
                    answers.extend(self.handle(Event::DecisionRead {
                        transaction: transaction.clone(),
                        decision,
                    })?);
                }
                Action::Store { ticket, record, .. } => {
                    self.pending.push((*ticket, record.encode()));
                }
                Action::Release { before } => self.durable.retain(|(at, _)| at >= before),
                _ => {}
            }
        }
        Ok(answers)
    }

    fn append(&mut self, bytes: Vec<u8>) -> Position {
        let position = self.next_position;
        self.next_position += 1;
        self.durable.push((position, bytes));
        position
    }

    fn set(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = word.split_once('=').ok_or("a setting is KEY=VALUE")?;
        let value: u64 = value
            .parse()
            .map_err(|_| format!("{value:?} is no number"))?;
        let count = usize::try_from(value).map_err(|error| error.to_string())?;
        match key {
            "cautious_transactions" => {
                let count = u32::try_from(value).map_err(|error| error.to_string())?;
                self.settings.cautious_transactions = count;
            }
            "pipeline_transactions_max" => self.settings.pipeline_transactions_max = count,
            "retention_age_ms" => self.settings.retention_age = Duration::from_millis(value),
            "retention_age_min_ms" => {
                self.settings.retention_age_min = Duration::from_millis(value);
            }
            "retention_purchases_max" => self.settings.retention_purchases_max = count,
            other => return Err(format!("{other:?} is no setting that a transcript changes")),
        }
        Ok(())
    }
}
