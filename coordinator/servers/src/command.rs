use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::spawner::spawn;

/// How much of a command's output an error quotes.
const QUOTED_BYTES: usize = 2_000;
const POLL: Duration = Duration::from_millis(5);

/// Runs a command to its end and returns what it wrote to stdout and stderr.
///
/// An error quotes the end of the output. A command that is still running at
/// the deadline is killed together with its children.
pub(crate) fn run(name: &str, mut command: Command, timeout: Duration) -> Result<String> {
    // A file takes any amount of output without a reader, so neither a pipe
    // that is full nor a grandchild that keeps it open can block this call.
    let mut output = tempfile::tempfile().context("create a temporary file")?;
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .process_group(0);
    let mut child = spawn(command).with_context(|| format!("run {name}"))?;

    let deadline = Instant::now() + timeout;
    let status: Option<ExitStatus> = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            let group = Pid::from_raw(child.id().cast_signed());
            let _ = killpg(group, Signal::SIGKILL);
            child.wait()?;
            break None;
        }
        thread::sleep(POLL);
    };

    output.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match status {
        Some(status) if status.success() => Ok(text),
        Some(status) => bail!("{name} failed ({status}): {}", tail(&text)),
        None => bail!(
            "{name} was killed after {} s: {}",
            timeout.as_secs(),
            tail(&text)
        ),
    }
}

/// The last lines of a log file, for an error message.
pub(crate) fn file_tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    tail(&String::from_utf8_lossy(&bytes)).to_owned()
}

fn tail(text: &str) -> &str {
    let text = text.trim();
    let from = text.len().saturating_sub(QUOTED_BYTES);
    let from = (from..=text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len());
    &text[from..]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::spawner::guarded;

    fn sh(script: &str) -> Command {
        let mut command = guarded("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_comes_back_and_a_failure_quotes_it() {
        let said = run("sh", sh("echo out; echo err >&2"), Duration::from_secs(10)).unwrap();
        assert_eq!(said, "out\nerr\n");
        let error = run("sh", sh("echo the reason; exit 3"), Duration::from_secs(10)).unwrap_err();
        assert!(error.to_string().contains("the reason"), "{error}");
    }

    #[test]
    fn a_command_past_its_deadline_is_killed_with_its_children() {
        let started = Instant::now();
        let error = run(
            "sh",
            sh("sleep 30 & echo waiting; wait"),
            Duration::from_millis(300),
        )
        .unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(error.to_string().contains("killed after"), "{error}");
        assert!(error.to_string().contains("waiting"), "{error}");
    }

    #[test]
    fn a_tail_never_splits_a_character() {
        let long = "ä".repeat(QUOTED_BYTES);
        assert!(tail(&format!("x{long}")).len() <= QUOTED_BYTES);
    }
}
