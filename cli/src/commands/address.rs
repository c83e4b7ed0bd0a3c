//! Which coordinator a command talks to, and how the two come to believe each other.

use std::path::PathBuf;

use clap::Args;
use vismae_proto::client::{Bearer, Trust};

use crate::client::Coordinator;
use crate::failure::{Exit, Failure, OrFail as _};

/// The environment variable with a token. There is no option for it: other users of this machine can read command lines.
const TOKEN: &str = "VISMAE_TOKEN";

/// Which coordinator a command talks to.
#[derive(Debug, Args)]
pub(super) struct CoordinatorAddress {
    /// URL of the coordinator
    #[arg(long, value_name = "URL", env = "VISMAE_COORDINATOR", default_value = "http://127.0.0.1:7340")]
    coordinator: String,
    /// PEM of the authority that signed the coordinator's certificate [default: those of the system]
    #[arg(long, value_name = "FILE", env = "VISMAE_CA")]
    ca: Option<PathBuf>,
    /// File with the token to send; VISMAE_TOKEN may hold the token itself
    #[arg(long, value_name = "FILE", env = "VISMAE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl CoordinatorAddress {
    /// Connects to it.
    pub(super) async fn connect(&self) -> Result<Coordinator, Failure> {
        let bearer = Bearer::new(self.token()?.as_deref(), &self.coordinator).or_fail(Exit::Usage)?;
        let trust = Trust { ca: self.ca.clone(), identity: None };
        Coordinator::connect(&self.coordinator, &trust, bearer).await
    }

    /// The token as it is in its file, or else in the environment.
    fn token(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.token_file else {
            return Ok(std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()));
        };
        let read = std::fs::read_to_string(path).map(|token| Some(token.trim().to_owned()));
        read.map_err(|error| Failure::new(Exit::Usage, format!("token file `{}`: {error}", path.display())))
    }
}
