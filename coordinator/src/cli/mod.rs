//! The verbs of the command line. One verb, one file; what a verb prints is a pure function of what
//! the server answered. The binary puts them together.
//!
//! Data goes to stdout, everything else to stderr.

mod address;
mod advice;
mod audit;
mod config_check;
pub mod config_file;
mod config_print;
mod connection;
mod content;
mod credentials;
pub mod doctor;
mod exit;
mod explain;
mod forgotten;
mod json;
mod log_advice;
mod log_compare;
mod log_inspect;
mod log_record;
mod log_replayed;
mod log_work;
pub(crate) mod names;
pub mod output;
pub mod participant;
mod participants;
mod participants_retry;
mod person;
mod purchase;
mod purchase_get;
mod purchase_list;
mod purchase_submit;
mod recover;
#[cfg(test)]
mod samples;
pub mod serve;
mod status;
pub mod steps;
mod stock;
mod table;
mod time;
mod tx_list;
mod tx_repair;
mod tx_repair_all;
mod tx_retry;
mod tx_settle;
mod tx_show;
mod verb_failure;

use std::process::ExitCode;

use clap::Subcommand;
use output::Output;

pub(crate) use exit::Exit;
pub use exit::exit_codes;
pub(crate) use status::code_name;
pub(crate) use verb_failure::FailureKind;
pub use verb_failure::VerbFailure;

/// `tandem log …`
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Read a decision log offline, and say what must be done at each store
    #[command(long_about = log_inspect::ABOUT, after_help = exit_codes())]
    Inspect(log_inspect::Args),
}

impl Log {
    /// Reads, and prints what was found.
    ///
    /// # Errors
    /// [`VerbFailure`], to be shown by [`finish`].
    pub fn run(self) -> Result<(), VerbFailure> {
        match self {
            Log::Inspect(args) => args.run(),
        }
    }
}

/// `tandem config …`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check a configuration file, and its stores, without leaving a trace
    #[command(long_about = config_check::ABOUT, after_help = config_check::EXIT_CODES)]
    Check(config_check::Args),
    /// Print a configuration as it takes effect, every setting with a comment
    #[command(long_about = config_print::ABOUT, after_help = exit_codes())]
    Print(config_print::Args),
}

impl Config {
    /// Looks at the file, and prints what it is told to.
    ///
    /// # Errors
    /// [`VerbFailure`], to be shown by [`finish`].
    pub fn run(self) -> Result<(), VerbFailure> {
        match self {
            Config::Check(args) => on_one_thread(args.run()),
            Config::Print(args) => args.run(),
        }
    }
}

/// The verbs that ask the stores themselves, whether a coordinator runs or not.
#[derive(Debug, Subcommand)]
pub enum Stores {
    /// What each store holds of transactions that have not ended, what is to become of it, and why
    #[command(long_about = recover::ABOUT, after_help = recover::EXIT_CODES)]
    Recover(recover::Args),
}

impl Stores {
    /// Asks, and prints the answer.
    ///
    /// # Errors
    /// [`VerbFailure`], to be shown by [`finish`].
    pub fn run(self) -> Result<(), VerbFailure> {
        match self {
            Stores::Recover(args) => on_one_thread(args.run()),
        }
    }
}

/// The verbs that ask nobody.
#[derive(Debug, Subcommand)]
pub enum Help {
    /// What a code means that tandem prints, how it comes about, and what to do
    #[command(long_about = explain::ABOUT, after_help = exit_codes())]
    Explain(explain::Args),
}

impl Help {
    /// Prints what is known.
    ///
    /// # Errors
    /// [`VerbFailure`], to be shown by [`finish`].
    pub fn run(self) -> Result<(), VerbFailure> {
        match self {
            Help::Explain(args) => args.run(),
        }
    }
}

/// The verbs that ask a running coordinator.
#[derive(Debug, Subcommand)]
pub enum Client {
    /// Look at transactions that have not ended, and end them
    #[command(subcommand)]
    Tx(Tx),
    /// The stores that take part: whether they are up, and what is unsafe about them
    #[command(after_help = exit_codes())]
    Participants(participants::Args),
    /// Compare every purchase of a time with what the stores hold, live
    #[command(long_about = audit::ABOUT, after_help = audit::EXIT_CODES)]
    Audit(audit::Args),
    /// Units of one sku: in stock, held and by whom, available
    #[command(after_help = exit_codes())]
    Stock(stock::Args),
    /// Submit a purchase, or ask what became of one or of many
    #[command(subcommand)]
    Purchase(Purchase),
}

/// `tandem tx …`
#[derive(Debug, Subcommand)]
pub enum Tx {
    /// Transactions that have not ended, oldest first
    #[command(after_help = exit_codes())]
    List(tx_list::Args),
    /// One transaction: its timeline, and each participant's own truth beside the coordinator's
    #[command(after_help = exit_codes())]
    Show(tx_show::Args),
    /// Try now what waits for its back-off
    #[command(after_help = exit_codes())]
    Retry(tx_retry::Args),
    /// Redo from the decision what a store has ended against it, after a preview
    #[command(long_about = tx_repair::ABOUT, after_help = exit_codes())]
    Repair(Box<tx_repair::Args>),
    /// Record by hand how a branch ended, after a preview
    #[command(long_about = tx_settle::ABOUT, after_help = exit_codes())]
    Settle(tx_settle::Args),
}

/// `tandem purchase …`
#[derive(Debug, Subcommand)]
pub enum Purchase {
    /// Submit a purchase; safe to repeat with the same --id
    #[command(after_help = exit_codes())]
    Submit(Box<purchase_submit::Args>),
    /// What became of a purchase
    #[command(after_help = exit_codes())]
    Get(purchase_get::Args),
    /// Purchases that were decided, newest first, as long as the log remembers them
    #[command(after_help = exit_codes())]
    List(purchase_list::Args),
}

impl Client {
    /// Asks, and prints the answer.
    ///
    /// # Errors
    /// [`VerbFailure`], to be shown by [`finish`].
    pub fn run(self) -> Result<(), VerbFailure> {
        on_one_thread(async {
            match self {
                Client::Tx(Tx::List(args)) => args.run().await,
                Client::Tx(Tx::Show(args)) => args.run().await,
                Client::Tx(Tx::Retry(args)) => args.run().await,
                Client::Tx(Tx::Repair(args)) => args.run().await,
                Client::Tx(Tx::Settle(args)) => args.run().await,
                Client::Participants(args) => args.run().await,
                Client::Audit(args) => args.run().await,
                Client::Stock(args) => args.run().await,
                Client::Purchase(Purchase::Submit(args)) => args.run().await,
                Client::Purchase(Purchase::Get(args)) => args.run().await,
                Client::Purchase(Purchase::List(args)) => args.run().await,
            }
        })
    }
}

fn on_one_thread(verb: impl Future<Output = Result<(), VerbFailure>>) -> Result<(), VerbFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)?;
    runtime.block_on(verb)
}

/// Says on stderr, by `note`, what failed, if anything did, to a program on stdout too, and gives the exit
/// code.
pub fn finish(done: Result<(), VerbFailure>, form: Output, note: impl FnOnce(&str)) -> ExitCode {
    let Err(failure) = done else {
        return ExitCode::SUCCESS;
    };
    if form == Output::Json {
        output::failure(&failure.document());
    }
    let text = failure.to_string();
    if !text.is_empty() {
        note(&text);
    }
    failure.exit_code()
}
