//! PyTorch's own elastic launcher, which loses a worker too.

use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::{once, torch};
use crate::pip::PYTHON;
use crate::setup::Ready;

/// Seconds from the kill of one worker to the next step of all, some times; no seconds where libtorch came without Python.
pub(super) fn measure(ready: &Ready, workers: u8, kills: u32) -> Result<Value> {
    let Some(torch) = torch(ready) else {
        eprintln!("torchrun is left out: libtorch is no part of a Python package here");
        return Ok(json!({ "seconds": [] }));
    };
    eprintln!("torchrun, {kills} times");
    let mut command = Command::new(PYTHON);
    command.arg(ready.places.checkout.join("xtask/bench/peers/elastic.py"));
    command.args([kills.to_string(), workers.to_string()]).env("PYTHONPATH", torch).env("PYTHONDONTWRITEBYTECODE", "1");
    once(command)
}
