//! The append-only file is torn at its end, as a power cut or `kill -9` tears it while the server appends
//! what a script wrote. Whatever the server's loader makes of that, units are deducted once, now and after
//! every later start.
//!
//! Each script is torn at a sample of its bytes, half of them at the end of a whole command.
//! `TANDEM_TORN=N` tears each at about N, `TANDEM_TORN=every` at each byte (some twenty minutes), and
//! `TANDEM_TORN=random:N:SEED` tears all together N times, anywhere.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tandem_participant::{CommitEvidence, Participant};
use tandem_servers::{Folder, LaunchOptions, ServerBinary};

use crate::place::{PLACES, Place, command};
use crate::stage::{Stage, binaries, say};

/// The script that is torn, and what it is about, on each place of the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Prepare,
    PrepareSome,
    RefuseAll,
    Commit,
    CommitDebt,
    Redo,
    RollBack,
    Forget,
    Enlist,
}

const SCRIPTS: [Script; 9] = [
    Script::Prepare,
    Script::PrepareSome,
    Script::RefuseAll,
    Script::Commit,
    Script::CommitDebt,
    Script::Redo,
    Script::RollBack,
    Script::Forget,
    Script::Enlist,
];

/// What happens between the torn start and tandem's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// The app takes one unit with a plain command.
    AppTakes,
    /// The app takes one with a MULTI of its own, and the server is killed before tandem connects: what
    /// the loader left half done takes effect now, if ever.
    AppTakesInMultiThenCrash,
    /// The server is killed as soon as tandem has enlisted: while it rewrites its file.
    CrashInRewrite,
}

const MEANWHILE: [Meanwhile; 4] = [
    Meanwhile::Nothing,
    Meanwhile::AppTakes,
    Meanwhile::AppTakesInMultiThenCrash,
    Meanwhile::CrashInRewrite,
];

/// Places at which each script is torn, about.
const CUTS: usize = 6;

/// Servers at once: they wait for each other's starts and stops more than they work.
const AT_ONCE: usize = 4;

/// Longest time that a killed server's child keeps its port, on a machine that is busy.
const PORT_WAIT: Duration = Duration::from_secs(30);

/// Where a temporary folder costs no disk.
const MEMORY: &str = "/dev/shm";

/// Of two stocks, between which a script can be torn.
const CART: &[(&str, u32)] = &[("tea", 2), ("ink", 1)];
const TOO_MUCH: &[(&str, u32)] = &[("tea", 99)];

impl Script {
    /// What comes before it.
    async fn set_up(self, stage: &Stage, place: Place) {
        for (sku, value) in [("tea", "9"), ("ink", "9"), ("jam", "1")] {
            let _: redis::Value = stage.cli(&place.set(sku, value)).await;
        }
        match self {
            Script::Prepare | Script::RefuseAll | Script::Redo | Script::Enlist => {}
            Script::PrepareSome | Script::Commit | Script::RollBack => {
                if self != Script::PrepareSome {
                    stage.prepare("shop.1.1", &[CART]).await;
                }
            }
            Script::CommitDebt => {
                stage.prepare("shop.1.1", &[CART, &[("jam", 1)]]).await;
                let _: redis::Value = stage.cli(&place.set("jam", "0")).await;
            }
            Script::Forget => {
                for id in ["shop.1.1", "shop.1.2"] {
                    stage.commit(id, &[CART]).await;
                }
                stage.roll_back("shop.1.3").await;
            }
        }
    }

    async fn run(self, stage: &Stage) {
        match self {
            Script::Prepare => drop(stage.prepare("shop.1.1", &[CART]).await),
            Script::PrepareSome => drop(stage.prepare("shop.1.1", &[CART, TOO_MUCH]).await),
            Script::RefuseAll => drop(stage.prepare("shop.1.1", &[TOO_MUCH]).await),
            Script::Commit | Script::Redo => drop(stage.commit("shop.1.1", &[CART]).await),
            Script::CommitDebt => drop(stage.commit("shop.1.1", &[CART, &[("jam", 1)]]).await),
            Script::RollBack => stage.roll_back("shop.1.1").await,
            Script::Forget => stage.forget("shop.1.4", &[]).await,
            Script::Enlist => drop(stage.enlist(1, "i").await.unwrap()),
        }
    }

    /// What the coordinator does once it has connected again: it repeats what was not acknowledged, and
    /// gives up what was not voted for. Gives the units of tea that are sold then.
    async fn settle(self, stage: &Stage) -> u64 {
        match self {
            Script::Prepare | Script::PrepareSome | Script::RefuseAll | Script::RollBack => {
                stage.roll_back("shop.1.1").await;
                0
            }
            Script::Forget => {
                self.run(stage).await;
                4
            }
            Script::Enlist => 0,
            Script::Commit | Script::CommitDebt | Script::Redo => {
                self.run(stage).await;
                2
            }
        }
    }
}

/// A server's files, to be put back.
struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    fn of(stage: &Stage) -> Files {
        let folder = stage.server.data_dir().join("appendonlydir");
        let entries = fs::read_dir(folder).unwrap();
        let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        Files(entries.map(|entry| read(entry.unwrap().path())).collect())
    }

    fn put_back(&self, stage: &Stage) {
        let folder = stage.server.data_dir().join("appendonlydir");
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        for (path, bytes) in &self.0 {
            fs::write(path, bytes).unwrap();
        }
    }

    /// The file that commands are appended to: the newest, by its number.
    fn newest(&self) -> &(PathBuf, Vec<u8>) {
        let number = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?;
            let mut parts = name.rsplit('.').skip(2);
            name.ends_with(".incr.aof")
                .then(|| parts.next()?.parse::<u64>().ok())
                .flatten()
        };
        self.0.iter().max_by_key(|(path, _)| number(path)).unwrap()
    }
}

/// Where scripts are torn.
#[derive(Debug, Clone, Copy)]
enum Cuts {
    About(usize),
    Every,
    /// So many of each script, by this seed.
    Random(usize, u64),
}

impl Cuts {
    fn wanted() -> Cuts {
        let Ok(text) = std::env::var("TANDEM_TORN") else {
            return Cuts::About(CUTS);
        };
        if text == "every" {
            return Cuts::Every;
        }
        match text.strip_prefix("random:") {
            None => Cuts::About(text.parse().unwrap()),
            Some(random) => {
                let (number, seed) = random.split_once(':').unwrap();
                let number: usize = number.parse().unwrap();
                let jobs = SCRIPTS.len() * PLACES.len();
                Cuts::Random(number.div_ceil(jobs), seed.parse().unwrap())
            }
        }
    }

    /// How many servers share the places of one script.
    fn shares(self) -> usize {
        match self {
            Cuts::Every => 4,
            Cuts::About(_) | Cuts::Random(..) => 1,
        }
    }

    /// Where to tear what lies between two lengths of a file, and what happens then.
    fn places(self, before: usize, bytes: &[u8]) -> Vec<(usize, Meanwhile)> {
        let all: Vec<usize> = (before + 1..bytes.len()).collect();
        let cuts = match self {
            Cuts::Every => all,
            Cuts::About(wanted) => {
                // Behind a whole command; and anywhere.
                let is_end = |at: &&usize| {
                    bytes[**at..].starts_with(b"*") && bytes[..**at].ends_with(b"\r\n")
                };
                let ends: Vec<usize> = all.iter().filter(is_end).copied().collect();
                let half = [spread(&ends, wanted / 2), spread(&all, wanted.div_ceil(2))];
                let mut cuts = half.concat();
                cuts.sort_unstable();
                cuts.dedup();
                cuts
            }
            Cuts::Random(wanted, seed) => {
                let mut dice = fastrand::Rng::with_seed(seed ^ all.len() as u64);
                let mut drawn = |bound: usize| dice.usize(..bound);
                return (0..wanted)
                    .map(|_| (all[drawn(all.len())], MEANWHILE[drawn(MEANWHILE.len())]))
                    .collect();
            }
        };
        cuts.into_iter()
            .zip(MEANWHILE.into_iter().cycle())
            .collect()
    }
}

/// So many of these, evenly.
fn spread(all: &[usize], wanted: usize) -> Vec<usize> {
    let step = (all.len() / wanted.max(1)).max(1);
    all.iter().skip(step / 2).step_by(step).copied().collect()
}

/// Kills the server, and waits for its port: a child that it has just forked for a rewrite may outlive it, and
/// has it until it has closed what it does not need.
fn crash(stage: &Stage) {
    stage.server.kill9().unwrap();
    let died = Instant::now();
    while TcpListener::bind(("127.0.0.1", stage.server.port())).is_err() {
        assert!(died.elapsed() < PORT_WAIT, "the port is not free");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Starts the server on files that may be torn. After a crash within a rewrite the first start may end
/// with "the truncated file is not the last file"; it has cut the file then, and the next one serves.
/// Gives the words of that end.
fn start(stage: &Stage) -> Option<String> {
    let refusal = format!("{:#}", stage.server.restart().err()?);
    if let Err(again) = stage.server.restart() {
        panic!("{again:#}\nbefore that: {refusal}");
    }
    Some(refusal)
}

async fn tear(stage: &Stage, job: &Job, files: &Files, cut: usize, meanwhile: Meanwhile) {
    let Job { script, place, .. } = *job;
    crash(stage);
    files.put_back(stage);
    let (path, bytes) = files.newest();
    fs::write(path, &bytes[..cut]).unwrap();
    let binary = stage.server.binary();
    let note = format!(
        "{binary}: {script:?} on {place:?} cut at {cut} of {}, {meanwhile:?}",
        bytes.len()
    );
    assert_eq!(start(stage), None, "{note}");
    let mut taken = 0;
    match meanwhile {
        Meanwhile::Nothing | Meanwhile::CrashInRewrite => {}
        Meanwhile::AppTakes => {
            let _: i64 = stage.cli(&place.take("tea")).await;
            taken = 1;
        }
        Meanwhile::AppTakesInMultiThenCrash => {
            let mut multi = redis::pipe();
            multi.atomic().add_command(command(&place.take("tea")));
            multi.incr("app", 1);
            let _: (i64, i64) = multi.query_async(&mut stage.raw().await).await.unwrap();
            taken = 1;
            crash(stage);
            assert_eq!(start(stage), None, "{note}");
        }
    }
    enlist(stage).await;
    if meanwhile == Meanwhile::CrashInRewrite {
        crash(stage);
        start(stage);
        enlist(stage).await;
    }
    let carts = script.settle(stage).await / 2;
    let sold = 2 * carts + 1;
    // One more purchase, of all that can be there.
    stage.prepare("shop.1.50", &[&[("tea", 1)]]).await;
    let last = stage.commit("shop.1.50", &[&[("tea", 1)]]).await;
    assert_eq!(last.evidence, CommitEvidence::Applied, "{note}");
    for _ in 0..2 {
        let tea: i64 = stage.cli(&place.read("tea")).await;
        let ink: i64 = stage.cli(&place.read("ink")).await;
        let left = (9 - taken - sold as i64, 9 - carts as i64);
        assert_eq!((tea, ink), left, "{note}");
        let deducted = (stage.deducted("tea").await, stage.deducted("ink").await);
        assert_eq!(deducted, (sold, carts), "{note}");
        if place == Place::Products {
            let fields: Vec<String> = stage.cli("HKEYS product:ink").await;
            let marks = fields.iter().filter(|field| field.contains(":part:"));
            assert_eq!(marks.count(), 0, "{note}: {fields:?}");
        }
        if script == Script::CommitDebt {
            let jam = stage.stock("jam").await;
            assert_eq!((jam.value, jam.debt), (Some(0), 1), "{note}");
            assert_eq!(stage.deducted("jam").await, 1, "{note}");
        }
        stage.assert_quiet().await;
        // Until then a start may be refused once, as after a crash within the rewrite.
        rewritten(stage).await;
        stage.server.stop().unwrap();
        assert_eq!(start(stage), None, "{note}");
        enlist(stage).await;
    }
    let again = stage.commit("shop.1.50", &[&[("tea", 1)]]).await.evidence;
    assert_eq!(again, CommitEvidence::AlreadyApplied, "{note}");
}

/// The first connection after a start may meet the old one's end.
async fn enlist(stage: &Stage) {
    let _ = stage.participant.list_prepared().await;
    stage.enlist(1, "i").await.unwrap();
}

/// A share of the places at which one script is torn on one server.
struct Job {
    binary: &'static ServerBinary,
    script: Script,
    place: Place,
    share: usize,
}

impl Job {
    /// Gives how often the script was torn, and how often that came out wrong: one place does not hide the
    /// others.
    fn run(&self, cuts: Cuts) -> (usize, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        let (stage, files, places) = runtime.block_on(self.record(cuts));
        let (mut torn, mut wrong) = (0, 0);
        for (cut, meanwhile) in places {
            let tear = || runtime.block_on(tear(&stage, self, &files, cut, meanwhile));
            wrong += usize::from(catch_unwind(AssertUnwindSafe(tear)).is_err());
            torn += 1;
        }
        (torn, wrong)
    }

    /// A server, the files that the script has left there, and where to tear them.
    async fn record(&self, cuts: Cuts) -> (Stage, Files, Vec<(usize, Meanwhile)>) {
        // A stop, and the end of a rewrite, wait for the server's next tick.
        let args = ["--hz", "500"];
        let memory = Path::new(MEMORY);
        let mut stage = Stage::start(
            self.binary,
            LaunchOptions {
                folder: match memory.is_dir() {
                    true => Folder::TemporaryIn(memory.to_owned()),
                    false => Folder::Temporary,
                },
                extra_args: args.iter().map(Into::into).collect(),
                ..LaunchOptions::default()
            },
        )
        .await;
        // The rewrite that the enlistment began must not end between the two looks at the file.
        rewritten(&stage).await;
        stage.participant = Arc::new(stage.participant(|settings| self.place.say(settings)));
        self.script.set_up(&stage, self.place).await;
        let before = Files::of(&stage).newest().1.len();
        self.script.run(&stage).await;
        crash(&stage);
        let files = Files::of(&stage);
        let places = cuts.places(before, &files.newest().1);
        let mine = places.into_iter().skip(self.share).step_by(cuts.shares());
        (stage, files, mine.collect())
    }
}

#[test]
fn no_script_that_is_torn_at_any_byte_deducts_twice_or_holds_for_nobody() {
    let cuts = Cuts::wanted();
    let mut jobs = Vec::new();
    for share in 0..cuts.shares() {
        for script in SCRIPTS {
            for (place, binary) in PLACES
                .into_iter()
                .flat_map(|place| binaries().iter().map(move |binary| (place, binary)))
            {
                jobs.push(Job {
                    binary,
                    script,
                    place,
                    share,
                });
            }
        }
    }
    let jobs = Mutex::new(jobs);
    let torn: Mutex<BTreeMap<String, (usize, usize)>> = Mutex::default();
    let work = || {
        loop {
            let Some(job) = jobs.lock().unwrap().pop() else {
                return;
            };
            let (times, wrong) = job.run(cuts);
            let mut torn = torn.lock().unwrap();
            let sums = torn.entry(job.binary.to_string()).or_default();
            *sums = (sums.0 + times, sums.1 + wrong);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let torn = torn.into_inner().unwrap();
    for (server, (times, wrong)) in &torn {
        say(&format!(
            "{server}: torn {times} times ({cuts:?}), {wrong} wrong"
        ));
    }
    for (server, (times, wrong)) in torn {
        assert_eq!(wrong, 0, "{server}");
        assert!(times > 50, "{server}: {times}");
    }
}

async fn rewritten(stage: &Stage) {
    for _ in 0..1_000 {
        let info: String = stage.cli("INFO persistence").await;
        if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the file is being rewritten without an end");
}
