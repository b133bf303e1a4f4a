//! `tandem log inspect`.

mod page;

use std::path::PathBuf;

use super::content::Shown;
use super::output::{self, Output};
use super::table::width;
use super::{VerbFailure, log_compare};
use crate::config::Config;
use page::Page;

/// What the verb says of itself.
pub(super) const ABOUT: &str = "\
Read a decision log while no coordinator runs on it, without changing anything in its folder.

Says whose log it is, what is damaged in it, which decisions have not been carried out everywhere,
and what must be done about each at each store. Whether the folder is the newest copy of the log it
can't know: given two folders, it says what each knows that the other does not.";

/// Arguments of `tandem log inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The log's folder: coordinator.data_dir of the configuration; or two, of which one is a copy of the
    /// other or both are copies of a third, to be told which knows more
    #[arg(value_name = "DIR", required = true, num_args = 1..=2)]
    dirs: Vec<PathBuf>,
    /// The coordinator's configuration, which says what kind of store each participant is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Also print every record
    #[arg(long)]
    records: bool,
    #[command(flatten)]
    shown: Shown,
    /// How data is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Args {
    pub(super) fn run(self) -> Result<(), VerbFailure> {
        let config = self.config.as_deref().map(Config::load).transpose()?;
        let dir = match &self.dirs[..] {
            [one, other] => return log_compare::run(one, other, self.output, self.shown),
            [dir, ..] => dir,
            [] => return Err(VerbFailure::Usage("a folder is needed".into())),
        };
        let found = tandem_log::inspect(dir).map_err(anyhow::Error::from)?;
        let participants = config.as_ref().map(|config| &config.participants);
        let page = Page::of(&found, participants, self.records, self.shown);
        match self.output {
            Output::Json => output::json(&page.json())?,
            Output::Table => output::data(&page.text(width()))?,
        }
        if page.damage.is_empty() {
            Ok(())
        } else {
            Err(VerbFailure::Negative(
                "the log is damaged and no coordinator will start on it: a damaged log must not \
                 be trusted to say which purchases are decided. Keep the folder as it is."
                    .into(),
            ))
        }
    }
}
