//! `tandem doctor`.

use serde_json::json;

use super::config_file::{ConfigArgs, ConfigFile, StoreSettings};
use super::output::{self, Output};
use super::{VerbFailure, status};
use crate::doctor::{self, Found, Report, Severity, Subject};

/// What the verb says of itself.
pub const ABOUT: &str = "\
Find what keeps a coordinator from its work, at its stores and on its machine, and what mends it

Takes the file of `tandem serve` or of `tandem participant`. Looks at all that `tandem config check` does, and at \
the user's rights, the clocks, the ports, the log and the room for it; and tries a transaction at each store, on \
rows and keys of tandem's own that no coordinator uses: one that is committed and one that is rolled back, of \
which nothing stays. Beside each finding stands the statement or the setting that mends it. It may be run while \
the coordinator runs.";

/// What its exit codes say.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  a coordinator can work with it; what is accepted, or only to be known, is printed
  1  something is unsafe, or keeps a coordinator from working, until it is mended or accepted
  2  refused: the file breaks a rule, a statement can't run, the log is damaged; or the command line is
     wrong
  3  nothing of this was found, and a store could not be asked";

/// Arguments of `tandem doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigArgs,
    /// Print the least that the stores' users must be allowed, of all or of this participant's, as statements for
    /// the stores' own clients, and connect to nothing
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    grants: Option<Option<String>>,
    /// How data is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Args {
    /// Looks, tries, and prints what was found.
    ///
    /// # Errors
    /// [`VerbFailure`], to be shown by [`finish`](super::finish).
    pub fn run(self) -> Result<(), VerbFailure> {
        super::on_one_thread(self.examine())
    }

    async fn examine(self) -> Result<(), VerbFailure> {
        if let Some(of) = &self.grants {
            return self.print_grants(of.as_deref());
        }
        let mut report = Report::default();
        match self.look(&mut report).await {
            Ok(()) => {}
            Err(VerbFailure::Config(error)) => {
                let mut file = Subject::named(self.file.config.display().to_string());
                file.found.push(Found {
                    name: "CONFIGURATION".into(),
                    severity: Severity::Refused,
                    detail: status::causes(&error),
                    remedies: Vec::new(),
                });
                report.subjects.push(file);
            }
            Err(other) => return Err(other),
        }
        match self.output {
            Output::Json => output::json(&report.json())?,
            Output::Table => output::data(&report.text())?,
        }
        verdict(report.worst())
    }

    async fn look(&self, report: &mut Report) -> Result<(), VerbFailure> {
        let file = ConfigFile::load(&self.file)?;
        doctor::look_at_secrets(&self.file.config, file.warnings(), report);
        doctor::look_at_stores(&file.participants()?, report).await;
        if let ConfigFile::Daemon(config) = &file {
            doctor::look_at_machine(config, report).await;
        }
        Ok(())
    }

    /// The statements alone go to stdout, so that a store's client can be given them.
    fn print_grants(&self, of: Option<&str>) -> Result<(), VerbFailure> {
        let file = ConfigFile::load(&self.file)?;
        let mut stores = file.stores();
        stores.retain(|(name, _)| of.is_none_or(|of| of == name.as_str()));
        if stores.is_empty() {
            return Err(VerbFailure::Usage(
                "the file has no such store; that of a sidecar is in its own file".into(),
            ));
        }
        let mut lines = Vec::new();
        for (name, settings) in stores {
            let (grants, note) = match settings {
                StoreSettings::Mysql(one) => {
                    (one.grants().map_err(anyhow::Error::from)?, MYSQL_NOTE)
                }
                StoreSettings::Redis(one) => {
                    (one.grants().map_err(anyhow::Error::from)?, REDIS_NOTE)
                }
            };
            output::note(&format!("{name}: {note}"));
            lines.extend(grants);
        }
        match self.output {
            Output::Table => output::data(&lines.join("\n")),
            Output::Json => output::json(&json!({ "grants": lines })),
        }
    }
}

const MYSQL_NOTE: &str = "for the client of MariaDB or MySQL; CREATE USER comes before, with the host that tandem \
                          connects from in place of %";

const REDIS_NOTE: &str =
    "for redis-cli; the user's password stays as it is, and a new user is given one by >PASSWORD";

fn verdict(worst: Option<Severity>) -> Result<(), VerbFailure> {
    match worst {
        Some(Severity::Refused) => Err(VerbFailure::Unusable),
        Some(Severity::Unsafe) => Err(VerbFailure::Negative(String::new())),
        Some(Severity::Unasked) => Err(VerbFailure::Unasked),
        Some(Severity::Accepted | Severity::Told) | None => Ok(()),
    }
}
