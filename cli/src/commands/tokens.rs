//! `vismae tokens`: tokens that an access file knows by their hash.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use vismae_coordinator::access::Grant;

use super::certs::write_secret;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::Format;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Write a new token to a file, and its entry for the access file to standard output
    New(New),
}

#[derive(Debug, Args)]
struct New {
    /// Who will hold it, as audit logs show
    name: String,
    /// Role in a namespace, as `research:submitter` or `*:viewer`, of viewer, submitter, operator, admin; may be given again
    #[arg(long = "grant", value_name = "NAMESPACE:ROLE", required = true)]
    grants: Vec<Grant>,
    /// File to write the token to, for its holder's eyes only; commands read it with `--token-file`
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

#[derive(Debug, Serialize)]
struct TokenView {
    token_file: PathBuf,
    /// What the access file must hold, in TOML.
    entry: String,
}

#[derive(Serialize)]
struct Section {
    token: [Entry; 1],
}

/// As `vismae_coordinator::access` reads it.
#[derive(Serialize)]
struct Entry {
    name: String,
    sha256: String,
    grants: Vec<String>,
}

pub(super) fn run(options: &Options, format: Format) -> Result<(), Failure> {
    let Task::New(new) = &options.task;
    if new.token_file.exists() {
        let path = new.token_file.display();
        return Err(Failure::new(Exit::Usage, format!("`{path}` is there already, expected a new file")));
    }
    // Twice 122 bits nobody can guess.
    let token = format!("vismae_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let sha256 = Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = Entry { name: new.name.clone(), sha256, grants: new.grants.iter().map(ToString::to_string).collect() };
    let entry = toml::to_string(&Section { token: [entry] }).or_fail(Exit::WorkFailed)?;
    write_secret(&new.token_file, &token)?;
    format.result(&TokenView { token_file: new.token_file.clone(), entry }, |view| view.entry.trim_end().to_owned())
}
