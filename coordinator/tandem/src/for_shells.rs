//! What shells and `man` want to know of the command line.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use tandem::cli::{VerbFailure, output};
use tandem_command_line::Cli;

/// What makes a shell complete commands.
pub(crate) fn completions(shell: Shell) -> Result<(), VerbFailure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tandem", &mut script);
    output::data(&String::from_utf8_lossy(&script))
}

/// A man page for each verb, into a folder that is made if need be.
pub(crate) fn man(folder: &Path) -> Result<(), VerbFailure> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("write man pages into {}", folder.display()))?;
    output::note(&format!("written: man {}/tandem.1", folder.display()));
    Ok(())
}
