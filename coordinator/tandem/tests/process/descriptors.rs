//! Connections never use up what the process needs for itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::role::{OneConnection, Place, ROLES, Running, ask};

/// As the shells and supervisors of small machines give them.
const FEW: u64 = 256;

/// More than there are descriptors.
const FLOOD: usize = 400;

/// How long a listener may take to serve one more, whatever else is connected.
const PROMPT: Duration = Duration::from_secs(3);

/// When a peer that says nothing must have been cut off: after 5 s.
const SILENT_MAX: Duration = Duration::from_secs(12);

/// The preface and an empty SETTINGS frame (RFC 9113, 3.4 and 6.5).
const FIRST_WORDS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn start(place: &Place, limit: &str) -> Running {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]);
    shell.arg(env!("CARGO_BIN_EXE_tandem"));
    place.start_by(shell, Stdio::null())
}

/// Connects often and says the same each time.
fn flood(port: u16, words: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // Who is turned away already does not hear it.
        let _ = stream.write_all(words);
        stream
    };
    (0..FLOOD).map(connect).collect()
}

/// This process opens the other ends of all connections.
fn have_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

fn open_files(process: &Running) -> usize {
    let folder = format!("/proc/{}/fd", process.id());
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_idle_connections_keeps_nobody_out() {
    have_descriptors();
    for role in ROLES {
        for words in [&b""[..], b"PRI * HT", FIRST_WORDS] {
            let place = Place::new(role);
            let mut process = start(&place, &format!("-n {FEW}"));
            place.answers().await;
            let mut flooded = Vec::new();
            for port in place.listeners() {
                flooded.extend(flood(port, words));
            }
            for port in place.listeners().into_iter().cycle().take(20) {
                let asked = tokio::time::timeout(PROMPT, ask(port)).await;
                asked.expect("it is prompt").expect("it answers");
            }
            let open = open_files(&process);
            assert!(open < 200, "{role:?}: {open} of {FEW} files are open");
            drop(flooded);
            process.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_works_outlives_a_flood() {
    have_descriptors();
    let place = Place::new(ROLES[0]);
    let mut process = start(&place, &format!("-n {FEW}"));
    place.answers().await;
    for port in place.listeners() {
        let mut one = OneConnection::to(port).await;
        one.is_served().await;
        let flooded = std::thread::spawn(move || flood(port, FIRST_WORDS));
        while !flooded.is_finished() {
            one.is_served().await;
        }
        drop(flooded.join().unwrap());
        one.is_served().await;
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_says_nothing_is_cut_off_and_one_that_speaks_is_not() {
    for role in ROLES {
        let place = Place::new(role);
        let mut process = place.start(Stdio::null());
        place.answers().await;
        let port = place.listeners()[0];
        let connect = |words: &[u8]| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(words).unwrap();
            stream.set_read_timeout(Some(SILENT_MAX)).unwrap();
            stream
        };
        let mut silent = connect(b"");
        let mut slow = connect(&FIRST_WORDS[..30]);
        let mut speaks = connect(FIRST_WORDS);
        let begun = Instant::now();
        for stream in [&mut silent, &mut slow] {
            // Whatever comes before it, there is an end.
            let mut said = Vec::new();
            stream.read_to_end(&mut said).expect("it is cut off");
        }
        assert!(begun.elapsed() > Duration::from_secs(4));
        let mut said = [0; 9];
        speaks.read_exact(&mut said).unwrap();
        speaks
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let mut rest = Vec::new();
        let error = speaks.read_to_end(&mut rest).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        speaks.shutdown(Shutdown::Both).unwrap();
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_is_raised_to_the_highest_that_there_may_be() {
    for role in ROLES {
        let place = Place::new(role);
        let mut process = start(&place, "-n 2048 && ulimit -Sn 64");
        place.answers().await;
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
        let files = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let numbers: Vec<&str> = files.unwrap().split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers, ["2048", "2048"]);
        process.stop().await;
    }
}
