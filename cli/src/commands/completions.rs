//! `vismae completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde::Serialize;

use super::Cli;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::Format;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Shell that is to complete
    shell: Shell,
}

#[derive(Debug, Serialize)]
struct CompletionsView {
    shell: String,
    script: String,
}

pub(super) fn run(options: &Options, format: Format) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "vismae", &mut script);
    let script = String::from_utf8(script).or_fail(Exit::WorkFailed)?;
    format
        .result(&CompletionsView { shell: options.shell.to_string(), script }, |view| view.script.trim_end().to_owned())
}
