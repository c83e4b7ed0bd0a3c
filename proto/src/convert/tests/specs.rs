//! Any specification that can be written, sensible or not.

use std::time::Duration;

use super::*;

fn name() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9-]{0,46}[a-z0-9])?"
}

/// Any number but those that are none, which equal nothing.
fn number() -> impl Strategy<Value = f64> {
    prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL | prop::num::f64::INFINITE
}

fn window() -> impl Strategy<Value = Window> {
    (number(), number()).prop_map(|(low, high)| Window { low, high })
}

fn optimisers() -> impl Strategy<Value = OptimiserSpec> {
    (number(), number(), number(), prop::option::of(number())).prop_map(
        |(learning_rate, weight_decay, warmup_epochs, clip_norm)| OptimiserSpec {
            learning_rate,
            weight_decay,
            warmup_epochs,
            clip_norm,
        },
    )
}

fn selections() -> impl Strategy<Value = Selection> {
    let modalities = prop::collection::vec(prop::sample::select(Modality::ALL.to_vec()), 0..6);
    (modalities, prop::collection::vec(".*", 0..3)).prop_map(|(modalities, sources)| Selection { modalities, sources })
}

fn models() -> impl Strategy<Value = ModelSpec> {
    let lists = (prop::collection::vec(any::<u32>(), 0..5), prop::collection::vec(any::<u32>(), 0..5));
    (any::<[u32; 5]>(), lists, number(), number(), any::<bool>()).prop_map(
        |([image_size, patch_size, embed_dim, window, mask_unit], (depths, heads), mask_ratio, drop_path, flag)| {
            ModelSpec {
                image_size,
                patch_size,
                embed_dim,
                depths,
                heads,
                window,
                mask_unit,
                mask_ratio,
                drop_path,
                normalise_targets: flag,
            }
        },
    )
}

fn ingests() -> impl Strategy<Value = JobKind> {
    let words = (prop::sample::select(Fit::ALL.to_vec()), prop::sample::select(XrayRange::ALL.to_vec()));
    let windows = (prop::collection::vec(window(), 0..4), window());
    (name(), prop::collection::vec(".*", 0..3), any::<[u32; 2]>(), words, windows, number()).prop_map(
        |(corpus, inputs, [image_size, workers], (fit, xray_range), (ct_windows, percentiles), minimum_content)| {
            JobKind::Ingest(IngestSpec {
                corpus: CorpusName::new(corpus).unwrap(),
                inputs,
                image_size,
                workers,
                fit,
                xray_range,
                ct_windows,
                percentiles,
                minimum_content,
            })
        },
    )
}

fn pretrains() -> impl Strategy<Value = JobKind> {
    let checkpoints = (any::<[u32; 3]>(), prop::option::of((1..1_000_000_u64).prop_map(Duration::from_secs)))
        .prop_map(|([every, latest, best], younger_than)| CheckpointSpec { every, latest, best, younger_than });
    (selections(), models(), optimisers(), any::<[u32; 5]>(), any::<(u64, bool)>(), checkpoints).prop_map(
        |(
            selection,
            model,
            optimiser,
            [epochs, global_batch, lanes, slots, min_slots],
            (seed, exclude_stragglers),
            checkpoints,
        )| {
            JobKind::Pretrain(PretrainSpec {
                selection,
                model,
                optimiser,
                epochs,
                global_batch,
                lanes,
                slots,
                min_slots,
                seed,
                checkpoints,
                exclude_stragglers,
                ..pretrain()
            })
        },
    )
}

fn finetunes() -> impl Strategy<Value = JobKind> {
    let start = prop::option::of(name()).prop_map(|job| match job {
        Some(job) => Initialisation::Pretrained(JobName::new(job).unwrap()),
        None => Initialisation::Random,
    });
    let task = prop::sample::select(vec![FinetuneTask::Classify, FinetuneTask::Segment]);
    (task, start, selections(), models(), optimisers(), any::<[u32; 2]>(), any::<u64>(), number()).prop_map(
        |(task, start, selection, model, optimiser, [epochs, batch], seed, label_fraction)| {
            JobKind::Finetune(FinetuneSpec {
                selection,
                model,
                optimiser,
                epochs,
                batch,
                seed,
                label_fraction,
                ..finetune(task, start)
            })
        },
    )
}

/// Any pipeline.
pub(super) fn pipelines() -> impl Strategy<Value = PipelineSpec> {
    let kind = prop_oneof![ingests(), pretrains(), finetunes()];
    let job = (name(), prop::collection::vec(name(), 0..3), kind).prop_map(|(name, needed, kind)| {
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        job(&name, &needed, kind)
    });
    let deadline = prop::option::of((1..1_000_000_u64).prop_map(Duration::from_secs));
    let when = (any::<bool>(), deadline);
    (
        name(),
        prop::sample::select(vec!["s3://bucket/a/b?region=r".to_owned(), "file:///data".to_owned()]),
        prop::collection::vec(job, 0..4),
        any::<i32>(),
        name(),
        when,
    )
        .prop_map(|(name, store_url, jobs, priority, namespace, (suspended, deadline))| PipelineSpec {
            name: PipelineId::new(name).unwrap(),
            store_url,
            jobs,
            priority,
            namespace: NamespaceName::new(namespace).unwrap(),
            suspended,
            deadline,
        })
}
