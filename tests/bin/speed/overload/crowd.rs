//! Those who buy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use hyper_util::rt::TokioIo;
use tandem_tests::{Answer, Asked, Client, purchase};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;
use tower::service_fn;

use super::slow_reader::SlowReader;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Calls of a connection under way at once; what comes due beyond is not sent.
const CALLS_MAX: usize = 64;

/// Connections that are opened at once.
const OPENED_AT_ONCE: usize = 100;

/// A purchase, what was answered, and when.
pub(super) struct Told {
    pub(super) asked: Asked,
    pub(super) took: Duration,
    /// Whether its connection reads slowly.
    pub(super) is_slow: bool,
    /// Whether it was turned away without a word on when to come back.
    pub(super) lacks_hint: bool,
}

/// Connections that are open.
pub(super) struct Crowd(Vec<(Client, bool)>);

/// So many clients, each of which asks again as soon as it is answered.
pub(super) async fn closed_loop(
    port: u16,
    name: &'static str,
    clients: usize,
    time: Duration,
) -> Result<Vec<Told>> {
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let client = Client::over(quick(port).await?, ANSWER_MAX);
        tasks.spawn(async move {
            let begun = Instant::now();
            let mut told = Vec::new();
            while begun.elapsed() < time {
                let id = format!("{name}-{number}-{}", told.len());
                told.push(ask(&client, &id, false).await);
            }
            told
        });
    }
    Ok(tasks.join_all().await.into_iter().flatten().collect())
}

impl Crowd {
    /// Opens them, every second one with a reader that is slow.
    pub(super) async fn connect(port: u16, connections: usize) -> Result<Crowd> {
        let mut crowd = Vec::with_capacity(connections);
        let numbers: Vec<usize> = (0..connections).collect();
        for some in numbers.chunks(OPENED_AT_ONCE) {
            let opened = some.iter().map(|number| async move {
                let is_slow = number % 2 == 1;
                let channel = if is_slow {
                    slow(port).await?
                } else {
                    quick(port).await?
                };
                anyhow::Ok((Client::over(channel, ANSWER_MAX), is_slow))
            });
            crowd.extend(try_join_all(opened).await?);
        }
        Ok(Crowd(crowd))
    }

    /// Has them buy, so many a second in all, each at a rate of its own, whatever becomes of the earlier
    /// ones.
    pub(super) async fn offer(self, per_second: f64, time: Duration) -> Result<Vec<Told>> {
        let each = Duration::try_from_secs_f64(self.0.len() as f64 / per_second)?;
        let begun = tokio::time::Instant::now();
        let mut tasks = JoinSet::new();
        for (number, (client, is_slow)) in self.0.into_iter().enumerate() {
            let first = begun + each.mul_f64(fastrand::f64());
            tasks.spawn(async move {
                let mut due = interval_at(first, each);
                due.set_missed_tick_behavior(MissedTickBehavior::Burst);
                let calls = Arc::new(Semaphore::new(CALLS_MAX));
                let mut asking = JoinSet::new();
                for turn in 0.. {
                    due.tick().await;
                    if begun.elapsed() >= time {
                        break;
                    }
                    let Ok(call) = Arc::clone(&calls).try_acquire_owned() else {
                        continue;
                    };
                    let client = client.clone();
                    asking.spawn(async move {
                        let told = ask(&client, &format!("crowd-{number}-{turn}"), is_slow).await;
                        drop(call);
                        told
                    });
                }
                asking.join_all().await
            });
        }
        Ok(tasks.join_all().await.into_iter().flatten().collect())
    }
}

async fn ask(client: &Client, id: &str, is_slow: bool) -> Told {
    let purchase = purchase(id, &[("tea", 1)]);
    let begun = Instant::now();
    let answer = client.submit(&purchase).await;
    let took = begun.elapsed();
    let lacks_hint = answer.as_ref().is_err_and(|status| {
        status.code() == Code::ResourceExhausted && status.get_details_retry_info().is_none()
    });
    Told {
        asked: Asked {
            purchase,
            answers: vec![Answer::of(&answer)],
        },
        took,
        is_slow,
        lacks_hint,
    }
}

async fn quick(port: u16) -> Result<Channel> {
    Ok(endpoint(port)?.connect().await?)
}

async fn slow(port: u16) -> Result<Channel> {
    let connector =
        service_fn(move |_| async move { SlowReader::connect(port).await.map(TokioIo::new) });
    Ok(endpoint(port)?.connect_with_connector(connector).await?)
}

fn endpoint(port: u16) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?)
}
