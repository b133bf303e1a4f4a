//! The append-only file is torn at its end, as a power cut or `kill -9` tears it while the server appends
//! what a script wrote. Whatever the server's loader makes of that, units are deducted once, now and after
//! every later start.
//!
//! Each script is torn at a sample of its bytes, half of them at the end of a whole command.
//! `TANDEM_TORN=every` tears it at each byte (an hour and more), `TANDEM_TORN=N` at about N.

use std::fs;
use std::path::PathBuf;

use tandem_participant::{CommitEvidence, Participant};

use crate::stage::{Stage, on_each_server, say};

/// The script that is torn, and what it is about.
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

const CART: &[(&str, u32)] = &[("tea", 2)];
const TOO_MUCH: &[(&str, u32)] = &[("tea", 99)];

impl Script {
    /// What comes before it.
    async fn set_up(self, stage: &Stage) {
        let () = stage.cli("MSET stock:tea 9 stock:jam 1").await;
        match self {
            Script::Prepare | Script::RefuseAll | Script::Redo | Script::Enlist => {}
            Script::PrepareSome | Script::Commit | Script::RollBack => {
                if self != Script::PrepareSome {
                    stage.prepare("shop.1.1", &[CART]).await;
                }
            }
            Script::CommitDebt => {
                stage.prepare("shop.1.1", &[CART, &[("jam", 1)]]).await;
                let () = stage.cli("SET stock:jam 0").await;
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

/// Where to tear what lies between two lengths of a file.
fn cuts(before: usize, bytes: &[u8]) -> Vec<usize> {
    let all: Vec<usize> = (before + 1..bytes.len()).collect();
    let wanted = match std::env::var("TANDEM_TORN").as_deref() {
        Ok("every") => return all,
        Ok(number) => number.parse().unwrap(),
        Err(_) => CUTS,
    };
    // Behind a whole command; and anywhere.
    let is_end = |at: &&usize| bytes[**at..].starts_with(b"*") && bytes[..**at].ends_with(b"\r\n");
    let ends: Vec<usize> = all.iter().filter(is_end).copied().collect();
    let mut cuts = [spread(&ends, wanted / 2), spread(&all, wanted.div_ceil(2))].concat();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// So many of these, evenly.
fn spread(all: &[usize], wanted: usize) -> Vec<usize> {
    let step = (all.len() / wanted.max(1)).max(1);
    all.iter().skip(step / 2).step_by(step).copied().collect()
}

/// Starts the server on files that may be torn. After a crash within a rewrite the first start may end
/// with "the truncated file is not the last file"; it has cut the file then, and the next one serves.
fn start(stage: &Stage) -> u32 {
    match stage.server.restart() {
        Ok(()) => 0,
        Err(_) => {
            stage.server.restart().unwrap();
            1
        }
    }
}

async fn tear(stage: &Stage, script: Script, files: &Files, cut: usize, meanwhile: Meanwhile) {
    stage.server.kill9().unwrap();
    files.put_back(stage);
    let (path, bytes) = files.newest();
    fs::write(path, &bytes[..cut]).unwrap();
    let note = format!("{script:?} cut at {cut} of {}, {meanwhile:?}", bytes.len());
    assert_eq!(start(stage), 0, "{note}");
    let mut taken = 0;
    match meanwhile {
        Meanwhile::Nothing | Meanwhile::CrashInRewrite => {}
        Meanwhile::AppTakes => {
            let _: i64 = stage.cli("DECRBY stock:tea 1").await;
            taken = 1;
        }
        Meanwhile::AppTakesInMultiThenCrash => {
            let mut multi = redis::pipe();
            multi.atomic().decr("stock:tea", 1).incr("app", 1);
            let _: (i64, i64) = multi.query_async(&mut stage.raw().await).await.unwrap();
            taken = 1;
            stage.server.kill9().unwrap();
            assert_eq!(start(stage), 0, "{note}");
        }
    }
    enlist(stage).await;
    if meanwhile == Meanwhile::CrashInRewrite {
        stage.server.kill9().unwrap();
        start(stage);
        enlist(stage).await;
    }
    let sold = script.settle(stage).await + 1;
    // One more purchase, of all that can be there.
    stage.prepare("shop.1.50", &[&[("tea", 1)]]).await;
    let last = stage.commit("shop.1.50", &[&[("tea", 1)]]).await;
    assert_eq!(last.evidence, CommitEvidence::Applied, "{note}");
    for _ in 0..2 {
        let value: i64 = stage.cli("GET stock:tea").await;
        assert_eq!(value, 9 - taken - sold as i64, "{note}");
        assert_eq!(stage.deducted("tea").await, sold, "{note}");
        if script == Script::CommitDebt {
            let jam = stage.stock("jam").await;
            assert_eq!((jam.value, jam.debt), (Some(0), 1), "{note}");
            assert_eq!(stage.deducted("jam").await, 1, "{note}");
        }
        stage.assert_quiet().await;
        // Until then a start may be refused once, as after a crash within the rewrite.
        rewritten(stage).await;
        stage.server.stop().unwrap();
        assert_eq!(start(stage), 0, "{note}");
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

#[tokio::test]
async fn no_script_that_is_torn_at_any_byte_deducts_twice_or_holds_for_nobody() {
    on_each_server(async |stage| {
        let fresh = {
            stage.server.stop().unwrap();
            Files::of(stage)
        };
        let mut torn = 0;
        for script in SCRIPTS {
            stage.server.kill9().unwrap();
            fresh.put_back(stage);
            start(stage);
            enlist(stage).await;
            // The rewrite that the enlistment began must not end between the two looks at the file.
            rewritten(stage).await;
            script.set_up(stage).await;
            let before = Files::of(stage).newest().1.len();
            script.run(stage).await;
            stage.server.kill9().unwrap();
            let files = Files::of(stage);
            for (number, cut) in cuts(before, &files.newest().1).into_iter().enumerate() {
                let meanwhile = MEANWHILE[number % MEANWHILE.len()];
                tear(stage, script, &files, cut, meanwhile).await;
                torn += 1;
            }
        }
        say(&format!("{}: torn {torn} times", stage.server.binary()));
        assert!(torn > 50, "{torn}");
    })
    .await;
}

async fn rewritten(stage: &Stage) {
    for _ in 0..1_000 {
        let info: String = stage.cli("INFO persistence").await;
        if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the file is being rewritten without an end");
}
