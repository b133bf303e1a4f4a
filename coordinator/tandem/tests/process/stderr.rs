//! Whoever reads the log, or stores it, can't stop, end or delay what is logged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::role::{Place, ROLES, Role, SOON};

/// Calls whose log, at the level of tracing, is more than a pipe and the queue before it hold.
const MANY: usize = 3_000;

/// How long a process may take to end that can't say its last words.
const END_MAX: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn reader_that_goes_away_ends_nothing() {
    for role in ROLES {
        let place = talkative(role);
        let (reader, writer) = io::pipe().unwrap();
        let mut process = place.start(writer);
        place.answers().await;
        drop(reader);
        place.answers_many(20).await;
        place.answers().await;
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn start_without_a_usable_stderr_is_a_start() {
    for role in ROLES {
        for unusable in ["exec 2>&-", "exec 2>/dev/full", "exec 2</dev/null"] {
            let place = talkative(role);
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{unusable}; exec \"$0\" \"$@\"")]);
            shell.arg(env!("CARGO_BIN_EXE_tandem"));
            let mut process = place.start_by(shell, std::process::Stdio::null());
            place.answers().await;
            place.answers_many(20).await;
            process.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipe_that_nobody_reads_delays_nothing_and_is_told_what_it_missed() {
    for role in ROLES {
        let place = talkative(role);
        let (reader, writer) = io::pipe().unwrap();
        let mut process = place.start(writer);
        place.answers().await;
        place.answers_many(MANY).await;
        place.answers().await;

        // Read again, it goes on, says how much is missing, and every line is whole.
        let lines = thread::spawn(move || {
            let lines = BufReader::new(reader).lines().map(Result::unwrap);
            lines.collect::<Vec<String>>()
        });
        place.answers_many(5).await;
        process.stop().await;
        let lines = lines.join().unwrap();
        let lost: Vec<u64> = lines.iter().filter_map(|line| lost(line)).collect();
        assert!(lost.iter().sum::<u64>() > 0, "{:?}", lines.last());
        assert!(lines.iter().any(|line| line.contains("SIGTERM")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn process_ends_although_nobody_reads_its_last_words() {
    for role in ROLES {
        let place = talkative(role);
        let (_reader, writer) = io::pipe().unwrap();
        let mut process = place.start(writer);
        place.answers().await;
        place.answers_many(MANY / 10).await;
        let told = Instant::now();
        process.stop().await;
        assert!(told.elapsed() < END_MAX, "{:?}", told.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn start_that_is_refused_ends_although_nobody_reads_why() {
    for role in ROLES {
        let place = talkative(role);
        fs::write(place.config(), "[nonsense]\n").unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        fill(&mut writer);
        let mut process = place.start(writer);
        let status = process.end().await;
        assert_eq!(status.code(), Some(2), "{status}");
        drop(reader);

        // And says why where it can.
        let said = place.folder.path().join("said");
        let mut process = place.start(File::create(&said).unwrap());
        assert_eq!(process.end().await.code(), Some(2));
        let said = fs::read_to_string(said).unwrap();
        assert!(said.contains("nonsense"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_that_comes_back_is_told_what_it_missed() {
    let place = talkative(Role::Coordinator);
    let path = place.folder.path().join("stderr");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let first = read_while_held(&path);
    let mut process = place.start(OpenOptions::new().write(true).open(&path).unwrap());
    place.answers().await;
    drop(first);
    place.answers_many(20).await;

    let mut second = read_while_held(&path);
    let said = thread::spawn(move || {
        let mut said = String::new();
        second.read_to_string(&mut said).map(|_| said)
    });
    place.answers_many(1).await;
    process.stop().await;
    let said = said.join().unwrap().unwrap();
    assert!(said.lines().any(|line| lost(line) > Some(0)), "{said}");
    assert!(said.contains("SIGTERM"), "{said}");
}

/// A reader with room for little, on a description that others have told not to wait.
#[tokio::test(flavor = "multi_thread")]
async fn pipe_that_does_not_wait_gets_whole_lines() {
    let place = talkative(Role::Sidecar);
    let (reader, writer) = io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let mut process = place.start(writer);
    place.answers().await;
    place.answers_many(200).await;
    let lines = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        lines.collect::<Vec<String>>()
    });
    place.answers_many(5).await;
    process.stop().await;
    for line in lines.join().unwrap() {
        let whole: Result<serde_json::Value, _> = serde_json::from_str(&line);
        assert!(whole.is_ok(), "{line}");
    }
}

/// Whatever a call does is logged, so that there is much to write.
fn talkative(role: Role) -> Place {
    let mut place = Place::new(role);
    place.log = "trace";
    place
}

/// How many lines a line says that are missing. Every line is a document of its own.
fn lost(line: &str) -> Option<u64> {
    let line: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    line.get("lost_lines")?.as_u64()
}

/// Fills a pipe up.
fn fill(writer: &mut io::PipeWriter) {
    fcntl(&*writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'.'; 512]).is_ok() {}
    while writer.write(b".").is_ok() {}
    fcntl(&*writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
}

/// A reader of a named pipe that does not wait for a writer; reading ends with the last writer.
fn read_while_held(path: &std::path::Path) -> File {
    use std::os::unix::fs::OpenOptionsExt;
    let start = Instant::now();
    let mut options = OpenOptions::new();
    let reader = options
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .unwrap();
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    assert!(start.elapsed() < SOON);
    reader
}
