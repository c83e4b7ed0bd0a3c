//! `cargo xtask protocol`: takes the protocol as it is now for released, which later changes must not break.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::clients;
use crate::places::Places;

/// The descriptors of the protocol as it was released, from the root of the checkout.
const RELEASED: &str = "proto/released.binpb";

/// Writes the image that `tests/protocol.rs` compares with, unless the protocol breaks the one that is there.
pub(crate) fn release() -> Result<()> {
    let places = Places::find()?;
    let clients = clients::install(&places)?;
    let buf = |arguments: &[&str]| run(&clients.join("bin/buf"), &places.checkout, arguments);
    if places.checkout.join(RELEASED).exists() {
        buf(&["breaking", "proto", "--against", RELEASED])
            .with_context(|| format!("the protocol breaks what was released; if it must, remove `{RELEASED}` first"))?;
    }
    // Comments may change at any time.
    buf(&["build", "proto", "--path", "proto/vismae/v1", "--exclude-source-info", "--output", RELEASED])?;
    println!("wrote {RELEASED}");
    Ok(())
}

fn run(buf: &Path, checkout: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new(buf).args(arguments).current_dir(checkout).status().context("`buf` cannot be started")?;
    if !status.success() {
        bail!("`buf {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}
