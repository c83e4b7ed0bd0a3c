//! The segmentation task: fine-tunes a class for each pixel, and reports on the test split.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_core::ids::Epoch;
use vismae_core::spec::{FinetuneSpec, Modality};
use vismae_model::augment::{Affine, AffineLimits, horizontal_flip};
use vismae_model::loss::segmentation_loss;
use vismae_model::{Mode, Segmenter, metrics};
use vismae_shards::frame::Frame;
use vismae_shards::loader::{Batch, Dataset, Needs};
use vismae_shards::runs::{Overlay, Results, SegmentResults};

use super::artefacts::{self, Architecture};
use super::batch::TensorBatch;
use super::error::TaskError;
use super::finetune::{self, EVALUATION_BATCH, Learner, Splits, Validation};
use super::progress::ProgressMeter;
use super::{Outcome, TaskContext, data, network};

/// Small changes of pose, as the published recipe has them.
const AFFINE: AffineLimits = AffineLimits { degrees: 20.0, shift: 0.1, scale: 0.1 };
/// Test images drawn in the report: spread evenly from the worst to the best.
const OVERLAYS: usize = 12;

pub(super) fn run(context: &TaskContext, spec: &FinetuneSpec) -> Result<Outcome, TaskError> {
    let began = Instant::now();
    let manifest = data::manifest(context, &spec.corpus)?;
    let splits = Splits::open(context, spec, &manifest, Needs::Mask)?;
    let classes = count_classes(context, &splits)?;
    network::seed(spec.seed);
    let device = context.device.to_tch();
    let mut variables = VarStore::new(device);
    let config = network::config(&spec.model);
    let network =
        Segmenter::new(&variables.root(), &config, classes.into()).map_err(|error| TaskError::input_from(&error))?;
    let init = finetune::initialise(context, spec, &mut variables)?;
    let learner = PixelLearner { network, classes, seed: spec.seed, device };

    let Some(fitted) = finetune::fit(context, spec, &splits, &variables, &learner)? else {
        return Ok(Outcome::Stopped);
    };
    ProgressMeter::new(&context.reporter, "evaluating").begin(0, 1);
    let val = learner.predict(context, &splits.val)?;
    let test = learner.predict(context, &splits.test)?;
    let model =
        artefacts::model(context, &variables, &spec.model, Architecture::Segmenter { classes: classes.into() })?;
    let steps = artefacts::steps(context, &fitted.rows)?;
    artefacts::put_all(context, model.into_iter().chain([steps]))?;
    let (sources, modalities) = finetune::selection_words(spec);
    let results = SegmentResults {
        job: context.id.job.to_string(),
        settings: finetune::settings(spec),
        init,
        sources,
        modalities,
        classes: classes.into(),
        train_samples: splits.train.len(),
        val_samples: splits.val.len(),
        test_samples: splits.test.len(),
        epochs: spec.epochs,
        seconds: began.elapsed().as_secs_f64(),
        images_per_second: fitted.images_per_second,
        best_epoch: fitted.best_epoch,
        val_dice: val.dice(),
        dice: test.dice(),
        dice_by_modality: test.dice_by_modality(),
        dice_per_image: test.images.iter().map(|image| image.dice).collect(),
        losses: fitted.losses,
        overlays: overlays(context, &test)?,
    };
    let figures = BTreeMap::from_iter(results.dice.map(|dice| ("dice".to_owned(), dice)));
    artefacts::put_results(context, &Results::Segment(results))?;
    Ok(Outcome::Succeeded(figures))
}

/// Classes of a pixel: one more than the highest in the training masks, the background being 0.
fn count_classes(context: &TaskContext, splits: &Splits) -> Result<u8, TaskError> {
    let highest = highest_class(context, &splits.train)?;
    if highest == 0 {
        return Err(TaskError::input("no training mask has a foreground pixel, expected at least one"));
    }
    for (split, frames) in [("val", &splits.val), ("test", &splits.test)] {
        let found = highest_class(context, frames)?;
        if found > highest {
            return Err(TaskError::input(format!(
                "a mask of `{split}` has class {found}, expected at most {highest}, the highest among the training masks"
            )));
        }
    }
    highest
        .checked_add(1)
        .ok_or_else(|| TaskError::input("a training mask has class 255, expected classes from 0 to 254"))
}

fn highest_class(context: &TaskContext, frames: &Arc<Dataset>) -> Result<u8, TaskError> {
    let mut loader = data::sequential(context, frames, EVALUATION_BATCH)?;
    let mut highest = 0;
    while let Some(batch) = loader.next().map_err(|error| TaskError::environment_from(&error))? {
        highest = batch.masks.iter().flatten().copied().fold(highest, u8::max);
    }
    Ok(highest)
}

/// A segmenter in training.
struct PixelLearner {
    network: Segmenter,
    classes: u8,
    seed: u64,
    device: Device,
}

/// A frame with a foreground class, its true mask and the predicted one.
struct Segmented {
    modality: Modality,
    side: u32,
    image: Vec<u8>,
    truth: Vec<u8>,
    predicted: Vec<u8>,
    /// Mean over the foreground classes that truth or prediction holds.
    dice: f64,
}

/// Predictions for one split.
struct Predictions {
    images: Vec<Segmented>,
    loss: f64,
}

impl PixelLearner {
    fn predict(&self, context: &TaskContext, frames: &Arc<Dataset>) -> Result<Predictions, TaskError> {
        let mut loader = data::sequential(context, frames, EVALUATION_BATCH)?;
        let mut all = Predictions { images: Vec::new(), loss: 0.0 };
        let mut count = 0;
        while let Some(batch) = loader.next().map_err(|error| TaskError::environment_from(&error))? {
            let tensors = TensorBatch::new(&batch, self.seed, Epoch(0), self.device);
            let targets = self.targets(&batch);
            let (classes, loss) = tch::no_grad(|| {
                let scores = self.network.forward(&tensors.images, Mode::Evaluate);
                (scores.argmax(1, false), segmentation_loss(&scores, &targets).double_value(&[]))
            });
            let flat = classes.to_kind(Kind::Uint8).to_device(Device::Cpu).reshape([-1]);
            let predicted = Vec::<u8>::try_from(flat).map_err(TaskError::while_doing("reading predictions"))?;
            all.loss += loss * batch.len() as f64;
            count += batch.len();
            all.images.extend(self.judge(&batch, &predicted));
        }
        all.loss /= count.max(1) as f64;
        Ok(all)
    }

    fn targets(&self, batch: &Batch) -> Tensor {
        let side = i64::from(batch.size);
        let masks = batch.masks.as_deref().unwrap_or_default();
        Tensor::from_slice(masks).view([-1, side, side]).to_device(self.device).to_kind(Kind::Int64)
    }

    /// Frames whose true mask is empty are left out: their Dice would be 1 or 0 by definition, not by skill.
    fn judge(&self, batch: &Batch, predicted: &[u8]) -> Vec<Segmented> {
        let pixels = (batch.size as usize).pow(2);
        let truths = batch.masks.as_deref().unwrap_or_default().chunks(pixels);
        let frames = batch.images.chunks(pixels).zip(truths).zip(predicted.chunks(pixels)).zip(&batch.modalities);
        frames
            .filter(|(((_, truth), _), _)| truth.iter().any(|class| *class > 0))
            .map(|(((image, truth), predicted), modality)| {
                let each: Vec<f64> =
                    (1..self.classes).filter_map(|class| metrics::dice(predicted, truth, class)).collect();
                Segmented {
                    modality: *modality,
                    side: batch.size,
                    image: image.to_vec(),
                    truth: truth.to_vec(),
                    predicted: predicted.to_vec(),
                    dice: metrics::mean(&each).unwrap_or(0.0),
                }
            })
            .collect()
    }
}

impl Learner for PixelLearner {
    fn loss(&self, batch: &Batch) -> Result<Tensor, TaskError> {
        let tensors = TensorBatch::new(batch, self.seed, batch.epoch, self.device);
        let affine = Affine::draw(&tensors.keys, &AFFINE);
        let images = affine.apply_to_images(&horizontal_flip(&tensors.images, &tensors.keys));
        let targets = affine.apply_to_masks(&horizontal_flip(&self.targets(batch), &tensors.keys));
        Ok(segmentation_loss(&self.network.forward(&images, Mode::Train { keys: &tensors.keys }), &targets))
    }

    fn validate(&self, context: &TaskContext, frames: &Arc<Dataset>) -> Result<Validation, TaskError> {
        let predictions = self.predict(context, frames)?;
        Ok(Validation { loss: predictions.loss, merit: predictions.dice().unwrap_or(-predictions.loss) })
    }
}

impl Predictions {
    fn dice(&self) -> Option<f64> {
        metrics::mean(&Vec::from_iter(self.images.iter().map(|image| image.dice)))
    }

    fn dice_by_modality(&self) -> Vec<(String, f64)> {
        let of = |modality| {
            let dices: Vec<f64> =
                self.images.iter().filter(|image| image.modality == modality).map(|image| image.dice).collect();
            metrics::mean(&dices).map(|dice| (modality.word().to_owned(), dice))
        };
        Modality::ALL.into_iter().filter_map(of).collect()
    }
}

/// Writes images with both masks, from the worst to the best.
fn overlays(context: &TaskContext, predictions: &Predictions) -> Result<Vec<Overlay>, TaskError> {
    let mut ranked: Vec<&Segmented> = predictions.images.iter().collect();
    ranked.sort_by(|one, other| one.dice.total_cmp(&other.dice));
    let count = OVERLAYS.min(ranked.len());
    let spread = (0..count).map(|at| ranked[if count > 1 { at * (ranked.len() - 1) / (count - 1) } else { 0 }]);
    spread
        .enumerate()
        .map(|(at, image)| {
            let put = |kind: &str, pixels: &[u8]| {
                let frame = Frame::gray8(image.side, image.side, pixels.to_vec())
                    .map_err(|error| TaskError::input_from(&error))?;
                artefacts::put_figure(context, &format!("overlay-{at:02}-{kind}"), &frame)
            };
            Ok(Overlay {
                modality: image.modality.word().to_owned(),
                image: put("image", &image.image)?,
                truth: put("truth", &image.truth)?,
                predicted: put("predicted", &image.predicted)?,
                dice: image.dice,
            })
        })
        .collect()
}
