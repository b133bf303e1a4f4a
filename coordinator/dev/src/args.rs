//! The command line of `tandem dev`.

use std::path::PathBuf;

/// What `tandem dev --help` says at length.
pub const ABOUT: &str = "\
Run everything on this machine, to try it

Starts a MariaDB (or MySQL) and a Redis (or Valkey) of its own from the machine's own binaries, on
127.0.0.1 and in a folder of their own, with a table for purchases and some stock, and the
coordinator over both. Prints where they are and two commands to try. Ctrl-C stops all of it; the
data stays for the next time.";

/// Arguments of `tandem dev`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Install the servers that are missing with apt-get first
    #[arg(long)]
    pub install: bool,
    /// Install without asking
    #[arg(long, requires = "install")]
    pub yes: bool,
    /// Play a story of crashes on fresh servers in a temporary folder; exit 0 if each step was
    /// found right in both stores
    #[arg(long, conflicts_with_all = ["data_dir", "port"])]
    pub demo: bool,
    /// Where the data goes [default: tandem-dev in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where clients connect; operators connect one above it, then come the two stores [default:
    /// 7650, or other ports where these are taken]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_532))]
    pub port: Option<u16>,
}
