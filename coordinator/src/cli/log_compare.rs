//! `tandem log inspect` of two folders: what each knows that the other does not.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use tandem_log::Inspection;
use tandem_protocol::{CoordinatorId, ParticipantName, Record, TransactionId};

use super::content::Shown;
use super::log_advice::{GO_ON, ask_stores};
use super::output::{self, Output, clean};
use super::{VerbFailure, log_record};

/// Records of one folder that are printed.
const LISTED_MAX: usize = 50;

pub(super) fn run(one: &Path, other: &Path, form: Output, shown: Shown) -> Result<(), VerbFailure> {
    let inspect = |dir: &Path| tandem_log::inspect(dir).map_err(anyhow::Error::from);
    let (first, second) = (inspect(one)?, inspect(other)?);
    let names = [one.display().to_string(), other.display().to_string()];
    let compared = Compared::of(names, [&first, &second])?;
    match form {
        Output::Json => output::json(&compared.json(shown))?,
        Output::Table => output::data(&compared.text(shown))?,
    }
    match compared.verdict() {
        Verdict::KnowsMore(_) | Verdict::Same => Ok(()),
        Verdict::Apart => Err(VerbFailure::Negative(
            "each has decided what the other does not know: two processes have run on copies of one log"
                .into(),
        )),
    }
}

/// Two copies of one log.
struct Compared {
    coordinator: CoordinatorId,
    sides: [Side; 2],
    /// Up to which record both say the same.
    common: u64,
    stores: BTreeSet<ParticipantName>,
}

/// One of the two, with what only it says.
struct Side {
    dir: String,
    epoch: u64,
    damage: Vec<String>,
    own: Vec<(u64, Record)>,
    /// Transactions of which only it knows how they were decided, or what was found or said of them.
    knows: BTreeSet<Knowledge>,
}

/// A transaction, and what a record says of it.
type Knowledge = (TransactionId, &'static str);

/// Which of the two knows more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// This one knows all that the other knows.
    KnowsMore(usize),
    Same,
    /// Each knows something that the other does not.
    Apart,
}

impl Compared {
    fn of(names: [String; 2], found: [&Inspection; 2]) -> Result<Compared, VerbFailure> {
        let [Some(one), Some(other)] = found.map(|found| found.identity.as_ref()) else {
            return Err(VerbFailure::Negative(
                "one of the two can't say whose log it is: look at each by itself".into(),
            ));
        };
        if one != other {
            return Err(VerbFailure::Negative(format!(
                "these are two different logs, {} of {} and {} of {}: neither knows anything of the other",
                clean(&one.log_id),
                clean(&one.coordinator_id),
                clean(&other.log_id),
                clean(&other.coordinator_id)
            )));
        }
        let coordinator = one.coordinator_id.parse();
        let coordinator =
            coordinator.map_err(|error| VerbFailure::Other(anyhow::Error::new(error)))?;
        let parts = apart(found);
        let ids = |side: usize| -> BTreeSet<Knowledge> {
            let records = found[side].records.iter();
            records.filter_map(|(_, bytes)| known_by(bytes)).collect()
        };
        let known = [ids(0), ids(1)];
        let [first, second] = names;
        let side = |dir, at: usize| Side {
            dir,
            epoch: epoch(found[at]),
            damage: found[at].damage.iter().map(ToString::to_string).collect(),
            own: decoded(found[at], parts),
            knows: known[at]
                .difference(&known[1 - at])
                .filter(|(id, _)| !is_forgotten(found[1 - at], id))
                .cloned()
                .collect(),
        };
        let stores = found.iter().flat_map(|found| &found.records);
        let stores = stores.filter_map(|(_, bytes)| match Record::decode(bytes) {
            Ok(Record::Decided(decision)) => Some(decision.participants),
            _ => None,
        });
        Ok(Compared {
            coordinator,
            sides: [side(first, 0), side(second, 1)],
            common: parts,
            stores: stores.flatten().collect(),
        })
    }

    fn verdict(&self) -> Verdict {
        match self.sides.each_ref().map(|side| side.knows.is_empty()) {
            [true, true] => Verdict::Same,
            [false, true] => Verdict::KnowsMore(0),
            [true, false] => Verdict::KnowsMore(1),
            [false, false] => Verdict::Apart,
        }
    }

    fn text(&self, shown: Shown) -> String {
        let mut page = format!(
            "coordinator  {}\nin common    up to record {}\n",
            self.coordinator, self.common
        );
        for side in &self.sides {
            let _ = writeln!(page, "\n{}\n  last epoch {}", clean(&side.dir), side.epoch);
            for damage in &side.damage {
                let _ = writeln!(page, "  DAMAGED {}", clean(damage));
            }
            if side.own.is_empty() {
                page.push_str("  has nothing that the other has not\n");
            }
            for (position, record) in side.own.iter().take(LISTED_MAX) {
                let line = log_record::line(record, shown);
                let _ = writeln!(page, "  only here: {position} {}", clean(&line));
            }
            if let Some(more @ 1..) = side.own.len().checked_sub(LISTED_MAX) {
                let _ = writeln!(page, "  and {more} records more");
            }
        }
        let _ = write!(page, "\nWHAT IT MEANS\n{}", self.advice());
        page
    }

    fn advice(&self) -> String {
        let mut advice = match self.verdict() {
            Verdict::KnowsMore(at) => {
                let [more, less] = [at, 1 - at].map(|at| &self.sides[at]);
                let epoch = match less.epoch > more.epoch {
                    true => {
                        " It has the higher epoch only since it was started: that epoch may be at the \
                         stores and keep the other from starting, which is undone as the operator's manual says \
                         under \"A stale or damaged log\"."
                    }
                    false => "",
                };
                let [more, less] = [more, less].map(|side| clean(&side.dir));
                format!(
                    "{more} KNOWS MORE: it has what {less} knows nothing of, and lacks nothing. Don't start \
                     {less}, and do nothing by it.{epoch}\n"
                )
            }
            Verdict::Same => self.same(),
            Verdict::Apart => {
                let folders = self.sides.each_ref().map(|side| clean(&side.dir));
                format!(
                    "EACH KNOWS WHAT THE OTHER DOES NOT: two processes have run on copies of one log. Start on \
                     neither, and roll nothing back by either alone. Carry out by hand, at each store, every \
                     decision that `tandem log inspect --config FILE {}` and `tandem log inspect --config FILE \
                     {}` list. What is prepared then and is in neither of the two under `--records` was not \
                     decided: release it everywhere, as the operator's manual says under \"Ending a branch by \
                     hand\" (`coordinator/docs/operator.md`). {GO_ON}\n",
                    folders[0], folders[1]
                )
            }
        };
        let stores = ask_stores(&self.coordinator, &self.stores, None);
        let _ = write!(
            advice,
            "A third copy may know more than both. The stores know what they were told: an epoch or a commit \
             that neither has here means that there is one.\n{stores}"
        );
        advice
    }

    /// About two that differ in nothing that was decided.
    fn same(&self) -> String {
        let one_goes_on = match self.sides.each_ref().map(|side| side.own.is_empty()) {
            [true, true] => {
                return "Both are the same: start on either, and keep the other away.\n".to_owned();
            }
            [false, false] => None,
            [true, false] => Some([1, 0]),
            [false, true] => Some([0, 1]),
        };
        let folders = self.sides.each_ref().map(|side| clean(&side.dir));
        match one_goes_on {
            Some([longer, shorter]) => format!(
                "Both know the same of every transaction, and {} goes on where {} ends. Start on {}, and keep \
                 the other away.\n",
                folders[longer], folders[shorter], folders[longer]
            ),
            None => "Both know the same of every transaction, and both have been started since they were one. \
                     Start on the one on which the coordinator last ran, and keep the other away. If a store \
                     refuses its epoch, that is set back as the operator's manual says under \"A stale or damaged \
                     log\".\n"
                .to_owned(),
        }
    }

    fn json(&self, shown: Shown) -> Value {
        let sides = self.sides.iter().map(|side| {
            let own = side.own.iter().map(|(position, record)| {
                json!({ "position": position, "record": log_record::document(record, shown) })
            });
            json!({
                "dir": side.dir,
                "epoch": side.epoch,
                "damage": side.damage,
                "own_records": own.collect::<Vec<_>>(),
                "knows": side.knows.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(),
            })
        });
        json!({
            "coordinator_id": self.coordinator.as_str(),
            "common_position": self.common,
            "folders": sides.collect::<Vec<_>>(),
            "knows_more": match self.verdict() {
                Verdict::KnowsMore(at) => Some(&self.sides[at].dir),
                Verdict::Same | Verdict::Apart => None,
            },
        })
    }
}

/// The last record up to which both say the same, of those that both still have.
fn apart([one, other]: [&Inspection; 2]) -> u64 {
    let mut common = 0;
    let mut others = other.records.iter().peekable();
    for (position, bytes) in &one.records {
        while others.next_if(|(at, _)| at < position).is_some() {}
        match others.peek() {
            Some((at, same)) if at == position && same == bytes => common = position.0,
            Some((at, _)) if at == position => break,
            // The other has released it, or does not reach so far.
            Some(_) => {}
            None => break,
        }
    }
    common
}

/// The records behind a position.
fn decoded(found: &Inspection, behind: u64) -> Vec<(u64, Record)> {
    let records = found.records.iter().filter(|(at, _)| at.0 > behind);
    records
        .filter_map(|(at, bytes)| Some((at.0, Record::decode(bytes).ok()?)))
        .collect()
}

/// The transaction of which a record says how it was decided, or what was found or said of it.
fn known_by(bytes: &[u8]) -> Option<Knowledge> {
    let record = Record::decode(bytes).ok()?;
    let what = match record {
        Record::Decided(_) => "decided",
        Record::Refused { .. } => "refused",
        Record::Settled { .. } => "settled",
        Record::Heuristic { .. } => "heuristic",
        Record::RepairOrdered { .. } => "repair",
        Record::EpochStarted { .. }
        | Record::Ended { .. }
        | Record::Forgotten { .. }
        | Record::Totals(_) => return None,
    };
    Some((record.transaction()?.clone(), what))
}

/// Whether a log has known a transaction and has forgotten it.
fn is_forgotten(found: &Inspection, id: &TransactionId) -> bool {
    found.records.iter().any(|(_, bytes)| {
        matches!(Record::decode(bytes), Ok(Record::Forgotten { before, .. }) if *id < before)
    })
}

/// The last epoch that was started.
fn epoch(found: &Inspection) -> u64 {
    let records = found.records.iter();
    let epochs = records.filter_map(|(_, bytes)| match Record::decode(bytes) {
        Ok(Record::EpochStarted { epoch, .. } | Record::Forgotten { epoch, .. }) => Some(epoch.0),
        _ => None,
    });
    epochs.max().unwrap_or_default()
}
