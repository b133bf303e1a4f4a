//! `tandem dev` as a newcomer runs it, on real servers.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A cold start initializes a data folder first, which takes seconds.
const READY_MAX: Duration = Duration::from_secs(120);
const STOP_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// The last line that `tandem dev` prints before it waits.
const READY: &str = "Ctrl-C stops all of it.";

/// A running `tandem dev`. Dropping it kills it, and with it what it started.
struct Dev {
    child: Child,
    data: PathBuf,
    printed: Vec<String>,
    lines: Receiver<String>,
}

impl Dev {
    /// Starts one on a data folder and waits until it says that it is ready.
    fn start(data: &Path) -> Dev {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["dev", "--data-dir"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut dev = Dev {
            child,
            data: data.to_owned(),
            printed: Vec::new(),
            lines,
        };
        dev.wait_until_ready();
        dev
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + READY_MAX;
        while self.printed.last().is_none_or(|line| line != READY) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.printed.push(line),
                Err(error) => {
                    let _ = self.child.kill();
                    let said = self.stderr();
                    panic!("not ready ({error}): {:?}\n{said}", self.printed);
                }
            }
        }
    }

    /// The printed command that holds `words`.
    fn command(&self, words: &str) -> &str {
        let found = self.printed.iter().find(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("{:?}", self.printed)).trim()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("the end of tandem dev", STOP_MAX, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn stderr(&mut self) -> String {
        let mut said = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A failed test leaves nothing behind either.
        for (pid, _) in processes_of(&self.data) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Processes that work on a data folder, with their command lines.
fn processes_of(data: &Path) -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process may end while it is looked at, and Redis writes over its arguments.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let works_there =
            fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder.starts_with(data));
        let names_it = line.contains(&*data.to_string_lossy());
        let is_dev = line.contains("--data-dir");
        if (works_there || names_it) && !is_dev {
            found.push((Pid::from_raw(pid), line));
        }
    }
    found
}

fn until(what: &str, longest: Duration, mut came: impl FnMut() -> bool) {
    let deadline = Instant::now() + longest;
    while !came() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(LOOK);
    }
}

fn shell(command: &str) -> Output {
    Command::new("sh").args(["-c", command]).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A data folder that does not exist yet, within one that is removed.
fn data_folder() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().canonicalize().unwrap().join("my data");
    (parent, data)
}

#[test]
fn demo_plays_every_act_and_ends_well() {
    let mut demo = assert_cmd::Command::new(env!("CARGO_BIN_EXE_tandem"));
    let played = demo
        .args(["dev", "--demo"])
        .timeout(READY_MAX)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&played.stdout);
    assert_eq!(
        played.status.code(),
        Some(0),
        "{told}\n{}",
        String::from_utf8_lossy(&played.stderr)
    );
    for part in [
        "\n1. A purchase commits\n",
        "\n2. A purchase is refused\n",
        "\n3. The coordinator is killed after its decision, before it tells either store\n",
        "\n4. Redis is killed between its promise and the commit\n",
        "\n5. The books\n",
        "FAILED_PRECONDITION",
        "$ tandem tx list --in-doubt",
        "$ tandem tx show dev.",
        "✓ Cleo gets: no answer\n",
        "sold and in stock together",
        "checks passed, in ",
    ] {
        assert!(told.contains(part), "{part:?} is missing in:\n{told}");
    }
    assert!(!told.contains('✗'), "{told}");
    assert!(!told.contains('\u{1b}'), "colours in a pipe:\n{told}");
}

#[test]
fn printed_commands_work_verbatim_and_a_signal_stops_everything() {
    let (_parent, data) = data_folder();
    let mut dev = Dev::start(&data);
    let bought = stdout(&shell(dev.command("purchase submit")));
    assert!(bought.contains("state        committed"), "{bought}");
    assert!(bought.contains("applied      everywhere"), "{bought}");
    let left = stdout(&shell(dev.command("stock lamp")));
    assert!(left.contains("stock      98\nheld       0\n"), "{left}");

    let again = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["dev", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("another process runs a server in"), "{said}");

    dev.signal(Signal::SIGINT);
    assert_eq!(dev.wait().code(), Some(0), "{}", dev.stderr());
    assert_eq!(processes_of(&data), []);

    // The data stays, and so does what was sold.
    let mut dev = Dev::start(&data);
    let left = stdout(&shell(dev.command("stock lamp")));
    assert!(left.contains("stock      98\n"), "{left}");
    let repeated = stdout(&shell(dev.command("purchase submit")));
    assert!(repeated.contains("state        committed"), "{repeated}");
    let left = stdout(&shell(dev.command("stock lamp")));
    assert!(left.contains("stock      98\n"), "{left}");
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.wait().code(), Some(0), "{}", dev.stderr());
    assert_eq!(processes_of(&data), []);
}

#[test]
fn coordinator_that_dies_is_reported_and_the_stores_are_stopped() {
    let (_parent, data) = data_folder();
    let mut dev = Dev::start(&data);
    let coordinator = processes_of(&data)
        .into_iter()
        .find(|(_, line)| line.contains(" serve "));
    kill(coordinator.unwrap().0, Signal::SIGKILL).unwrap();
    assert_eq!(dev.wait().code(), Some(1));
    let said = dev.stderr();
    assert!(said.contains("the coordinator ended by itself"), "{said}");
    assert!(said.contains("listening"), "no end of its log: {said}");
    assert_eq!(processes_of(&data), []);
}

#[test]
fn nothing_outlives_a_killed_dev() {
    if !Path::new("/usr/bin/setpriv").exists() {
        eprintln!("SKIPPED: without setpriv a killed parent can't take its children along");
        return;
    }
    let (_parent, data) = data_folder();
    let mut dev = Dev::start(&data);
    assert_eq!(processes_of(&data).len(), 3);
    dev.child.kill().unwrap();
    dev.wait();
    until("the end of its children", STOP_MAX, || {
        processes_of(&data).is_empty()
    });
}
