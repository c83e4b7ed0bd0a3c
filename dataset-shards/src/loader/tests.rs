//! Datasets and loaders over a phantom corpus in memory.

use std::sync::Arc;

use tokio::runtime::Handle;
use vismae_core::ids::{Epoch, Rank, WorldSize};
use vismae_core::spec::{Modality, Selection};

use super::*;
use crate::fixture::phantom_store;
use crate::manifest::Manifest;
use crate::order::{Plan, PlanSpec, RowRef};
use crate::split::Split;
use crate::store::Store;

mod faulty;

fn options() -> LoaderOptions {
    LoaderOptions { bytes: 4 << 20, threads: 2, cache: None }
}

fn only(modalities: &[Modality]) -> Selection {
    Selection { modalities: modalities.to_vec(), sources: vec![] }
}

async fn open(store: &Store, manifest: &Manifest, selection: &Selection, needs: Needs) -> Arc<Dataset> {
    Arc::new(Dataset::open(store, manifest, Split::Train, selection, needs).await.unwrap())
}

fn plan(dataset: &Dataset) -> Plan {
    Plan::new(&dataset.row_counts(), PlanSpec { seed: 3, lanes: 4, global_batch: 32, window: 2 }).unwrap()
}

/// Every batch of a loader, read off the runtime's threads as a trainer does.
async fn drain(mut loader: Loader) -> Vec<Batch> {
    let read = move || std::iter::from_fn(|| loader.next().unwrap()).collect();
    tokio::task::spawn_blocking(read).await.unwrap()
}

async fn planned(dataset: &Arc<Dataset>, (rank, world): (u32, u32), start: Start, end: u32) -> Vec<Batch> {
    let plan = plan(dataset);
    let lanes = plan.lanes_of(Rank(rank), WorldSize(world));
    let span = (start, Epoch(end));
    drain(Loader::planned(Arc::clone(dataset), plan, lanes, span, options(), &Handle::current()).unwrap()).await
}

const FROM_START: Start = Start { epoch: Epoch(0), step: 0 };

#[tokio::test(flavor = "multi_thread")]
async fn two_ranks_together_see_the_batches_of_one() {
    let (store, manifest) = phantom_store().await;
    let dataset = open(&store, &manifest, &Selection::default(), Needs::Any).await;
    let whole = planned(&dataset, (0, 1), FROM_START, 2).await;
    let halves = [planned(&dataset, (0, 2), FROM_START, 2).await, planned(&dataset, (1, 2), FROM_START, 2).await];
    assert_eq!(whole.len() as u64, 2 * plan(&dataset).steps_per_epoch());
    for (step, whole) in whole.iter().enumerate() {
        let (first, second) = (&halves[0][step], &halves[1][step]);
        assert_eq!((whole.epoch, whole.step), (first.epoch, first.step));
        assert_eq!(whole.global_samples, first.global_samples);
        assert_eq!(whole.global_samples as usize, whole.len());
        assert_eq!(whole.samples, [first.samples.clone(), second.samples.clone()].concat());
        assert_eq!(whole.images, [first.images.clone(), second.images.clone()].concat());
        assert_eq!(whole.labels, [first.labels.clone(), second.labels.clone()].concat());
        assert_eq!(whole.modalities, [first.modalities.clone(), second.modalities.clone()].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_reading_goes_on_where_the_first_one_was() {
    let (store, manifest) = phantom_store().await;
    let dataset = open(&store, &manifest, &Selection::default(), Needs::Any).await;
    let whole = planned(&dataset, (0, 1), FROM_START, 3).await;
    let rest = planned(&dataset, (0, 1), Start { epoch: Epoch(1), step: 2 }, 3).await;
    let skipped = whole.len() - rest.len();
    assert_eq!((rest[0].epoch, rest[0].step), (Epoch(1), 2));
    assert_eq!(rest, whole[skipped..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rank_without_lanes_still_gets_every_step() {
    let (store, manifest) = phantom_store().await;
    let dataset = open(&store, &manifest, &Selection::default(), Needs::Any).await;
    let batches = planned(&dataset, (4, 5), FROM_START, 1).await;
    assert_eq!(batches.len() as u64, plan(&dataset).steps_per_epoch());
    assert!(batches.iter().all(|batch| batch.is_empty() && batch.global_samples > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_come_with_the_samples_they_belong_to() {
    let (store, manifest) = phantom_store().await;
    let dataset = open(&store, &manifest, &only(&[Modality::Ct, Modality::Mr]), Needs::Mask).await;
    let loader = Loader::sequential(Arc::clone(&dataset), 10, None, options(), &Handle::current()).unwrap();
    let batches = drain(loader).await;
    assert_eq!(batches.iter().map(Batch::len).sum::<usize>() as u64, dataset.len());
    let pixels = (dataset.size() as usize).pow(2);
    let mut marked = 0;
    for batch in &batches {
        let masks = batch.masks.as_ref().unwrap();
        assert_eq!((batch.images.len(), masks.len()), (batch.len() * pixels, batch.len() * pixels));
        assert!(masks.iter().all(|&class| class <= 1));
        marked += masks.chunks_exact(pixels).filter(|mask| mask.contains(&1)).count();
        assert!(batch.modalities.iter().all(|modality| matches!(modality, Modality::Ct | Modality::Mr)));
    }
    assert!(marked > 20, "{marked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn selections_narrow_by_label_and_limits_by_number() {
    let (store, manifest) = phantom_store().await;
    let all = open(&store, &manifest, &only(&[Modality::Ct]), Needs::Any).await;
    let labelled = open(&store, &manifest, &only(&[Modality::Ct]), Needs::Label).await;
    assert_eq!((all.len(), labelled.len()), (34, 24));
    let names: Vec<String> = labelled.classes_present().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["none", "smooth", "spiculated"]);
    let loader = Loader::sequential(Arc::clone(&labelled), 8, Some(12), options(), &Handle::current()).unwrap();
    let batches = drain(loader).await;
    assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [8, 4]);
    assert!(batches.iter().flat_map(|batch| &batch.labels).all(Option::is_some));
    let spread = labelled.spread(3);
    assert_eq!(spread.iter().map(|row| row.row).collect::<Vec<_>>(), [0, 8, 16]);
    assert_eq!(labelled.read(&spread).await.unwrap().len(), 3);
    assert_eq!(labelled.spread(1000).len(), 24);
}

#[tokio::test]
async fn a_selection_of_nothing_is_answered_with_what_there_is() {
    let (store, manifest) = phantom_store().await;
    let selection = Selection { modalities: vec![Modality::Ct], sources: vec!["elsewhere".to_owned()] };
    let opened = Dataset::open(&store, &manifest, Split::Test, &selection, Needs::Label).await;
    let error = opened.err().unwrap().to_string();
    let wanted = "matches split `test`, modalities `CT`, sources `elsewhere`, with a label; it holds ";
    assert!(error.contains(wanted), "{error}");
    assert!(error.contains("34 CT in `train`") && error.ends_with("164 labels, 204 masks"), "{error}");
}

#[tokio::test]
async fn row_groups_with_other_columns_are_refused() {
    let (store, mut manifest) = phantom_store().await;
    manifest.shards[0].row_groups[0].columns.pop();
    let opened = Dataset::open(&store, &manifest, manifest.shards[0].split, &Selection::default(), Needs::Any).await;
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("has row groups of 12 columns, expected 13"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loader_that_is_dropped_early_ends_its_thread() {
    let (store, manifest) = phantom_store().await;
    let dataset = open(&store, &manifest, &Selection::default(), Needs::Any).await;
    let mut loader = Loader::sequential(Arc::clone(&dataset), 1, None, options(), &Handle::current()).unwrap();
    let first = tokio::task::spawn_blocking(move || loader.next().unwrap().map(|batch| batch.len())).await.unwrap();
    assert_eq!(first, Some(1));
    // The thread held a clone; its end leaves this one alone.
    assert_eq!(Arc::strong_count(&dataset), 1);
}

#[tokio::test]
async fn a_share_of_the_labels_is_made_of_whole_patients_of_every_class() {
    let (store, manifest) = phantom_store().await;
    let open = async |fraction| {
        let all = Selection { modalities: vec![], sources: vec![] };
        let dataset = Dataset::open(&store, &manifest, Split::Train, &all, Needs::Label).await.unwrap();
        dataset.with_label_fraction(fraction).await.unwrap()
    };
    let samples = async |fraction| {
        let dataset = open(fraction).await;
        let rows: Vec<RowRef> = dataset.rows().collect();
        dataset.read(&rows).await.unwrap().samples
    };
    let (tenth, half, all) = (samples(0.1).await, samples(0.5).await, samples(1.0).await);
    assert!(tenth.iter().all(|sample| half.contains(sample)) && half.iter().all(|sample| all.contains(sample)));
    assert!(tenth.len() < half.len() && half.len() < all.len(), "{} {} {}", tenth.len(), half.len(), all.len());
    assert_eq!(open(0.1).await.classes_present(), open(1.0).await.classes_present());
}
