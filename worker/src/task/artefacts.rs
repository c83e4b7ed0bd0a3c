//! What a task leaves in the store: weights, steps, figures, and the results that say the rest is whole.

use bytes::Bytes;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_core::spec::ModelSpec;
use vismae_shards::frame::Frame;
use vismae_shards::frame::pgm;
use vismae_shards::runs::{Artefact, Results, RunPaths, StepRow, write_steps};

use super::error::TaskError;
use super::{TaskContext, network};

/// What the weights of a run are for, as `config.json` names it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
#[serde(tag = "architecture")]
pub(super) enum Architecture {
    /// The masked autoencoder.
    #[serde(rename = "swin_mae")]
    MaskedAutoencoder,
    /// Encoder and a linear head over the mean token.
    #[serde(rename = "swin_classifier")]
    Classifier {
        /// Outputs of the head.
        classes: i64,
    },
    /// Encoder, decoder with skip connections, a class for each pixel.
    #[serde(rename = "swin_segmenter")]
    Segmenter {
        /// Outputs for each pixel, the background included.
        classes: i64,
    },
}

/// The file that says how to build the network the weights belong to.
#[derive(serde::Serialize)]
struct ConfigFile {
    #[serde(flatten)]
    architecture: Architecture,
    /// Mean and standard deviation that inputs in 0 to 1 are normalised by.
    mean: f64,
    standard_deviation: f64,
    #[serde(flatten)]
    shape: vismae_model::SwinConfig,
}

pub(super) fn paths(context: &TaskContext) -> RunPaths {
    RunPaths::new(&context.id.job.to_string())
}

/// Takes back what an earlier attempt or an earlier run of this name came to, before any of its files are replaced: results
/// never stand beside weights they don't belong to.
pub(super) fn retract_results(context: &TaskContext) -> Result<(), TaskError> {
    let path = paths(context).results();
    context.runtime.block_on(context.store.delete(&path)).map_err(|error| TaskError::environment_from(&error))
}

/// The weights, and how to build the network that they belong to.
pub(super) fn model(
    context: &TaskContext,
    variables: &VarStore,
    spec: &ModelSpec,
    architecture: Architecture,
) -> Result<[Artefact; 2], TaskError> {
    let writing = "writing the model";
    let folder = tempfile::tempdir().map_err(TaskError::while_doing(writing))?;
    let file = folder.path().join("model.safetensors");
    vismae_model::save(variables, &file).map_err(TaskError::while_doing(writing))?;
    let weights = std::fs::read(&file).map_err(TaskError::while_doing(writing))?;
    let config = ConfigFile {
        architecture,
        mean: vismae_model::MEAN,
        standard_deviation: vismae_model::STANDARD_DEVIATION,
        shape: network::config(spec),
    };
    let text = serde_json::to_vec_pretty(&config).map_err(TaskError::while_doing(writing))?;
    let paths = paths(context);
    Ok([Artefact { path: paths.model(), bytes: weights.into() }, Artefact { path: paths.config(), bytes: text.into() }])
}

/// The record of every step.
pub(super) fn steps(context: &TaskContext, rows: &[StepRow]) -> Result<Artefact, TaskError> {
    let table = write_steps(rows).map_err(TaskError::while_doing("writing the steps"))?;
    Ok(Artefact { path: paths(context).metrics(), bytes: table.into() })
}

/// Writes files where people look for them.
pub(super) fn put_all(context: &TaskContext, artefacts: impl IntoIterator<Item = Artefact>) -> Result<(), TaskError> {
    artefacts.into_iter().try_for_each(|Artefact { path, bytes }| put(context, &path, bytes))
}

/// Writes a grey image and gives its path in the store.
pub(super) fn put_figure(context: &TaskContext, name: &str, frame: &Frame) -> Result<String, TaskError> {
    let path = paths(context).figure(name);
    put(context, &path, pgm::encode(frame).into())?;
    Ok(path)
}

/// A `[H, W]` tensor of grey levels, 0 to 255, as a frame.
pub(super) fn to_frame(image: &Tensor) -> Result<Frame, TaskError> {
    let [height, width] = image.size()[..] else {
        return Err(TaskError::environment(format!(
            "a figure of shape `{:?}`, expected height and width",
            image.size()
        )));
    };
    let flat = image.to_device(Device::Cpu).to_kind(Kind::Uint8).reshape([-1]);
    let levels = Vec::<u8>::try_from(flat).map_err(TaskError::while_doing("reading a figure"))?;
    Frame::gray8(width as u32, height as u32, levels).map_err(TaskError::while_doing("drawing a figure"))
}

/// Writes the results: last, because their being there says that everything else is.
pub(super) fn put_results(context: &TaskContext, results: &Results) -> Result<(), TaskError> {
    let text = serde_json::to_vec_pretty(results).map_err(TaskError::while_doing("writing the results"))?;
    put(context, &paths(context).results(), text.into())
}

fn put(context: &TaskContext, path: &str, bytes: Bytes) -> Result<(), TaskError> {
    // Whoever has been told that a job has succeeded finds its files after a loss of power too.
    let put = context.runtime.block_on(context.store.synced().put(path, bytes));
    put.map_err(|error| TaskError::environment_from(&error))
}
