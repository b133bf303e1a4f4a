//! What grows with the work that is done, and what must not.

mod prepared;
mod retained;
mod totals;
mod under_load;
mod unfinished;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use tandem_tests::Machine;

use crate::forces::Forces;
use crate::scene::{Binlog, Scene, Setting, Store};

/// What is looked at.
#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// Purchases that are remembered: bytes for each, the time of a start, memory, throughput
    Retained {
        /// How many; the data are written directly
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "1000,10000,100000,1000000,10000000"
        )]
        purchases: Vec<u64>,
        /// Clients of the throughput afterwards
        #[arg(long, default_value_t = 128)]
        clients: usize,
        /// Length of that measurement, in seconds
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        #[command(flatten)]
        ground: Ground,
    },
    /// Decisions that are unfinished at a start: the time until it serves, and until all are done
    Unfinished {
        /// How many, of one purchase each; the data are written directly
        #[arg(long, value_delimiter = ',', default_value = "0,1000,10000,100000")]
        decisions: Vec<u64>,
        #[command(flatten)]
        ground: Ground,
    },
    /// A store that is away under load, and comes back
    Away {
        /// Which
        #[arg(long, default_value = "redis")]
        store: Absentee,
        /// How long, in minutes; the load lasts as long on either side, at most a minute
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Purchases offered per second
        #[arg(long, default_value_t = 1_000.0)]
        rate: f64,
        #[command(flatten)]
        ground: Ground,
    },
    /// Skus of which something was deducted: bytes in the log, the time and memory of a start, and how
    /// long events wait while their totals are written again or told to an audit; no servers
    Totals {
        /// How many
        #[arg(long, value_delimiter = ',', default_value = "1000,100000,1000000")]
        skus: Vec<u64>,
    },
    /// Steady load: memory, log, Redis keys and marker rows must not grow past what is retained
    Steady {
        /// How long, in minutes
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Purchases offered per second
        #[arg(long, default_value_t = 3_000.0)]
        rate: f64,
        #[command(flatten)]
        ground: Ground,
    },
}

/// Where it is looked at.
#[derive(Debug, Args)]
pub(crate) struct Ground {
    /// Stores to run on
    #[arg(long, default_value = "mariadb")]
    on: Store,
    /// What every forced write costs, in microseconds, with the data in memory
    #[arg(long, default_value_t = 1_000, conflicts_with = "real_disk")]
    fsync_us: u64,
    /// Data on the disk that TMPDIR is on; forced writes take what they take
    #[arg(long)]
    real_disk: bool,
    /// Purchases that the coordinator remembers; by default as many as are prepared, and 50000 under
    /// load
    #[arg(long)]
    retained_max: Option<u64>,
}

/// Which store is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Absentee {
    /// MariaDB or MySQL
    Mysql,
    /// Redis
    Redis,
}

/// Looks, and says what it saw.
pub(crate) async fn answer(question: &Question) -> Result<()> {
    let machine = Machine::look();
    match question {
        Question::Retained {
            purchases,
            clients,
            seconds,
            ground,
        } => {
            let window = Duration::from_secs(*seconds);
            Box::pin(retained::answer(
                &machine, ground, purchases, *clients, window,
            ))
            .await
        }
        Question::Totals { skus } => totals::answer(skus),
        Question::Unfinished { decisions, ground } => {
            Box::pin(unfinished::answer(&machine, ground, decisions)).await
        }
        Question::Away {
            store,
            minutes,
            rate,
            ground,
        } => under_load::away(&machine, ground, *store, whole(*minutes)?, *rate).await,
        Question::Steady {
            minutes,
            rate,
            ground,
        } => under_load::steady(&machine, ground, whole(*minutes)?, *rate).await,
    }
}

impl Ground {
    /// Servers, and a coordinator that is down.
    async fn lay(&self, machine: &Machine, retained_max: u64) -> Result<Scene> {
        let force = (!self.real_disk).then(|| Duration::from_micros(self.fsync_us));
        let retained_max = self.retained_max.unwrap_or(retained_max);
        Scene::prepare(Setting {
            machine,
            store: self.on,
            binlog: Binlog::On,
            limits: format!("[retention]\npurchases_max = {retained_max}\n"),
            forces: Forces::new(force)?,
            dtmrs: None,
            shop: false,
        })
        .await
    }
}

fn whole(minutes: f64) -> Result<Duration> {
    Ok(Duration::try_from_secs_f64(minutes * 60.0)?)
}

/// Bytes that Redis has in use.
async fn redis_bytes(scene: &Scene) -> Result<u64> {
    let mut kv = scene.stores.kv().await?;
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut kv)
        .await?;
    info.get("used_memory")
        .context("Redis does not say how much memory it uses")
}
