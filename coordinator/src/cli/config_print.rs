//! `tandem config print`.

use toml::Table;

use super::VerbFailure;
use super::config_file::{ConfigArgs, ConfigFile};
use super::output;
use crate::config::{Override, print};

pub(super) const ABOUT: &str = "\
Print a configuration as it takes effect, every setting with a comment

What is printed is a file of its own. A secret is shown as where it comes from (password_file, ${NAME}); one that \
stands in the file itself as ***.";

/// Arguments of `tandem config print`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: Option<ConfigArgs>,
    /// Print the defaults, with an example of what has none and must be said
    #[arg(long, conflicts_with = "config", required_unless_present = "config")]
    defaults: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), VerbFailure> {
        let Some(args) = self.file else {
            return output::data(&print::defaults());
        };
        ConfigFile::load(&args)?;
        let text = std::fs::read_to_string(&args.config).map_err(anyhow::Error::from)?;
        let mut file: Table = text.parse().map_err(anyhow::Error::from)?;
        for one in Override::of_environment().iter().chain(&args.set) {
            one.put_into_table(&mut file);
        }
        output::data(&print::effective(&file))
    }
}
