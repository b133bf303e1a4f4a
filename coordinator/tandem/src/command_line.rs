//! What the binary takes on its command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use tandem::cli::{Client, Config, Help, Log, Stores, doctor, exit_codes, participant, serve};

/// Makes a purchase atomic over MySQL and Redis.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, after_help = exit_codes())]
pub struct Cli {
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// Every verb of the binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the coordinator
    Serve(serve::Args),
    /// Run a participant beside its store, for a coordinator elsewhere
    #[command(subcommand)]
    Participant(participant::SidecarKind),
    /// Run everything on this machine, to try it
    #[command(long_about = tandem_dev::ABOUT)]
    Dev(tandem_dev::Args),
    /// Look at a decision log while no coordinator runs on it
    #[command(subcommand)]
    Log(Log),
    /// Print what makes a shell complete commands: tandem completions bash > FILE
    #[command(after_help = exit_codes())]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write a man page for each verb into a folder
    #[command(after_help = exit_codes())]
    Man {
        /// The folder; it is made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Name the steps at which a process can be told to die, for tests of recovery
    #[command(hide = true)]
    Steps,
    /// Check a configuration before it is used
    #[command(subcommand)]
    Config(Config),
    /// A verb that asks the stores themselves.
    #[command(flatten)]
    Stores(Stores),
    /// A verb that asks nobody.
    #[command(flatten)]
    Help(Help),
    /// Find what keeps a coordinator from its work, and what mends it
    #[command(long_about = doctor::ABOUT, after_help = doctor::EXIT_CODES)]
    Doctor(doctor::Args),
    /// A verb that asks a running coordinator.
    #[command(flatten)]
    Client(Box<Client>),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
