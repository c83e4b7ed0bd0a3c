//! Weights in safetensors files, matched by name and shape.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::nn::VarStore;
use tch::{TchError, Tensor};

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file is missing, torn, or not safetensors.
    #[error("cannot read weights from `{path}`, expected a safetensors file")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: TchError,
    },
    /// The file could not be written.
    #[error("cannot write weights to `{path}`: check that the folder exists and has room")]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: TchError,
    },
    /// The file was written but could not be put in its place.
    #[error("cannot put weights in their place at `{path}`")]
    Rename {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// A tensor could not be copied into the network.
    #[error("cannot copy tensor `{name}` from `{path}`")]
    Copy {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: TchError,
    },
}

/// A tensor that is in file and network, in two shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The tensor.
    pub name: String,
    /// Its shape in the network.
    pub expected: Vec<i64>,
    /// Its shape in the file.
    pub found: Vec<i64>,
}

/// What became of each tensor, by name in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Copied from the file.
    pub loaded: Vec<String>,
    /// In the network only: left as they were.
    pub missing: Vec<String>,
    /// In the file only.
    pub unexpected: Vec<String>,
    /// In both, but left as they were.
    pub shape_mismatch: Vec<ShapeMismatch>,
}

impl LoadReport {
    /// Whether network and file hold exactly the same tensors.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.shape_mismatch.is_empty()
    }
}

/// Writes every tensor of `store` to a safetensors file, which appears whole or not at all.
///
/// # Errors
///
/// [`WeightsError::Write`] or [`WeightsError::Rename`]; a file that was there before stays as it was.
pub fn save(store: &VarStore, path: &Path) -> Result<(), WeightsError> {
    let tensors: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let tensors: Vec<(String, Tensor)> =
        tensors.into_iter().map(|(name, tensor)| (name, tensor.detach().contiguous())).collect();
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    Tensor::write_safetensors(&tensors, &partial)
        .map_err(|source| WeightsError::Write { path: path.to_owned(), source })?;
    fs::rename(&partial, path).map_err(|source| WeightsError::Rename { path: path.to_owned(), source })
}

/// Copies every tensor whose name and shape match from a safetensors file into `store`, and says what became of the rest.
///
/// # Errors
///
/// [`WeightsError::Read`] when the file is not whole, before anything is copied.
pub fn load_matching(store: &VarStore, path: &Path) -> Result<LoadReport, WeightsError> {
    let file = Tensor::read_safetensors(path).map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
    let mut file: BTreeMap<String, Tensor> = file.into_iter().collect();
    let network: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let mut report = LoadReport::default();
    for (name, mut tensor) in network {
        let Some(source) = file.remove(&name) else {
            report.missing.push(name);
            continue;
        };
        if source.size() != tensor.size() {
            report.shape_mismatch.push(ShapeMismatch { name, expected: tensor.size(), found: source.size() });
            continue;
        }
        if let Err(source) = tch::no_grad(|| tensor.f_copy_(&source)) {
            return Err(WeightsError::Copy { name, path: path.to_owned(), source });
        }
        report.loaded.push(name);
    }
    report.unexpected = file.into_keys().collect();
    Ok(report)
}
