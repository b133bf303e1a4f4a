//! All that a case needs, started and ended together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::answer::Asked;
use crate::coordinator::{Coordinator, Start, copy_folder};
use crate::judge::{Books, Judge};
use crate::machine::Pair;
use crate::programs::tandem_program;
use crate::sidecar::{Sidecar, SidecarKind};
use crate::stores::{Stores, StoresOptions};

/// Short pauses, since a test has no operator who would be annoyed by warnings.
const LIMITS: &str = "retry_backoff_max_ms = 300\nsweep_interval_s = 1\ncall_timeout_ms = 4000\n";

/// How a case's world is to be.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The stores.
    pub stores: StoresOptions,
    /// Lines of `[limits]`; the harness's own if empty.
    pub limits: String,
    /// Participants in processes of their own.
    pub sidecars: bool,
    /// The case starts the coordinator itself.
    pub coordinator_down: bool,
    /// Set in the coordinator's environment.
    pub env: Vec<(String, String)>,
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
    /// What the coordinator is started with.
    pub start: Start,
    folder: TempDir,
}

impl World {
    /// Starts everything.
    ///
    /// # Errors
    /// If something does not start; with its log.
    pub async fn new(pair: &Pair, setup: Setup) -> Result<World> {
        let folder = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        let stores = Stores::start(pair, setup.stores).await?;
        let mut sidecars = Vec::new();
        let participants = if setup.sidecars {
            for (kind, settings) in [
                (SidecarKind::Mysql, stores.mysql_settings()),
                (SidecarKind::Redis, stores.redis_settings()),
            ] {
                let place = folder.path().join(kind.name());
                sidecars.push(Sidecar::start(kind, place, &settings).await?);
            }
            let tables: Vec<String> = sidecars.iter().map(Sidecar::participant).collect();
            tables.join("\n")
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
        let place = folder.path().join("coordinator");
        fs::create_dir_all(&place)?;
        let world = World {
            coordinator: Coordinator::new(place)?,
            sidecars,
            stores,
            start,
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
        let start = Start {
            env: Vec::new(),
            ..self.start.clone()
        };
        self.coordinator.start(&start).await
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

    /// Runs a verb of the command line against this coordinator.
    ///
    /// # Errors
    /// If the program can't be run.
    pub fn tandem(&self, arguments: &[&str]) -> Result<Output> {
        Command::new(tandem_program()?)
            .args(arguments)
            .env("TANDEM_ADMIN", self.coordinator.operator_url())
            .env("TANDEM_SERVER", self.coordinator.client_url())
            .output()
            .context("run tandem")
    }

    /// A folder of the case's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
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
        for (server, name) in [
            (&*self.stores.mysql, "mysql"),
            (&*self.stores.redis, "redis"),
        ] {
            copy_folder(&server.data_dir(), &place.join(name))?;
        }
        Ok(place)
    }
}
