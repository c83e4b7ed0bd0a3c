//! What came of a run, as JSON.

use serde::{Deserialize, Serialize};

/// The results of one run, told apart by the key `task`. A value that could not be computed is absent, never a made-up number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Results {
    /// Of a masked autoencoder.
    Pretrain(PretrainResults),
    /// Of a classifier.
    Classify(ClassifyResults),
    /// Of a segmenter.
    Segment(SegmentResults),
}

/// Of a pre-training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainResults {
    /// The job, as it is shown.
    pub job: String,
    /// What it was told, by the keys of the job file, and the version of the program.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// The corpus it read.
    pub corpus: String,
    /// The version of it.
    pub corpus_version: u64,
    /// The network in words.
    pub model: String,
    /// Trainable parameters.
    pub parameters: u64,
    /// Ranks at the end.
    pub world_size: u32,
    /// What it ran on.
    pub device: String,
    /// Passes over the samples.
    pub epochs: u32,
    /// Optimiser steps.
    pub steps: u64,
    /// Over all ranks and epochs.
    pub samples_seen: u64,
    /// Of training, start-up excluded.
    pub seconds: f64,
    /// Over all ranks.
    pub images_per_second: f64,
    /// Mean over the first epoch.
    pub first_epoch_loss: Option<f64>,
    /// Mean over the last epoch.
    pub last_epoch_loss: Option<f64>,
    /// Examples of every modality.
    pub reconstructions: Vec<Reconstruction>,
}

/// One image, what the network saw of it, and what it made of that. The figures are paths in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reconstruction {
    /// The modality, as it is shown.
    pub modality: String,
    /// The image.
    pub original: String,
    /// The image with the hidden patches blanked.
    pub masked: String,
    /// The image with the hidden patches as predicted.
    pub reconstructed: String,
    /// Mean over the hidden patches.
    pub loss: Option<f64>,
}

/// Of a classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassifyResults {
    /// The job, as it is shown.
    pub job: String,
    /// What it was told, by the keys of the job file, and the version of the program.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// Where its first weights came from.
    pub init: String,
    /// The sources it was restricted to.
    pub sources: Vec<String>,
    /// The modalities it was restricted to.
    pub modalities: Vec<String>,
    /// The classes, in the order of `confusion`.
    pub classes: Vec<String>,
    /// Frames learned from.
    pub train_samples: u64,
    /// Frames the best epoch was chosen by.
    pub val_samples: u64,
    /// Frames reported on.
    pub test_samples: u64,
    /// Passes over the training frames.
    pub epochs: u32,
    /// Of training and evaluation.
    pub seconds: f64,
    /// While training.
    pub images_per_second: f64,
    /// The epoch whose weights were kept, from 0.
    pub best_epoch: u32,
    /// Macro one-versus-rest AUC on `val` of that epoch.
    pub val_auc: Option<f64>,
    /// Macro one-versus-rest AUC on `test`.
    pub auc: Option<f64>,
    /// Share of `test` frames whose likeliest class is right.
    pub accuracy: f64,
    /// Mean recall over the classes present in `test`.
    pub balanced_accuracy: f64,
    /// One for each class with both outcomes in `test`.
    pub curves: Vec<ClassCurve>,
    /// Frames of `test`: rows are true classes, columns predicted ones.
    pub confusion: Vec<Vec<u64>>,
    /// One for each epoch.
    pub losses: Vec<EpochLoss>,
}

/// The receiver operating characteristic of one class against the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassCurve {
    /// The class.
    pub class: String,
    /// Area under the curve.
    pub auc: f64,
    /// False positive rate and true positive rate, from `[0, 0]` to `[1, 1]`.
    pub roc: Vec<[f64; 2]>,
}

/// The mean losses of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochLoss {
    /// Counts from 0.
    pub epoch: u32,
    /// On `train`, while learning.
    pub train: Option<f64>,
    /// On `val`, after the epoch.
    pub val: Option<f64>,
}

/// Of a segmenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentResults {
    /// The job, as it is shown.
    pub job: String,
    /// What it was told, by the keys of the job file, and the version of the program.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// Where its first weights came from.
    pub init: String,
    /// The sources it was restricted to.
    pub sources: Vec<String>,
    /// The modalities it was restricted to.
    pub modalities: Vec<String>,
    /// Classes of a pixel, the background included.
    pub classes: u32,
    /// Frames learned from.
    pub train_samples: u64,
    /// Frames the best epoch was chosen by.
    pub val_samples: u64,
    /// Frames reported on.
    pub test_samples: u64,
    /// Passes over the training frames.
    pub epochs: u32,
    /// Of training and evaluation.
    pub seconds: f64,
    /// While training.
    pub images_per_second: f64,
    /// The epoch whose weights were kept, from 0.
    pub best_epoch: u32,
    /// Mean Dice on `val` of that epoch.
    pub val_dice: Option<f64>,
    /// Mean Dice over the `test` frames that hold a foreground class.
    pub dice: Option<f64>,
    /// The same for each modality.
    pub dice_by_modality: Vec<(String, f64)>,
    /// The Dice of each of those frames, in the order of the corpus.
    pub dice_per_image: Vec<f64>,
    /// One for each epoch.
    pub losses: Vec<EpochLoss>,
    /// Examples.
    pub overlays: Vec<Overlay>,
}

/// One image with its true and its predicted mask. The figures are paths in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// The modality, as it is shown.
    pub modality: String,
    /// The image.
    pub image: String,
    /// The mask drawn by people: a pixel is its class.
    pub truth: String,
    /// The mask predicted: a pixel is its class.
    pub predicted: String,
    /// Of this image.
    pub dice: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> SegmentResults {
        SegmentResults {
            job: "demo.segment".to_owned(),
            settings: vec![("batch".to_owned(), "8".to_owned())],
            init: "pretrain".to_owned(),
            sources: vec![],
            modalities: vec!["CT".to_owned()],
            classes: 2,
            train_samples: 10,
            val_samples: 2,
            test_samples: 3,
            epochs: 1,
            seconds: 1.0,
            images_per_second: 10.0,
            best_epoch: 0,
            val_dice: None,
            dice: Some(0.1 + 0.2),
            dice_by_modality: vec![("CT".to_owned(), 0.5)],
            dice_per_image: vec![0.25, 0.75],
            losses: vec![EpochLoss { epoch: 0, train: Some(1.0), val: None }],
            overlays: vec![],
        }
    }

    #[test]
    fn results_read_back_what_was_written() {
        let results = Results::Segment(segment());
        let json = serde_json::to_string(&results).unwrap();
        assert!(json.contains(r#""task":"segment""#), "{json}");
        assert_eq!(serde_json::from_str::<Results>(&json).unwrap(), results);
    }

    #[test]
    fn what_is_absent_in_the_file_is_absent_in_memory() {
        let mut json = serde_json::to_value(Results::Segment(segment())).unwrap();
        json.as_object_mut().unwrap().remove("val_dice");
        let Results::Segment(read) = serde_json::from_value(json).unwrap() else { panic!("another task") };
        assert_eq!(read.val_dice, None);
    }

    #[test]
    fn an_unknown_task_is_refused() {
        assert!(serde_json::from_str::<Results>(r#"{"task": "detect"}"#).is_err());
    }
}
