//! What signals ask of a role.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What one signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// To end once what is under way has ended.
    End,
    /// The same; and if it ends already, not to wait for what is under way. From a keyboard.
    EndNow,
    /// Nothing; but without a handler it would end the process.
    Nothing,
}

/// Which are listened to. A broken pipe's is ignored by Rust's runtime, and what stops or continues a
/// process or dumps its core is left to the kernel.
const SIGNALS: [(SignalKind, &str, Asks); 7] = [
    (SignalKind::terminate(), "SIGTERM", Asks::End),
    (SignalKind::hangup(), "SIGHUP", Asks::End),
    (SignalKind::interrupt(), "SIGINT", Asks::EndNow),
    (SignalKind::quit(), "SIGQUIT", Asks::EndNow),
    (SignalKind::user_defined1(), "SIGUSR1", Asks::Nothing),
    (SignalKind::user_defined2(), "SIGUSR2", Asks::Nothing),
    (SignalKind::alarm(), "SIGALRM", Asks::Nothing),
];

/// The signals of a role, from now on.
#[derive(Debug)]
pub(super) struct Signals(Vec<(Signal, &'static str, Asks)>);

impl Signals {
    /// Listens. `nohup` starts a process that ignores SIGHUP; it goes on to.
    pub(super) fn listen() -> io::Result<Signals> {
        let ignored = ignored();
        let heard = SIGNALS.into_iter().filter(|(kind, _, _)| {
            *kind != SignalKind::hangup() || ignored & (1 << (kind.as_raw_value() - 1)) == 0
        });
        let listened = heard.map(|(kind, name, asks)| Ok((signal(kind)?, name, asks)));
        Ok(Signals(listened.collect::<io::Result<_>>()?))
    }

    /// Waits until one asks for an end, and names it.
    pub(super) async fn end(&mut self) -> &'static str {
        self.one_that(|asks| matches!(asks, Asks::End | Asks::EndNow))
            .await
    }

    /// Waits until one asks not to wait any longer, and names it.
    pub(super) async fn end_now(&mut self) -> &'static str {
        self.one_that(|asks| asks == Asks::EndNow).await
    }

    async fn one_that(&mut self, is_meant: impl Fn(Asks) -> bool) -> &'static str {
        loop {
            let (name, asks) = self.next().await;
            if is_meant(asks) {
                return name;
            }
            tracing::info!(signal = name, "received, changes nothing");
        }
    }

    async fn next(&mut self) -> (&'static str, Asks) {
        poll_fn(|context| {
            for (signal, name, asks) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready((*name, *asks));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The signals that this process ignored when it was started, one a bit (`SigIgn` in proc_pid_status(5)).
/// None where the kernel does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .map(str::trim);
    mask.and_then(|mask| u64::from_str_radix(mask, 16).ok())
        .unwrap_or(0)
}
