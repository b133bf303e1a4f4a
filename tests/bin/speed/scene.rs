//! The servers that the contestants share.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use sqlx::{AssertSqlSafe, Executor};
use tandem_servers::Process;
use tandem_tests::shop::fixture;
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

/// A coordinator and the stores that it works on.
#[derive(Clone, Copy)]
pub(crate) struct Party<'a> {
    pub(crate) tandem: &'a Tandem,
    pub(crate) stores: &'a Stores,
    pub(crate) forces: &'a Forces,
}

/// A coordinator with stores of its own, and nothing beside it.
pub(crate) struct Alone {
    // Dropped top-down: who asks before who is asked.
    tandem: Tandem,
    stores: Stores,
    forces: Forces,
    _folder: TempDir,
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
    /// Whether what is sold is a shop's own (`tests/shop`), by a coordinator with its mapping.
    pub(crate) shop: bool,
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
        let folder = folder()?;
        let env = setting.forces.env();
        let stores = stores(&setting, &env).await?;
        let inside = inside(&setting, &stores, &env, &folder)?;
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
            start: start(&setting, tables.join("\n"), &env),
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
        store_processes(&self.stores)
    }

    /// The coordinator whose participants are there, and the stores.
    pub(crate) fn party(&self, place: Place) -> Party<'_> {
        Party {
            tandem: self.tandem(place),
            stores: &self.stores,
            forces: &self.forces,
        }
    }
}

impl Alone {
    /// Starts everything; the coordinator with this program instead of the one under test.
    pub(crate) async fn start(setting: Setting<'_>, program: Option<&Path>) -> Result<Alone> {
        let folder = folder()?;
        let env = setting.forces.env();
        let stores = stores(&setting, &env).await?;
        let tandem = inside(&setting, &stores, &env, &folder)?;
        tandem.coordinator.run_build(program.map(Path::to_owned));
        tandem.coordinator.start(&tandem.start).await?;
        Ok(Alone {
            tandem,
            stores,
            forces: setting.forces,
            _folder: folder,
        })
    }

    pub(crate) fn party(&self) -> Party<'_> {
        Party {
            tandem: &self.tandem,
            stores: &self.stores,
            forces: &self.forces,
        }
    }
}

impl Party<'_> {
    /// The processes of a purchase through tandem.
    pub(crate) fn processes(&self) -> Result<Vec<(&'static str, u32)>> {
        let tandem = self.tandem;
        let mut processes = store_processes(self.stores)?;
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

    /// The stores' processes.
    pub(crate) fn store_processes(&self) -> Result<Vec<(&'static str, u32)>> {
        store_processes(self.stores)
    }

    /// Waits until nothing is prepared or held.
    pub(crate) async fn quiet(&self) -> Result<()> {
        let operator = self.tandem.coordinator.operator();
        Judge(self.stores).quiet(&operator).await
    }
}

fn store_processes(stores: &Stores) -> Result<Vec<(&'static str, u32)>> {
    Ok(vec![
        ("mysql", stores.mysql.pid().context("MySQL is down")?),
        ("redis", stores.redis.pid().context("Redis is down")?),
    ])
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("tandem-speed-").tempdir()?)
}

fn start(setting: &Setting<'_>, participants: String, env: &[(String, String)]) -> Start {
    Start {
        limits: setting.limits.clone(),
        participants,
        env: env.to_vec(),
    }
}

/// A coordinator with its participants in its process, not started.
fn inside(
    setting: &Setting<'_>,
    stores: &Stores,
    env: &[(String, String)],
    folder: &TempDir,
) -> Result<Tandem> {
    let participants = match setting.shop {
        true => fixture::participants(stores)?,
        false => participants(stores),
    };
    Ok(Tandem {
        coordinator: coordinator(INSIDE, folder.path().join("inside"))?,
        sidecars: Vec::new(),
        start: start(setting, participants, env),
    })
}

/// The stores, with goods in stock and a table for each contestant.
async fn stores(setting: &Setting<'_>, env: &[(String, String)]) -> Result<Stores> {
    let pair = match setting.store {
        Store::Mariadb => PairName::Installed,
        Store::Mysql97 => PairName::MysqlRedis,
    };
    let pair = setting.machine.pair(pair).map_err(anyhow::Error::msg)?;
    let options = match setting.shop {
        true => fixture::stores(),
        false => StoresOptions::default(),
    };
    let mut mysql_args = options.mysql_args.clone();
    mysql_args.push(format!("--max-connections={MYSQL_CONNECTIONS_MAX}").into());
    if setting.binlog == Binlog::Off {
        mysql_args.push("--skip-log-bin".into());
    }
    let options = StoresOptions {
        env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        mysql_args,
        ..options
    };
    let stores = Stores::start(&pair, options).await?;
    if setting.shop {
        fixture::lay_out(&stores).await?;
    } else {
        create_tables(&stores).await?;
        seed(&stores).await?;
    }
    Ok(stores)
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
