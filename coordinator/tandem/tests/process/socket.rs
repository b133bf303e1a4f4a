//! Operators over a unix socket: found by the configuration, kept by the process that listens.

use std::process::{Command, Output, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::role::{Place, Role, Running, SOON};

/// A coordinator whose operators have a socket in its folder.
fn place() -> Place {
    let place = Place::new(Role::Coordinator);
    let settings = std::fs::read_to_string(place.config()).unwrap();
    let operators = format!("\"127.0.0.1:{}\"", place.listeners()[1]);
    let settings = settings.replace(&operators, "\"unix:admin.sock\"");
    std::fs::write(place.config(), settings).unwrap();
    place
}

fn participants(place: &Place, by_config: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.arg("participants").env_remove("TANDEM_ADMIN");
    if by_config {
        command.arg("--config").arg(place.config());
    } else {
        let socket = place.folder.path().join("admin.sock");
        command
            .arg("--admin")
            .arg(format!("unix:{}", socket.display()));
    }
    command.stdin(Stdio::null()).output().unwrap()
}

fn start(place: &Place) -> Running {
    let running = place.start(Stdio::null());
    let begun = Instant::now();
    while !participants(place, false).status.success() {
        assert!(begun.elapsed() < SOON, "it does not listen");
    }
    running
}

#[tokio::test]
async fn operators_reach_a_socket_which_a_dead_process_does_not_keep() {
    let place = place();
    let socket = place.folder.path().join("admin.sock");
    let mut killed = start(&place);
    killed.signal(Signal::SIGKILL);
    killed.end().await;
    assert!(socket.exists());
    let refused = participants(&place, true);
    let says = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(3), "{says}");
    assert!(says.contains("admin.sock"), "{says}");

    let mut running = start(&place);
    let found = participants(&place, true);
    assert!(found.status.success(), "{found:?}");
    running.stop().await;
    assert!(!socket.exists());
}
