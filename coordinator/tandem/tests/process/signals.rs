//! What a signal does.

use std::fs::{self, File};
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::Signal;

use super::role::{Place, ROLES, Running, SOON};

/// What it has said, in a file.
fn start(place: &Place) -> Running {
    place.start(File::create(place.folder.path().join("said")).unwrap())
}

/// Waits until it has said something.
async fn said(place: &Place, words: &str) {
    let start = Instant::now();
    loop {
        let said = fs::read_to_string(place.folder.path().join("said")).unwrap();
        if said.contains(words) {
            return;
        }
        assert!(start.elapsed() < SOON, "it does not say {words:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_that_asks_for_an_end_is_a_good_end() {
    for role in ROLES {
        for signal in [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
        ] {
            let place = Place::new(role);
            let mut process = start(&place);
            place.answers().await;
            process.signal(signal);
            let status = process.end().await;
            assert!(status.success(), "{role:?} {signal}: {status}");
            said(&place, &format!("\"signal\":\"{signal}\"")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_that_asks_for_nothing_changes_nothing() {
    for role in ROLES {
        let place = Place::new(role);
        let mut process = start(&place);
        place.answers().await;
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM] {
            process.signal(signal);
            said(&place, &format!("\"signal\":\"{signal}\"")).await;
        }
        process.signal(Signal::SIGPIPE);
        place.answers().await;
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn process_started_by_nohup_outlives_its_terminal() {
    for role in ROLES {
        let place = Place::new(role);
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
        shell.arg(env!("CARGO_BIN_EXE_tandem"));
        let mut process = place.start_by(shell, std::process::Stdio::null());
        place.answers().await;
        process.signal(Signal::SIGHUP);
        place.answers_many(10).await;
        place.answers().await;
        assert!(process.ended().is_none());
        process.stop().await;
    }
}
