//! Examples of what the masked autoencoder makes of images it has never been trained on.

use tch::{Kind, Tensor};
use vismae_core::ids::Epoch;
use vismae_core::spec::{Modality, PretrainSpec, Selection};
use vismae_model::{MEAN, Mode, STANDARD_DEVIATION, SwinMae, denormalise_images, mask, patchify, unpatchify};
use vismae_shards::frame::Frame;
use vismae_shards::loader::{Batch, Needs};
use vismae_shards::manifest::Manifest;
use vismae_shards::runs::Reconstruction;
use vismae_shards::split::Split;

use super::batch::TensorBatch;
use super::error::TaskError;
use super::{TaskContext, artefacts, data};

/// Examples of each modality.
const EXAMPLES: u64 = 4;
/// What hidden patches are shown as: mid-grey.
const BLANK: f64 = 0.5;

/// Writes originals, masked images and reconstructions of every modality that the run has seen and that has images to
/// validate on.
pub(super) fn examples(
    context: &TaskContext,
    spec: &PretrainSpec,
    manifest: &Manifest,
    model: &SwinMae,
) -> Result<Vec<Reconstruction>, TaskError> {
    let mut written = Vec::new();
    for modality in Modality::ALL {
        let split = [Split::Val, Split::Test].into_iter().find(|split| {
            manifest.shards.iter().any(|shard| shard.modality == modality && shard.split == *split && shard.rows > 0)
        });
        let wanted = spec.selection.modalities.is_empty() || spec.selection.modalities.contains(&modality);
        let (Some(split), true) = (split, wanted) else { continue };
        let selection = Selection { modalities: vec![modality], sources: spec.selection.sources.clone() };
        let Ok(dataset) = data::open(context, manifest, split, &selection, Needs::Any) else {
            tracing::info!(%modality, "no image to reconstruct among the sources selected");
            continue;
        };
        let rows = dataset.spread(EXAMPLES);
        let batch =
            context.runtime.block_on(dataset.read(&rows)).map_err(|error| TaskError::environment_from(&error))?;
        written.extend(reconstruct(context, spec, model, modality, &batch)?);
    }
    Ok(written)
}

fn reconstruct(
    context: &TaskContext,
    spec: &PretrainSpec,
    model: &SwinMae,
    modality: Modality,
    batch: &Batch,
) -> Result<Vec<Reconstruction>, TaskError> {
    let (config, device) = (model.config(), context.device.to_tch());
    let tensors = TensorBatch::new(batch, spec.seed, Epoch(0), device);
    let hidden = mask::draw(&tensors.keys, config, device);
    let (masked, reconstructed, losses) = tch::no_grad(|| {
        let output = model.forward(&tensors.images, &hidden, Mode::Evaluate);
        let reconstructed = model.reconstruct(&tensors.images, &hidden, &output.prediction);
        let target = patchify(&tensors.images, config.patch_size);
        let error = (patchify(&reconstructed, config.patch_size) - &target).square().mean_dim(2, false, Kind::Float);
        let losses = error.sum_dim_intlist(1, false, Kind::Float) / hidden.sum_dim_intlist(1, false, Kind::Float);
        let blank = Tensor::full_like(&target, (BLANK - MEAN) / STANDARD_DEVIATION);
        let hide = hidden.unsqueeze(2);
        let masked = unpatchify(&(&target * (1.0 - &hide) + blank * &hide), config.patch_size, config.in_channels);
        (denormalise_images(&masked), denormalise_images(&reconstructed), losses)
    });
    (0..batch.len())
        .map(|index| {
            let at = index as i64;
            let side = (batch.size as usize).pow(2);
            let original =
                Frame::gray8(batch.size, batch.size, batch.images[index * side..(index + 1) * side].to_vec())
                    .map_err(|error| TaskError::input_from(&error))?;
            let name = |kind: &str| format!("{}-{index}-{kind}", modality.word().to_lowercase());
            Ok(Reconstruction {
                modality: modality.word().to_owned(),
                original: artefacts::put_figure(context, &name("original"), &original)?,
                masked: artefacts::put_figure(context, &name("masked"), &artefacts::to_frame(&masked.get(at))?)?,
                reconstructed: artefacts::put_figure(
                    context,
                    &name("reconstructed"),
                    &artefacts::to_frame(&reconstructed.get(at))?,
                )?,
                loss: Some(losses.double_value(&[at])),
            })
        })
        .collect()
}
