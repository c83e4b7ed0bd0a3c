//! The classification task: fine-tunes a class for each image, and reports on the test split.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_core::ids::Epoch;
use vismae_core::spec::FinetuneSpec;
use vismae_model::augment::{Affine, AffineLimits, horizontal_flip};
use vismae_model::loss::cross_entropy;
use vismae_model::{Classifier, Mode, metrics};
use vismae_shards::loader::{Batch, Dataset, Needs};
use vismae_shards::runs::{ClassCurve, ClassifyResults, Results};

use super::artefacts::{self, Architecture};
use super::batch::TensorBatch;
use super::error::TaskError;
use super::finetune::{self, EVALUATION_BATCH, Learner, Splits, Validation};
use super::progress::ProgressMeter;
use super::{Outcome, TaskContext, data, network};

pub(super) fn run(context: &TaskContext, spec: &FinetuneSpec) -> Result<Outcome, TaskError> {
    let began = Instant::now();
    let manifest = data::manifest(context, &spec.corpus)?;
    let splits = Splits::open(context, spec, &manifest, Needs::Label)?;
    let classes = splits.train.classes_present();
    if classes.len() < 2 {
        return Err(TaskError::input(format!(
            "the training frames selected have {} class, expected at least 2: {}",
            classes.len(),
            Vec::from_iter(classes.iter().map(|(_, name)| name.as_str())).join(", ")
        )));
    }
    for (split, frames) in [("val", &splits.val), ("test", &splits.test)] {
        if let Some((_, name)) = frames.classes_present().into_iter().find(|class| !classes.contains(class)) {
            return Err(TaskError::input(format!(
                "class `{name}` occurs in `{split}` and not among the training frames, expected every class there"
            )));
        }
    }
    network::seed(spec.seed);
    let device = context.device.to_tch();
    let mut variables = VarStore::new(device);
    let config = network::config(&spec.model);
    let network = Classifier::new(&variables.root(), &config, classes.len() as i64)
        .map_err(|error| TaskError::input_from(&error))?;
    let init = finetune::initialise(context, spec, &mut variables)?;
    let learner =
        ClassLearner { network, labels: classes.iter().map(|(label, _)| *label).collect(), seed: spec.seed, device };

    let Some(fitted) = finetune::fit(context, spec, &splits, &variables, &learner)? else {
        return Ok(Outcome::Stopped);
    };
    ProgressMeter::new(&context.reporter, "evaluating").begin(0, 1);
    let val = learner.predict(context, &splits.val)?;
    let test = learner.predict(context, &splits.test)?;
    let model =
        artefacts::model(context, &variables, &spec.model, Architecture::Classifier { classes: classes.len() as i64 })?;
    let steps = artefacts::steps(context, &fitted.rows)?;
    artefacts::put_all(context, model.into_iter().chain([steps]))?;
    let names: Vec<String> = classes.into_iter().map(|(_, name)| name).collect();
    let (sources, modalities) = finetune::selection_words(spec);
    let judged = Judged::new(&names, &test);
    let results = ClassifyResults {
        job: context.id.job.to_string(),
        settings: finetune::settings(spec),
        init,
        sources,
        modalities,
        train_samples: splits.train.len(),
        val_samples: splits.val.len(),
        test_samples: splits.test.len(),
        epochs: spec.epochs,
        seconds: began.elapsed().as_secs_f64(),
        images_per_second: fitted.images_per_second,
        best_epoch: fitted.best_epoch,
        val_auc: metrics::macro_auc(&val.probabilities, &val.truths, names.len()),
        auc: metrics::macro_auc(&test.probabilities, &test.truths, names.len()),
        accuracy: judged.accuracy,
        balanced_accuracy: judged.balanced_accuracy,
        curves: judged.curves,
        confusion: judged.confusion,
        losses: fitted.losses,
        classes: names,
    };
    let mut figures = BTreeMap::from([("balanced_accuracy".to_owned(), results.balanced_accuracy)]);
    figures.extend(results.auc.map(|auc| ("auc".to_owned(), auc)));
    artefacts::put_results(context, &Results::Classify(results))?;
    Ok(Outcome::Succeeded(figures))
}

/// What the predictions on a split are worth.
struct Judged {
    accuracy: f64,
    balanced_accuracy: f64,
    curves: Vec<ClassCurve>,
    confusion: Vec<Vec<u64>>,
}

impl Judged {
    fn new(classes: &[String], predictions: &Predictions) -> Self {
        let Predictions { probabilities, truths, .. } = predictions;
        let likeliest = |row: &Vec<f64>| {
            row.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1)).map_or(0, |(at, _)| at)
        };
        let predicted: Vec<usize> = probabilities.iter().map(likeliest).collect();
        let mut confusion = vec![vec![0; classes.len()]; classes.len()];
        for (truth, guess) in truths.iter().zip(&predicted) {
            confusion[*truth][*guess] += 1;
        }
        let right = truths.iter().zip(&predicted).filter(|(truth, guess)| truth == guess).count();
        Self {
            accuracy: right as f64 / truths.len().max(1) as f64,
            balanced_accuracy: metrics::balanced_accuracy(&predicted, truths, classes.len()).unwrap_or(0.0),
            curves: classes.iter().enumerate().filter_map(|(at, class)| curve(class, at, predictions)).collect(),
            confusion,
        }
    }
}

/// One class against the rest; none where the split has only one of the two.
fn curve(class: &str, at: usize, predictions: &Predictions) -> Option<ClassCurve> {
    let scores: Vec<f64> = predictions.probabilities.iter().map(|row| row[at]).collect();
    let positive: Vec<bool> = predictions.truths.iter().map(|truth| *truth == at).collect();
    let roc = metrics::roc_curve(&scores, &positive)?;
    let auc = metrics::auc(&scores, &positive)?;
    let roc = roc.into_iter().map(|point| [point.false_positive_rate, point.true_positive_rate]).collect();
    Some(ClassCurve { class: class.to_owned(), auc, roc })
}

/// A classifier, and which of its outputs stands for which label of the corpus.
struct ClassLearner {
    network: Classifier,
    /// Labels in the order of the outputs.
    labels: Vec<i64>,
    seed: u64,
    device: Device,
}

/// Probabilities of every class for every frame, beside the true class.
struct Predictions {
    probabilities: Vec<Vec<f64>>,
    truths: Vec<usize>,
    loss: f64,
}

impl ClassLearner {
    /// Outputs that the frames' labels stand for, as `[N]` on the device.
    fn targets(&self, batch: &Batch) -> Result<Vec<i64>, TaskError> {
        let output = |label: &Option<i64>| {
            let at = label.and_then(|label| self.labels.iter().position(|known| *known == label));
            at.map(|at| at as i64).ok_or_else(|| {
                TaskError::input("a class occurs outside `train` only, expected every class among the training frames")
            })
        };
        batch.labels.iter().map(output).collect()
    }

    fn predict(&self, context: &TaskContext, frames: &Arc<Dataset>) -> Result<Predictions, TaskError> {
        let mut loader = data::sequential(context, frames, EVALUATION_BATCH)?;
        let mut all = Predictions { probabilities: Vec::new(), truths: Vec::new(), loss: 0.0 };
        while let Some(batch) = loader.next().map_err(|error| TaskError::environment_from(&error))? {
            let targets = self.targets(&batch)?;
            let tensors = TensorBatch::new(&batch, self.seed, Epoch(0), self.device);
            let (rows, loss) = tch::no_grad(|| {
                let logits = self.network.forward(&tensors.images, Mode::Evaluate);
                let loss = cross_entropy(&logits, &Tensor::from_slice(&targets).to_device(self.device));
                (logits.softmax(1, Kind::Double), loss.double_value(&[]))
            });
            let rows = Vec::<Vec<f64>>::try_from(rows.to_device(Device::Cpu))
                .map_err(TaskError::while_doing("reading predictions"))?;
            all.loss += loss * batch.len() as f64;
            all.probabilities.extend(rows);
            all.truths.extend(targets.into_iter().map(|target| target as usize));
        }
        all.loss /= all.truths.len().max(1) as f64;
        Ok(all)
    }
}

/// Small changes of pose: the published recipe turns by 20 degrees and shifts by a tenth.
const AFFINE: AffineLimits = AffineLimits { degrees: 20.0, shift: 0.1, scale: 0.1 };

impl Learner for ClassLearner {
    fn loss(&self, batch: &Batch) -> Result<Tensor, TaskError> {
        let targets = Tensor::from_slice(&self.targets(batch)?).to_device(self.device);
        let tensors = TensorBatch::new(batch, self.seed, batch.epoch, self.device);
        let images = horizontal_flip(&tensors.images, &tensors.keys);
        let images = Affine::draw(&tensors.keys, &AFFINE).apply_to_images(&images);
        Ok(cross_entropy(&self.network.forward(&images, Mode::Train { keys: &tensors.keys }), &targets))
    }

    /// The published recipe chooses by the smallest validation loss.
    fn validate(&self, context: &TaskContext, frames: &Arc<Dataset>) -> Result<Validation, TaskError> {
        let loss = self.predict(context, frames)?.loss;
        Ok(Validation { loss, merit: -loss })
    }
}
