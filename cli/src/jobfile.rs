//! Job files: TOML that describes a pipeline, read so that every mistake is named at once.
//!
//! The annotated example is `examples/demo.toml`. Relative paths in a file start at the file's own folder.

mod document;
mod fault;
mod pipeline;
mod repair;
mod schema;
mod sweep;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vismae_core::ids::NamespaceName;
use vismae_core::spec::PipelineSpec;

use document::Document;
pub use fault::{Fault, FaultKind, Faults, Place};
pub(crate) use pipeline::locate_store;
pub(crate) use schema::{
    DEFAULT_CT_WINDOW, DEFAULT_IMAGE_SIZE, DEFAULT_LANES, DEFAULT_MINIMUM_CONTENT, DEFAULT_PERCENTILES,
};

/// What the command line says in place of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// A folder or an object-store URL in place of `store`.
    pub store: Option<String>,
    /// The folder that relative `corpus.inputs` start at, in place of the file's own.
    pub data: Option<PathBuf>,
    /// Folders and CSV manifests in place of `corpus.inputs`.
    pub inputs: Vec<PathBuf>,
    /// A priority in place of the file's own.
    pub priority: Option<i32>,
    /// A namespace in place of the file's own.
    pub namespace: Option<NamespaceName>,
    /// Whether it is suspended, though the file does not say so.
    pub suspended: bool,
    /// A deadline in place of the file's own.
    pub deadline: Option<Duration>,
    /// Whether the inputs lie on this machine, so that one that is absent is a fault.
    pub inputs_are_local: bool,
}

/// Why a job file gives no pipeline.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// The file cannot be read.
    #[error("job file `{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has mistakes, all of them listed.
    #[error("{}", list(path, faults))]
    Faulty {
        /// The file.
        path: PathBuf,
        /// Every mistake found.
        faults: Faults,
    },
}

/// Reads a job file and checks it as a whole.
///
/// # Errors
/// [`JobFileError`], which names every unknown key, wrong type, missing key and broken rule at once.
pub fn load(path: &Path, overrides: &Overrides) -> Result<PipelineSpec, JobFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| JobFileError::Read { path: path.to_owned(), source })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder, overrides).map_err(|faults| JobFileError::Faulty { path: path.to_owned(), faults })
}

/// Reads the text of a job file that lies in `folder`.
///
/// # Errors
/// Every fault of the text, in the order of its lines.
pub fn parse(text: &str, folder: &Path, overrides: &Overrides) -> Result<PipelineSpec, Faults> {
    let (document, mut faults) = Document::parse(text);
    let mut reading = repair::read(&document);
    let mut spec = None;
    if let Some(file) = reading.file.take() {
        match pipeline::build(file, folder, overrides) {
            Ok((built, broken)) => {
                let mut broken = broken;
                broken.retain(|fault| !reading.may_be_caused_by_stand_in(&fault.place));
                reading.faults.extend(broken);
                spec = Some(built);
            }
            Err(invalid) => faults.push(Fault {
                place: Place::root(),
                line: None,
                kind: FaultKind::BrokenRule,
                message: invalid.to_string(),
            }),
        }
    }
    faults.extend(reading.faults);
    faults.locate(|place| document.line(place));
    faults.drop_echoes();
    match spec {
        Some(spec) if faults.is_empty() => Ok(spec),
        _ => Err(faults),
    }
}

fn list(path: &Path, faults: &Faults) -> String {
    let mistakes = if faults.len() == 1 { "1 mistake" } else { &format!("{} mistakes", faults.len()) };
    let mut text = format!("job file `{}` has {mistakes}", path.display());
    for fault in faults.iter() {
        let at = fault.line.map(|line| format!(":{line}")).unwrap_or_default();
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n  {}{at}: {fault}", path.display());
    }
    text
}

#[cfg(test)]
mod tests;
