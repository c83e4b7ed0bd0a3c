//! Made-up results of a whole pipeline, plausible enough to look at.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use vismae_core::spec::Modality;
use vismae_shards::frame::{Frame, pgm};
use vismae_shards::manifest::{ContentHash, Counts, FORMAT, Manifest, Recipe, RowGroup, Shard};
use vismae_shards::runs::{
    ClassCurve, ClassifyResults, EpochLoss, Overlay, PretrainResults, Reconstruction, Results, RunPaths,
    SegmentResults, StepRow, write_steps,
};
use vismae_shards::split::Split;
use vismae_shards::store::Store;

const SIDE: usize = 64;

/// The jobs of the made-up pipeline `demo`.
pub(in crate::report) fn jobs() -> Vec<String> {
    let names = ["ingest", "pretrain", "classify", "segment", "classify-scratch", "segment-scratch"];
    names.map(|name| format!("demo.{name}")).to_vec()
}

/// Numbers between 0 and 1 that look random and never change.
pub(in crate::report) fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Puts everything that the jobs of `demo` would leave, classes and sources named as given.
pub(in crate::report) async fn put_demo(store: &Store, classes: &[&str], source: &str) {
    put_corpus(store, classes, source).await;
    put_pretraining(store).await;
    for (job, init, skill) in [("demo.classify", "pretrain", 1.3), ("demo.classify-scratch", "random", 0.7)] {
        let results = Results::Classify(classify(job, init, skill, classes, source));
        put_results(store, job, &results).await;
    }
    for (job, init, skill) in [("demo.segment", "pretrain", 0.88), ("demo.segment-scratch", "random", 0.72)] {
        put_segmentation(store, job, init, skill).await;
    }
}

/// Puts classifiers of two starts, three shares of labels and two seeds, and gives the names of their jobs. The score is the share, and
/// a tenth more for the second seed; from random weights it is half of that.
pub(in crate::report) async fn put_sweep(store: &Store, classes: &[&str]) -> Vec<String> {
    let mut jobs = Vec::new();
    for (init, worth) in [("pretrain", 1.0), ("random", 0.5)] {
        for (label, share) in [("f10", 0.1), ("f50", 0.5), ("f80", 0.8)] {
            for (seed, more) in [(1, 0.0), (2, 0.1)] {
                let job = format!("demo.sweep-{init}-{label}-s{seed}");
                let mut results = classify(&job, init, 1.0, classes, "phantom");
                results.auc = Some(worth * (share + more));
                results.settings.retain(|(key, _)| key != "seed" && key != "label_fraction");
                results.settings.push(("seed".to_owned(), seed.to_string()));
                results.settings.push(("label_fraction".to_owned(), share.to_string()));
                put_results(store, &job, &Results::Classify(results)).await;
                jobs.push(job);
            }
        }
    }
    jobs
}

pub(in crate::report) async fn put_results(store: &Store, job: &str, results: &Results) {
    store.put(&RunPaths::new(job).results(), serde_json::to_vec(results).unwrap()).await.unwrap();
}

async fn put_corpus(store: &Store, classes: &[&str], source: &str) {
    let shard = |(index, modality): (usize, Modality), split: Split| {
        let share = match split {
            Split::Train => 14,
            Split::Val | Split::Test => 3,
        };
        let rows = share * (40 - 5 * index as u64);
        let hash = ContentHash::of(b"no bytes are read");
        Shard {
            path: format!("corpora/phantom/data/modality={}/split={split}/part-0.parquet", modality.word()),
            modality,
            split,
            rows,
            bytes: rows * 2500,
            blake3: hash,
            row_groups: vec![RowGroup {
                rows: rows as u32,
                offset: 4,
                columns: vec![rows * 2400],
                blake3: hash,
                index_blake3: hash,
            }],
        }
    };
    let shards: Vec<Shard> = Modality::ALL
        .into_iter()
        .enumerate()
        .flat_map(|modality| Split::ALL.map(|split| shard(modality, split)))
        .collect();
    let frames = shards.iter().map(|shard| shard.rows).sum();
    let manifest = Manifest {
        format: FORMAT,
        corpus: "phantom".to_owned(),
        version: 1,
        recipe: Recipe {
            image_size: 64,
            fit: "stretch".to_owned(),
            ct_windows: vec![[-160.0, 240.0]],
            percentiles: [0.5, 99.5],
            xray_range: "voi".to_owned(),
            minimum_content: 0.02,
        },
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        shards,
        counts: Counts { frames, labels: frames / 2, masks: frames / 3 },
        quarantine: Some("corpora/phantom/quarantine/000001.parquet".to_owned()),
    };
    let json = serde_json::to_vec(&manifest).unwrap();
    store.put("corpora/phantom/manifests/000001.json", json).await.unwrap();

    let column = |values: [&str; 3]| Arc::new(StringArray::from_iter_values(values)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("source", column([source, source, "chest"])),
        ("file", column(["a.dcm", "b.dcm", "c.png"])),
        ("stage", column(["decode", "decode", "mask"])),
        ("reason", column(["truncated", "truncated", "mask-shape"])),
        ("message", column(["", "", ""])),
    ]);
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    store.put("corpora/phantom/quarantine/000001.parquet", writer.into_inner().unwrap()).await.unwrap();
}

async fn put_pretraining(store: &Store) {
    let paths = RunPaths::new("demo.pretrain");
    let (epochs, each) = (20, 33);
    let mut random = noise(7);
    let steps: Vec<StepRow> = (0..epochs * each)
        .map(|step| {
            let done = f64::from(step) / f64::from(epochs * each);
            let (fall, warm_up) = ((-4.5 * done).exp(), (done / 0.1).min(1.0));
            StepRow {
                step: step.into(),
                epoch: step / each,
                loss: (0.05 + 0.95 * fall) * (0.9 + 0.2 * random()),
                learning_rate: 1e-3 * warm_up * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
                gradient_norm: (0.3 + 2.0 * fall) * (0.6 + 0.8 * random()),
                samples: 64,
                data_seconds: 0.004 * random(),
                step_seconds: 0.16 + 0.03 * random() + if step % 97 == 0 { 0.2 } else { 0.0 },
                time: 0.0,
                generation: None,
                digest: None,
            }
        })
        .collect();
    store.put(&paths.metrics(), write_steps(&steps).unwrap()).await.unwrap();
    let mut reconstructions = Vec::new();
    for (kind, modality) in Modality::ALL.into_iter().enumerate() {
        for index in 0..4 {
            let name = |what: &str| format!("{}-{index}-{what}", modality.word().to_lowercase());
            let original = phantom(kind, index);
            let hidden = hidden_patches(kind * 10 + index);
            let masked: Vec<f64> = original.iter().zip(&hidden).map(|(v, hide)| if *hide { 0.5 } else { *v }).collect();
            let blurred = blurred(&original);
            let filled: Vec<f64> =
                original.iter().zip(&blurred).zip(&hidden).map(|((v, b), hide)| if *hide { *b } else { *v }).collect();
            reconstructions.push(Reconstruction {
                modality: modality.word().to_owned(),
                original: put_figure(store, &paths, &name("original"), &original).await,
                masked: put_figure(store, &paths, &name("masked"), &masked).await,
                reconstructed: put_figure(store, &paths, &name("reconstructed"), &filled).await,
                loss: Some(0.05 + 0.01 * index as f64),
            });
        }
    }
    let results = Results::Pretrain(PretrainResults {
        job: "demo.pretrain".to_owned(),
        settings: vec![("seed".to_owned(), "0".to_owned())],
        corpus: "phantom".to_owned(),
        corpus_version: 1,
        model: "Swin-MAE, 64 px, patch 4, embed 48, depths 2-2-2".to_owned(),
        parameters: 1_234_567,
        world_size: 2,
        device: "cpu".to_owned(),
        epochs,
        steps: steps.len() as u64,
        samples_seen: 64 * steps.len() as u64,
        seconds: steps.iter().map(|row| row.step_seconds).sum(),
        images_per_second: 358.4,
        first_epoch_loss: Some(0.912),
        last_epoch_loss: Some(0.0641),
        reconstructions,
    });
    put_results(store, "demo.pretrain", &results).await;
}

fn classify(job: &str, init: &str, skill: f64, classes: &[&str], source: &str) -> ClassifyResults {
    let mut random = noise(skill.to_bits());
    let frames = 156;
    let truths: Vec<usize> = (0..frames).map(|index| index % classes.len()).collect();
    let scores: Vec<Vec<f64>> = truths
        .iter()
        .map(|&truth| {
            let score = |class| if class == truth { skill } else { 0.0 } + random() + random() + random() + random();
            (0..classes.len()).map(score).collect()
        })
        .collect();
    let mut confusion = vec![vec![0; classes.len()]; classes.len()];
    for (truth, scores) in truths.iter().zip(&scores) {
        let likeliest = (0..classes.len()).max_by(|one, other| scores[*one].total_cmp(&scores[*other])).unwrap();
        confusion[*truth][likeliest] += 1;
    }
    let right: u64 = (0..classes.len()).map(|class| confusion[class][class]).sum();
    let curves: Vec<ClassCurve> = classes
        .iter()
        .enumerate()
        .map(|(class, name)| {
            let mut ranked: Vec<(f64, bool)> =
                truths.iter().zip(&scores).map(|(truth, scores)| (scores[class], *truth == class)).collect();
            ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
            let positives = ranked.iter().filter(|(_, positive)| *positive).count() as f64;
            let negatives = frames as f64 - positives;
            let (mut roc, mut auc) = (vec![[0.0, 0.0]], 0.0);
            for (_, positive) in ranked {
                let [x, y] = roc[roc.len() - 1];
                roc.push(if positive { [x, y + 1.0 / positives] } else { [x + 1.0 / negatives, y] });
                auc += if positive { 0.0 } else { y / negatives };
            }
            ClassCurve { class: (*name).to_owned(), auc, roc }
        })
        .collect();
    let auc = curves.iter().map(|curve| curve.auc).sum::<f64>() / curves.len() as f64;
    ClassifyResults {
        job: job.to_owned(),
        settings: vec![("seed".to_owned(), "0".to_owned())],
        init: init.to_owned(),
        sources: vec![source.to_owned()],
        modalities: vec![],
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        train_samples: 700,
        val_samples: 150,
        test_samples: frames as u64,
        epochs: 15,
        seconds: 41.7,
        images_per_second: 251.0,
        best_epoch: 11,
        val_auc: Some((auc + 0.01).min(1.0)),
        auc: Some(auc),
        accuracy: right as f64 / frames as f64,
        balanced_accuracy: right as f64 / frames as f64 - 0.01,
        curves,
        confusion,
        losses: losses(0.2 / skill),
    }
}

async fn put_segmentation(store: &Store, job: &str, init: &str, skill: f64) {
    let paths = RunPaths::new(job);
    let mut random = noise(skill.to_bits());
    let dices: Vec<f64> = (0..240).map(|_| (skill + 0.12 * (random() + random() - 1.0)).clamp(0.0, 0.99)).collect();
    let mut ranked = dices.clone();
    ranked.sort_by(f64::total_cmp);
    let mut overlays = Vec::new();
    for at in 0..12 {
        let (modality, dice) = (Modality::ALL[at % 5], ranked[at * (ranked.len() - 1) / 11]);
        let shift = (1.0 - dice) * 14.0;
        let mask = |dx: f64| -> Vec<f64> { grid(|x, y| if lesion(at, x - dx, y) { 1.0 / 255.0 } else { 0.0 }) };
        overlays.push(Overlay {
            modality: modality.word().to_owned(),
            image: put_figure(store, &paths, &format!("overlay-{at:02}-image"), &phantom(at % 5, at)).await,
            truth: put_figure(store, &paths, &format!("overlay-{at:02}-truth"), &mask(0.0)).await,
            predicted: put_figure(store, &paths, &format!("overlay-{at:02}-predicted"), &mask(shift)).await,
            dice,
        });
    }
    let mean = dices.iter().sum::<f64>() / dices.len() as f64;
    let results = Results::Segment(SegmentResults {
        job: job.to_owned(),
        settings: vec![("seed".to_owned(), "0".to_owned())],
        init: init.to_owned(),
        sources: vec![],
        modalities: vec![],
        classes: 2,
        train_samples: 900,
        val_samples: 200,
        test_samples: 260,
        epochs: 15,
        seconds: 95.0,
        images_per_second: 140.0,
        best_epoch: 13,
        val_dice: Some(mean + 0.008),
        dice: Some(mean),
        dice_by_modality: ["CT", "MR", "PET"].map(|modality| (modality.to_owned(), mean)).to_vec(),
        dice_per_image: dices,
        losses: losses(1.0 - skill),
        overlays,
    });
    put_results(store, job, &results).await;
}

fn losses(end: f64) -> Vec<EpochLoss> {
    let at = |epoch: u32| end + (0.9 - end) * (-0.35 * f64::from(epoch)).exp();
    (0..15).map(|epoch| EpochLoss { epoch, train: Some(at(epoch) * 0.9), val: Some(at(epoch) + 0.002) }).collect()
}

async fn put_figure(store: &Store, paths: &RunPaths, name: &str, levels: &[f64]) -> String {
    let levels = levels.iter().map(|level| (level.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    let path = paths.figure(name);
    store.put(&path, pgm::encode(&Frame::gray8(SIDE as u32, SIDE as u32, levels).unwrap())).await.unwrap();
    path
}

fn grid(of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    (0..SIDE * SIDE).map(|index| of((index % SIDE) as f64, (index / SIDE) as f64)).collect()
}

fn lesion(index: usize, x: f64, y: f64) -> bool {
    let (cx, cy) = (26.0 + (index % 3) as f64 * 5.0, 28.0 + (index % 4) as f64 * 3.0);
    ((x - cx) / 8.0).powi(2) + ((y - cy) / (6.0 + (index % 3) as f64)).powi(2) < 1.0 + 0.2 * (x * 0.8).sin()
}

/// A body with organs and a lesion, differently textured by kind.
fn phantom(kind: usize, index: usize) -> Vec<f64> {
    grid(|x, y| {
        let (u, v) = ((x - 32.0) / 27.0, (y - 32.0) / 23.0);
        let body = if u * u + v * v < 1.0 { 0.35 + 0.1 * (1.0 - u * u - v * v) } else { 0.02 };
        let organ = if ((u - 0.3) / 0.25).powi(2) + ((v + 0.1) / 0.45).powi(2) < 1.0 { 0.2 } else { 0.0 };
        let texture = 0.05 * (x * (0.5 + kind as f64 * 0.3)).sin() * (y * (0.7 + index as f64 * 0.1)).cos();
        body + organ + if lesion(index, x, y) { 0.3 } else { 0.0 } + texture
    })
}

fn hidden_patches(seed: usize) -> Vec<bool> {
    let mut random = noise(seed as u64 + 99);
    let hidden: Vec<bool> = (0..64).map(|_| random() < 0.75).collect();
    (0..SIDE * SIDE).map(|index| hidden[index / SIDE / 8 * 8 + index % SIDE / 8]).collect()
}

fn blurred(levels: &[f64]) -> Vec<f64> {
    let at = |x: i64, y: i64| levels[(y.clamp(0, 63) * 64 + x.clamp(0, 63)) as usize];
    grid(|x, y| {
        let near = (-2..=2).flat_map(|dx| (-2..=2).map(move |dy| (dx, dy)));
        near.map(|(dx, dy)| at(x as i64 + dx, y as i64 + dy)).sum::<f64>() / 25.0
    })
}
