//! All that a case needs, started and ended together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::answer::Asked;
use crate::coordinator::{Coordinator, Start, copy_folder};
use crate::disk::Disk;
use crate::judge::{Books, Judge};
use crate::links::Links;
use crate::machine::Pair;
use crate::personal::tell_of;
use crate::programs::tandem_program;
use crate::proxy::Proxy;
use crate::sidecar::{Sidecar, SidecarKind};
use crate::stores::{Stores, StoresOptions};

/// Short pauses, since a test has no operator who would be annoyed by warnings.
pub const LIMITS: &str =
    "retry_backoff_max_ms = 300\nsweep_interval_s = 1\ncall_timeout_ms = 4000\n";

/// Room for all that a long run's log holds, its copy that is verified at each start included.
const LOG_DISK_MIB: u32 = 256;
const REDIS_DISK_MIB: u32 = 512;

/// How a case's world is to be.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The stores.
    pub stores: StoresOptions,
    /// Lines of `[limits]`; the harness's own if empty.
    pub limits: String,
    /// Participants in processes of their own.
    pub sidecars: bool,
    /// A proxy between every two parts that talk to each other; sidecars only.
    pub links: bool,
    /// Disks of their own, which can be filled up, for the decision log and for Redis.
    pub disks: bool,
    /// Appended to both sidecars' settings.
    pub sidecar_settings: String,
    /// The case starts the coordinator itself.
    pub coordinator_down: bool,
    /// Set in the coordinator's environment.
    pub env: Vec<(String, String)>,
    /// Another build of `tandem`, until the world is [updated](World::update).
    pub program: Option<PathBuf>,
}

/// Stores, sidecars and a coordinator.
#[derive(Debug)]
pub struct World {
    // Dropped top-down: who asks before who is asked.
    /// The coordinator.
    pub coordinator: Coordinator,
    /// Both sidecars, if there are any.
    pub sidecars: Vec<Sidecar>,
    /// The stores.
    pub stores: Stores,
    /// The proxies, if there are any.
    pub links: Option<Links>,
    /// What the coordinator is started with.
    pub start: Start,
    /// The decision log's disk and Redis', if they have their own.
    pub disks: Option<[Disk; 2]>,
    folder: TempDir,
}

impl World {
    /// Starts everything.
    ///
    /// # Errors
    /// If something does not start; with its log.
    pub async fn new(pair: &Pair, setup: Setup) -> Result<World> {
        let folder = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        let disks = if setup.disks {
            let mount = |name, mebibytes| Disk::mount(folder.path().join(name), mebibytes);
            Some([
                mount("log-disk", LOG_DISK_MIB)?,
                mount("redis-disk", REDIS_DISK_MIB)?,
            ])
        } else {
            None
        };
        let mut options = setup.stores;
        if let Some([_, redis_disk]) = &disks {
            options.redis_folder = Some(redis_disk.path().to_owned());
        }
        let stores = Stores::start(pair, options).await?;
        let place = folder.path().join("coordinator");
        fs::create_dir_all(&place)?;
        let mut coordinator = Coordinator::new(place)?;
        coordinator.run_build(setup.program.clone());
        if let Some([log_disk, _]) = &disks {
            coordinator = coordinator.with_data_dir(log_disk.path().join("log"));
        }
        let mut sidecars = Vec::new();
        let mut links = None;
        let participants = if setup.sidecars {
            let (mysql, redis) = (stores.mysql.port(), stores.redis.port());
            let stores_links = if setup.links {
                Some([Proxy::start(mysql).await?, Proxy::start(redis).await?])
            } else {
                None
            };
            let [mysql, redis] = match &stores_links {
                Some(proxies) => proxies.each_ref().map(Proxy::port),
                None => [mysql, redis],
            };
            for (kind, settings) in [
                (SidecarKind::Mysql, stores.mysql_settings_at(mysql)),
                (SidecarKind::Redis, stores.redis_settings_at(redis)),
            ] {
                let place = folder.path().join(kind.name());
                let statements = match kind {
                    SidecarKind::Mysql => {
                        stores.schema.statements("mysql") + stores.schema.attributes()
                    }
                    SidecarKind::Redis => String::new(),
                };
                let settings = settings + &setup.sidecar_settings + &statements;
                let program = setup.program.clone();
                sidecars.push(Sidecar::start_build(kind, place, &settings, program).await?);
            }
            if let Some(stores_links) = stores_links {
                links = Some(Links::close(&coordinator, &sidecars, stores_links).await?);
            }
            let port = |sidecar: &Sidecar| match &links {
                Some(links) => links.to_sidecar(sidecar.kind()).port(),
                None => sidecar.port(),
            };
            let tables = sidecars.iter().map(|one| one.participant_at(port(one)));
            let tables = tables.collect::<Vec<String>>().join("\n");
            stores.schema.attributes().to_owned() + &tables
        } else {
            stores.participants()
        };
        let start = Start {
            limits: if setup.limits.is_empty() {
                LIMITS.to_owned()
            } else {
                setup.limits
            },
            participants,
            env: setup.env,
        };
        let world = World {
            coordinator,
            sidecars,
            stores,
            links,
            start,
            disks,
            folder,
        };
        if !setup.coordinator_down {
            world.coordinator.start(&world.start).await?;
        }
        Ok(world)
    }

    /// Starts the coordinator with what it was first started with, without the environment of its
    /// first start, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start; with its log.
    pub async fn start_again(&self) -> Result<()> {
        self.coordinator.start(&self.start.without_env()).await
    }

    /// From its next start on each part is of the build under test.
    pub fn update(&self) {
        self.run_build(None);
    }

    /// The same of another build.
    pub(crate) fn run_build(&self, program: Option<PathBuf>) {
        self.coordinator.run_build(program.clone());
        for sidecar in &self.sidecars {
            sidecar.run_build(program.clone());
        }
    }

    /// Starts the coordinator so that it dies or stops at a step: `decided:kill`.
    ///
    /// # Errors
    /// If it does not start; with its log.
    pub async fn start_to_end_at(&self, step: &str) -> Result<()> {
        let start = Start {
            env: vec![("TANDEM_AT".to_owned(), step.to_owned())],
            ..self.start.clone()
        };
        self.coordinator.start(&start).await
    }

    /// Waits for quiet and judges everything since the start.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn judge(&self, asked: &[Asked]) -> Result<Books> {
        let judge = Judge(&self.stores);
        judge.quiet(&self.coordinator.operator()).await?;
        judge.judge("", asked).await
    }

    /// That neither store holds anything, purchases included.
    ///
    /// # Errors
    /// What one holds.
    pub async fn nothing_written(&self) -> Result<()> {
        let books = self.judge(&[]).await?;
        ensure!(books.committed == 0, "there are rows: {books}");
        Ok(())
    }

    /// Runs a verb of the command line against this coordinator. A personal value that it tells without being
    /// asked for it is printed, which fails `tests/run`.
    ///
    /// # Errors
    /// If the program can't be run.
    pub fn tandem(&self, arguments: &[&str]) -> Result<Output> {
        let output = Command::new(tandem_program()?)
            .args(arguments)
            .env("TANDEM_ADMIN", self.coordinator.operator_url())
            .env("TANDEM_SERVER", self.coordinator.client_url())
            .output()
            .context("run tandem")?;
        if !arguments.contains(&"--show-attributes") {
            for said in [&output.stdout, &output.stderr] {
                tell_of(
                    &format!("tandem {arguments:?}"),
                    &String::from_utf8_lossy(said),
                );
            }
        }
        Ok(output)
    }

    /// A folder of the case's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All that tandem's processes have said.
    pub(crate) fn all_logs(&self) -> Vec<String> {
        let sidecars = self.sidecars.iter().map(Sidecar::log);
        [self.coordinator.log()]
            .into_iter()
            .chain(sidecars)
            .collect()
    }

    /// What all processes said last, for the report of a failure.
    pub fn logs(&self) -> String {
        let mut text = format!(
            "--- the coordinator's log ends with\n{}\n",
            self.coordinator.log_tail()
        );
        for sidecar in &self.sidecars {
            text.push_str(&format!(
                "--- a sidecar's log ends with\n{}\n",
                sidecar.log_tail()
            ));
        }
        for server in [&*self.stores.mysql, &*self.stores.redis] {
            text.push_str(&format!(
                "--- the log of {} ends with\n{}\n",
                server.binary(),
                server.log_tail()
            ));
        }
        text
    }

    /// Copies logs and data to a folder that stays, for whoever looks into a failure.
    ///
    /// # Errors
    /// If they can't be copied.
    pub fn keep(&self, name: &str) -> Result<PathBuf> {
        let place = std::env::temp_dir().join(format!("tandem-kept-{name}"));
        copy_folder(self.folder.path(), &place)?;
        fs::write(place.join("logs.txt"), self.logs())?;
        for (server, name) in [
            (&*self.stores.mysql, "mysql"),
            (&*self.stores.redis, "redis"),
        ] {
            copy_folder(&server.data_dir(), &place.join(name))?;
            let log = server.data_dir().with_file_name("server.log");
            fs::copy(log, place.join(format!("{name}.log")))?;
        }
        Ok(place)
    }
}
