//! The servers that the contestants share.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use sqlx::{AssertSqlSafe, Executor};
use tandem_servers::Process;
use tandem_tests::{
    Coordinator, Judge, Machine, PairName, Sidecar, SidecarKind, Start, Stores, StoresOptions,
};
use tempfile::TempDir;

use crate::contestant::dtmrs::{Dtmrs, Kept};
use crate::forces::Forces;
use crate::limits::call;
use crate::workload::{self, SKUS, SOLD_OUT, UNITS};

/// More than the clients of the largest turn, each with a session of its own.
const MYSQL_CONNECTIONS_MAX: usize = 1_400;

/// The id of the coordinator whose participants are in its process.
pub(crate) const INSIDE: &str = "inside";

/// The id of the coordinator that has sidecars.
const BESIDE: &str = "beside";

/// Which stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// The installed MariaDB and Redis
    Mariadb,
    /// MySQL 9.7 and Redis 8, fetched
    Mysql97,
}

/// MySQL's binary log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Binlog {
    /// On, forced at each commit
    On,
    /// Off
    Off,
}

/// Where a coordinator's participants are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In its process.
    Inside,
    /// Each in a process of its own.
    Sidecars,
}

/// A coordinator with its sidecars, if it has any.
pub(crate) struct Tandem {
    pub(crate) coordinator: Coordinator,
    pub(crate) sidecars: Vec<Sidecar>,
    /// What it was started with.
    pub(crate) start: Start,
}

/// Everything that runs while the contestants take turns.
pub(crate) struct Scene {
    // Dropped top-down: who asks before who is asked.
    inside: Tandem,
    beside: Tandem,
    /// A gRPC server that does nothing.
    pub(crate) idle: (Process, u16),
    /// The competitor, if its program was given.
    pub(crate) dtmrs: Option<Dtmrs>,
    pub(crate) stores: Stores,
    pub(crate) forces: Forces,
    _folder: TempDir,
}

/// What a scene is to be.
pub(crate) struct Setting<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) store: Store,
    pub(crate) binlog: Binlog,
    /// Lines of both coordinators' sections `[limits]` and further sections.
    pub(crate) limits: String,
    pub(crate) forces: Forces,
    /// The competitor's program, and where it is to keep its transactions.
    pub(crate) dtmrs: Option<(PathBuf, Kept)>,
}

impl Scene {
    /// Starts everything.
    pub(crate) async fn start(setting: Setting<'_>) -> Result<Scene> {
        let scene = Scene::prepare(setting).await?;
        for tandem in [&scene.inside, &scene.beside] {
            tandem.coordinator.start(&tandem.start).await?;
        }
        Ok(scene)
    }

    /// Starts everything but the coordinators, with goods in stock and a table for each contestant.
    pub(crate) async fn prepare(setting: Setting<'_>) -> Result<Scene> {
        let folder = tempfile::Builder::new().prefix("tandem-speed-").tempdir()?;
        let env = setting.forces.env();
        let stores = stores(&setting, &env).await?;
        create_tables(&stores).await?;
        seed(&stores).await?;
        let start = |participants| Start {
            limits: setting.limits.clone(),
            participants,
            env: env.clone(),
        };
        let inside = Tandem {
            coordinator: coordinator(INSIDE, folder.path().join("inside"))?,
            sidecars: Vec::new(),
            start: start(participants(&stores)),
        };
        let mut sidecars = Vec::new();
        for (kind, settings) in [
            (SidecarKind::Mysql, mysql_settings(&stores, "mysql")),
            (SidecarKind::Redis, stores.redis_settings()),
        ] {
            let place = folder.path().join(kind.name());
            sidecars.push(Sidecar::start(kind, place, &settings).await?);
        }
        let tables: Vec<String> = sidecars.iter().map(Sidecar::participant).collect();
        let beside = Tandem {
            coordinator: coordinator(BESIDE, folder.path().join("beside"))?,
            sidecars,
            start: start(tables.join("\n")),
        };
        let dtmrs = match &setting.dtmrs {
            Some((program, kept)) => {
                let log = folder.path().join("dtmrs.log");
                Some(Dtmrs::start(program, *kept, &stores, &env, &log).await?)
            }
            None => None,
        };
        Ok(Scene {
            inside,
            beside,
            idle: call::start(&folder.path().join("idle.log"))?,
            dtmrs,
            stores,
            forces: setting.forces,
            _folder: folder,
        })
    }

    /// The coordinator whose participants are there.
    pub(crate) fn tandem(&self, place: Place) -> &Tandem {
        match place {
            Place::Inside => &self.inside,
            Place::Sidecars => &self.beside,
        }
    }

    /// The stores' processes.
    pub(crate) fn store_processes(&self) -> Result<Vec<(&'static str, u32)>> {
        Ok(vec![
            ("mysql", self.stores.mysql.pid().context("MySQL is down")?),
            ("redis", self.stores.redis.pid().context("Redis is down")?),
        ])
    }

    /// The processes of a purchase through tandem.
    pub(crate) fn tandem_processes(&self, place: Place) -> Result<Vec<(&'static str, u32)>> {
        let tandem = self.tandem(place);
        let mut processes = self.store_processes()?;
        let coordinator = tandem.coordinator.process_id();
        processes.push((
            "coordinator",
            coordinator.context("the coordinator is down")?,
        ));
        for (name, sidecar) in ["sidecar mysql", "sidecar redis"]
            .into_iter()
            .zip(&tandem.sidecars)
        {
            let sidecar = sidecar.process_id().context("a sidecar is down")?;
            processes.push((name, sidecar));
        }
        Ok(processes)
    }

    /// Waits until nothing is prepared or held.
    pub(crate) async fn quiet(&self, place: Place) -> Result<()> {
        let operator = self.tandem(place).coordinator.operator();
        Judge(&self.stores).quiet(&operator).await
    }
}

async fn stores(setting: &Setting<'_>, env: &[(String, String)]) -> Result<Stores> {
    let pair = match setting.store {
        Store::Mariadb => PairName::Installed,
        Store::Mysql97 => PairName::MysqlRedis,
    };
    let pair = setting.machine.pair(pair).map_err(anyhow::Error::msg)?;
    let mut mysql_args = vec![format!("--max-connections={MYSQL_CONNECTIONS_MAX}").into()];
    if setting.binlog == Binlog::Off {
        mysql_args.push("--skip-log-bin".into());
    }
    Stores::start(
        &pair,
        StoresOptions {
            env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            mysql_args,
            ..StoresOptions::default()
        },
    )
    .await
}

/// All contestants write the same row, each to a table of its own.
async fn create_tables(stores: &Stores) -> Result<()> {
    for name in crate::contestant::TABLES {
        let create = format!(
            "CREATE TABLE {name} (purchase_id VARCHAR(64) CHARACTER SET ascii NOT NULL, \
             customer_id VARCHAR(64) NOT NULL, sku VARCHAR(128) CHARACTER SET ascii NOT NULL, \
             quantity INT UNSIGNED NOT NULL, unit_price_minor BIGINT NOT NULL, currency CHAR(3) \
             CHARACTER SET ascii NOT NULL, PRIMARY KEY (purchase_id, sku)) ENGINE=InnoDB"
        );
        stores.sql().await?.execute(AssertSqlSafe(create)).await?;
    }
    Ok(())
}

async fn seed(stores: &Stores) -> Result<()> {
    for sku in 0..SKUS {
        stores.seed(&workload::sku(sku), UNITS).await?;
    }
    stores.seed(SOLD_OUT, 0).await
}

fn coordinator(id: &str, folder: PathBuf) -> Result<Coordinator> {
    fs::create_dir_all(&folder)?;
    Coordinator::named(id, folder)
}

fn participants(stores: &Stores) -> String {
    format!(
        "[participants.purchases.mysql]\n{}\n[participants.stock.redis]\n{}",
        mysql_settings(stores, "participants.purchases.mysql"),
        stores.redis_settings()
    )
}

/// A participant that writes the row which all contestants write. `table` is its own table in the
/// configuration.
fn mysql_settings(stores: &Stores, table: &str) -> String {
    format!(
        "{}\n[[{table}.statements]]\nper = \"item\"\nsql = \"INSERT INTO tandem_purchases \
         (purchase_id, customer_id, sku, quantity, unit_price_minor, currency) VALUES \
         (:purchase_id, :customer_id, :sku, :quantity, :unit_price_minor, :currency)\"\n",
        stores.mysql_settings()
    )
}
