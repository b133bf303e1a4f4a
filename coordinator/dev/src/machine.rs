//! Everything on one machine: a folder, the two stores, and the coordinator's configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::api::{self, Api};
use crate::binaries::Binaries;
use crate::coordinator::Coordinator;
use crate::ports::Ports;
use crate::stores::Stores;

/// For a coordinator to have reached both stores, recovery included.
const READY_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const READY_LOOK: Duration = Duration::from_millis(20);

/// The stores, running, and what it takes to run a coordinator on them.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) stores: Stores,
    ports: Ports,
    pub(crate) api: Api,
    tandem: PathBuf,
    folder: PathBuf,
}

impl Machine {
    /// Starts the stores on what `folder` holds, and writes the coordinator's configuration there.
    pub(crate) async fn start(
        binaries: &Binaries,
        folder: &Path,
        ports: Ports,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("create the folder {}", folder.display()))?;
        let folder = fs::canonicalize(folder)?;
        let stores = Stores::start(binaries, &folder, &ports)?;
        stores.seed().await?;
        let machine = Self {
            stores,
            api: Api::new(&ports)?,
            ports,
            tandem: binaries.tandem.clone(),
            folder,
        };
        let config = machine.config();
        fs::write(&config, machine.settings())
            .with_context(|| format!("write {}", config.display()))?;
        // Each run has a log of its own, or it would grow for as long as the data is kept.
        let log = machine.log();
        fs::write(&log, "").with_context(|| format!("write {}", log.display()))?;
        Ok(machine)
    }

    /// Starts a coordinator and returns once it has reached both stores. `at` as in
    /// [`Coordinator::start`].
    pub(crate) async fn coordinator(&mut self, at: Option<&str>) -> anyhow::Result<Coordinator> {
        self.ports.release();
        let mut coordinator = Coordinator::start(&self.tandem, &self.config(), &self.log(), at)?;
        let deadline = Instant::now() + READY_MAX;
        loop {
            if let Some(status) = coordinator.ended()? {
                bail!(
                    "the coordinator did not start ({status}); the end of its log, {}:\n{}",
                    self.log().display(),
                    coordinator.log_tail()
                );
            }
            let trouble = match self.api.troubles().await {
                Ok(troubles) if troubles.is_empty() => return Ok(coordinator),
                Ok(troubles) => troubles.join("\n"),
                Err(status) => status.message().to_owned(),
            };
            if Instant::now() >= deadline {
                bail!(
                    "the coordinator was not ready within {} s: {trouble}\nthe end of its log, \
                     {}:\n{}",
                    READY_MAX.as_secs(),
                    self.log().display(),
                    coordinator.log_tail()
                );
            }
            tokio::time::sleep(READY_LOOK).await;
        }
    }

    /// The program that the coordinator is.
    pub(crate) fn tandem(&self) -> &Path {
        &self.tandem
    }

    /// Where clients connect.
    pub(crate) fn clients(&self) -> String {
        api::url(self.ports.clients)
    }

    /// Where operators connect.
    pub(crate) fn operators(&self) -> String {
        api::url(self.ports.operators)
    }

    /// The coordinator's log on what happens (not its decision log).
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("coordinator.log")
    }

    /// Where all data is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The coordinator's configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("tandem.toml")
    }

    fn settings(&self) -> String {
        let Ports {
            clients, operators, ..
        } = &self.ports;
        format!(
            "\
# Written by `tandem dev` at each start, so changes are lost. What each key means, and all the
# others, is in tandem.example.toml.

[coordinator]
id = \"dev\"
data_dir = \"decisions\"
listen = \"127.0.0.1:{clients}\"
admin_listen = \"127.0.0.1:{operators}\"

# Somebody is watching: come back soon from a failure, and don't take long to stop.
[limits]
retry_backoff_max_ms = 500
shutdown_timeout_ms = 2000

[participants.mysql.mysql]
url = \"{}\"

[participants.redis.redis]
url = \"{}\"
stock_key = \"stock:{{sku}}\"
",
            self.stores.mysql_url(),
            self.stores.redis.url(),
        )
    }
}
