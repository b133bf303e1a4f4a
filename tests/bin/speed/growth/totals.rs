//! Totals of many skus: bytes in the log, the time that a start takes for them, memory, and how long
//! a round of writing them again and a page of an audit keep every event waiting.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tandem_protocol::{
    Action, Coordinator, CoordinatorId, Decision, Entry, Epoch, Event, Item, LogRecord,
    ParticipantName, ParticipantTotals, Position, Purchase, Record, Recovered, Settings, SkuTotal,
    Timestamp, TransactionId,
};

/// Skus in a record of the log that is read.
const RECORD_SKUS: u64 = 1_000;

/// Rounds without anything to write, after which there is nothing left.
const IDLE_MAX: u32 = 3;

/// Prints a line for each number of skus, each with two participants.
pub(crate) fn answer(skus: &[u64]) -> Result<()> {
    println!(
        "{:>10} {:>10} {:>10} {:>12} {:>8} {:>14} {:>14}",
        "skus", "log B each", "replay", "memory B each", "rounds", "longest round", "longest page"
    );
    for &skus in skus {
        let before = resident_bytes()?;
        let Replayed {
            recovered,
            records,
            bytes,
            took,
        } = replay(skus)?;
        let memory = resident_bytes()?.saturating_sub(before);
        let mut core = core(recovered)?;
        let page = longest_page(&core, skus)?;
        let (rounds, round) = rewrite(&mut core, records)?;
        println!(
            "{skus:>10} {:>10.1} {:>10.1?} {:>12.0} {rounds:>8} {:>14.1?} {:>14.1?}",
            bytes as f64 / skus as f64,
            took,
            memory as f64 / skus as f64,
            round,
            page
        );
    }
    Ok(())
}

/// A log that was read.
struct Replayed {
    recovered: Recovered,
    records: Position,
    bytes: usize,
    took: Duration,
}

/// Reads a log that is about to forget its only purchase, and has the totals of many skus. Each of its
/// records is made when it is read, so that the memory in use afterwards is what the totals take.
fn replay(skus: u64) -> Result<Replayed> {
    let coordinator: CoordinatorId = "shop".parse()?;
    let (mut records, mut bytes, mut making) = (0, 0, Duration::ZERO);
    let mut log = first_records()?.into_iter().chain(totals(skus)?);
    let begun = Instant::now();
    let read = std::iter::from_fn(|| {
        let begun = Instant::now();
        let record = log.next()?.encode();
        making += begun.elapsed();
        records += 1;
        bytes += record.len();
        Some(LogRecord::read(records, &record))
    });
    let recovered = Recovered::replay_read(&coordinator, read)?;
    Ok(Replayed {
        took: begun.elapsed().saturating_sub(making),
        recovered,
        records,
        bytes,
    })
}

fn first_records() -> Result<Vec<Record>> {
    let transaction: TransactionId = "shop.1.1".parse()?;
    let item = Item {
        sku: sku(0),
        quantity: 1,
        unit_price_minor: 1,
        ..Default::default()
    };
    let purchase = Purchase {
        purchase_id: "p-1".into(),
        items: vec![item],
        ..Purchase::default()
    };
    Ok(vec![
        Record::EpochStarted {
            epoch: Epoch(1),
            instance_id: "one".into(),
            time: Timestamp(1),
        },
        Record::Decided(Decision {
            transaction: transaction.clone(),
            begin_time: Timestamp(1),
            decide_time: Timestamp(1),
            participants: participants()?,
            entries: vec![Entry {
                number: 0,
                purchase: purchase.into(),
            }],
            refused: Vec::new(),
            counts: true,
        }),
        Record::Ended {
            transaction,
            counted: true,
        },
    ])
}

fn totals(skus: u64) -> Result<impl Iterator<Item = Record>> {
    let some = move |begin: u64| {
        let numbers = begin..skus.min(begin + RECORD_SKUS);
        let totals = numbers.map(|number| SkuTotal {
            sku: sku(number),
            deducted: number * 7,
            unsure: 0,
        });
        totals.collect::<Vec<_>>()
    };
    let each = participants()?.into_iter().flat_map(move |participant| {
        let begins = (0..skus).step_by(RECORD_SKUS as usize);
        begins.map(move |begin| {
            Record::Totals(ParticipantTotals {
                participant: participant.clone(),
                skus: some(begin),
            })
        })
    });
    Ok(each)
}

/// One of which every participant is up.
fn core(recovered: Recovered) -> Result<Coordinator> {
    let settings = Settings {
        queue_purchases_max: 10,
        transaction_purchases_max: 10,
        transaction_bytes_max: 60_000,
        pipeline_transactions_max: 4,
        unfinished_transactions_max: 100,
        cautious_transactions: 10,
        prepare_timeout: Duration::from_secs(1),
        unavailable_grace: Duration::from_secs(1),
        retry_base: Duration::from_secs(1),
        retry_cap: Duration::from_secs(1),
        retries_in_flight_max: 10,
        retention_age: Duration::from_secs(60),
        retention_purchases_max: 1_000,
        retention_age_min: Duration::ZERO,
        closing_age: Duration::from_secs(60),
    };
    let now = Timestamp(2);
    let mut core = Coordinator::new(
        settings,
        "shop".parse()?,
        Epoch(2),
        participants()?,
        recovered,
        now,
    );
    for participant in participants()? {
        let mut events = vec![
            Event::FoundPrepared {
                participant: participant.clone(),
                branches: Vec::new(),
            },
            Event::ParticipantUp {
                participant: participant.clone(),
                incarnation: String::new(),
                newest_committed: Vec::new(),
                refuses_singly: true,
            },
        ];
        while let Some(event) = events.pop() {
            for action in core.handle(now, event) {
                if let Action::Recall {
                    participant, page, ..
                } = action
                {
                    events.push(Event::Recalled {
                        participant,
                        page,
                        forgotten: Vec::new(),
                        remembers_from: None,
                    });
                }
            }
        }
    }
    Ok(core)
}

/// Lets the log forget, so that all totals are written again. Gives in how many rounds, and how long
/// the longest took.
fn rewrite(core: &mut Coordinator, records: Position) -> Result<(u32, Duration)> {
    let mut now = Timestamp(200_000);
    let (mut rounds, mut longest, mut idle) = (0, Duration::ZERO, 0);
    let mut position = records + 1;
    let mut released = 0;
    while idle < IDLE_MAX {
        now = now + Duration::from_secs(1);
        let begun = Instant::now();
        let actions = core.handle(now, Event::Tick);
        longest = longest.max(begun.elapsed());
        let mut stored = Vec::new();
        for action in actions {
            if let Action::Store { ticket, .. } = action {
                position += 1;
                stored.push(Event::Stored { ticket, position });
            }
        }
        (rounds, idle) = match stored.is_empty() {
            true => (rounds, idle + 1),
            false => (rounds + 1, 0),
        };
        for action in core.handle_all(now, stored) {
            if let Action::Release { before } = action {
                released = before;
            }
        }
    }
    ensure!(
        released > records,
        "the log's beginning is still needed: {released} of {records} records are released"
    );
    Ok((rounds, longest))
}

/// Reads all totals as an audit does.
fn longest_page(core: &Coordinator, skus: u64) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    for participant in participants()? {
        let (mut seen, mut next) = (0, Some(0));
        while let Some(begin) = next {
            let begun = Instant::now();
            let page = core.deductions(&participant, begin);
            longest = longest.max(begun.elapsed());
            seen += page.skus.len() as u64;
            next = page.next;
        }
        // The one of which nothing was deducted yet has no total to compare.
        ensure!(seen + 1 >= skus, "{seen} of {skus} skus are told");
    }
    Ok(longest)
}

fn participants() -> Result<Vec<ParticipantName>> {
    let names = ["purchases", "stock"].into_iter();
    Ok(names.map(str::parse).collect::<Result<_, _>>()?)
}

fn sku(number: u64) -> String {
    format!("article-{number:012}")
}

/// Memory that this process has in use (`VmRSS` of proc(5)).
fn resident_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: u64 = kib.context("the kernel tells no VmRSS")?.parse()?;
    Ok(kib * 1024)
}
