//! dtmrs 0.13 in the mode that fits best: a two-phase message. The sale is made in Redis behind a
//! barrier, between the message's `prepare` and its `submit`; dtmrs then has the row inserted, and
//! would ask, had the app died in between, whether the sale was made. Counted when the row is there,
//! not when the message is accepted.
//!
//! A saga would store and call twice as much, and XA serves no Redis.

mod branches;
mod http;
mod sale;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use futures::{StreamExt, TryStreamExt, stream};
use redis::aio::MultiplexedConnection;
use serde_json::json;
use sqlx::Executor;
use tandem_servers::{PortLease, Process, guarded};
use tandem_tests::{Stores, until_some};

use crate::books::Books;
use crate::contest::{self, Buyer, Turn};
use crate::meter::Meter;
use crate::scene::Scene;
use crate::score::Score;
use crate::workload::{Answer, Cart};
use branches::Branches;
use http::Caller;

pub(crate) const TABLE: &str = "dtmrs_purchases";

const READY_MAX: Duration = Duration::from_secs(20);

/// Connections that are opened at once.
const CONNECTING_MAX: usize = 16;

/// Where dtmrs keeps its transactions: in a store that forces, as tandem's log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    /// In a database of its own at the same MySQL or MariaDB
    Mysql,
    /// In a database of its own at the same Redis; wants dtmrs built with its feature redis
    Redis,
}

/// dtmrs, and what it calls.
pub(crate) struct Dtmrs {
    process: Process,
    address: SocketAddr,
    branches: Branches,
}

impl Dtmrs {
    /// Starts the program and waits until it listens.
    pub(crate) async fn start(
        program: &Path,
        kept: Kept,
        stores: &Stores,
        env: &[(String, String)],
        log: &Path,
    ) -> Result<Dtmrs> {
        let database = match kept {
            Kept::Mysql => {
                stores.sql().await?.execute("CREATE DATABASE dtmrs").await?;
                format!("{}dtmrs", stores.mysql.url())
            }
            Kept::Redis => format!("{}1", stores.redis.url()),
        };
        let (port, grpc) = (PortLease::take(None)?, PortLease::take(None)?);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.port()));
        let mut command = guarded(program);
        command
            .env("DTMRS_DB", database)
            .env("DTMRS_ADDR", address.to_string())
            .env("DTMRS_GRPC_ADDR", format!("127.0.0.1:{}", grpc.port()))
            // It logs several lines a transaction otherwise.
            .env("RUST_LOG", "error")
            .envs(env.iter().map(|(name, value)| (name, value)));
        let process = Process::start(command, log)?;
        let connect = async || Ok(Caller::connect(address).await.ok());
        until_some("dtmrs listens", READY_MAX, connect)
            .await
            .with_context(|| std::fs::read_to_string(log).unwrap_or_default())?;
        Ok(Dtmrs {
            process,
            address,
            branches: Branches::serve(stores, PortLease::take(None)?).await?,
        })
    }
}

struct Client {
    coordinator: Caller,
    kv: MultiplexedConnection,
    branches: Branches,
}

pub(crate) async fn play(scene: &Scene, turn: &Turn) -> Result<Score> {
    let stores = &scene.stores;
    let dtmrs = scene.dtmrs.as_ref();
    let dtmrs = dtmrs.context("dtmrs takes part only when its program is given: --dtmrs PATH")?;
    let books = Books::open(stores, TABLE).await?;
    let clients: Vec<Client> = stream::iter(0..turn.load.clients())
        .map(async |_| {
            anyhow::Ok(Client {
                coordinator: Caller::connect(dtmrs.address).await?,
                kv: stores.kv().await?,
                branches: dtmrs.branches.clone(),
            })
        })
        .buffered(CONNECTING_MAX)
        .try_collect()
        .await?;
    let mut processes = scene.store_processes()?;
    processes.push(("coordinator", dtmrs.process.id()));
    let meter = Meter::of(&scene.forces, processes);
    let (score, told) = contest::play(turn, &meter, clients).await?;
    let items = told.bought * turn.workload.items() as u64;
    books.close(stores, items, items).await?;
    Ok(score)
}

impl Buyer for Client {
    async fn buy(&mut self, cart: &Cart) -> Result<Answer> {
        let gid = &cart.purchase_id;
        let branches = format!("http://{}", self.branches.address);
        let message = json!({
            "gid": gid,
            "trans_type": "msg",
            "actions": [format!("{branches}/insert")],
            "payloads": [json!(cart.skus).to_string()],
            "query_prepared": format!("{branches}/was-sold"),
        });
        let coordinator = &mut self.coordinator;
        coordinator.post("/api/dtmsvr/prepare", &message).await?;
        let name = json!({"gid": gid, "trans_type": "msg"});
        if !sale::make(&mut self.kv, gid, &cart.skus).await? {
            coordinator.post("/api/dtmsvr/abort", &name).await?;
            return Ok(Answer::Refused);
        }
        let inserted = self.branches.inserted(gid);
        coordinator.post("/api/dtmsvr/submit", &name).await?;
        inserted.await.context("dtmrs' branches are gone")?;
        Ok(Answer::Bought)
    }

    async fn leave(self) -> Result<()> {
        Ok(())
    }
}
