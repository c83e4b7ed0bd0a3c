//! Everything a report shows, read from the store before anything is written.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use vismae_core::ids::CorpusName;
use vismae_shards::frame::{Frame, pgm};
use vismae_shards::manifest::{LoadManifestError, Manifest};
use vismae_shards::quarantine::{self, RefusedFile};
use vismae_shards::runs::{
    ClassifyResults, Overlay, PretrainResults, Reconstruction, Results, RunPaths, SegmentResults, StepRow, read_steps,
};
use vismae_shards::store::{Store, StoreError};

use super::ReportError;

/// How many files were refused, by the set they came with, the stage and the reason.
pub(super) type Refused = BTreeMap<(String, String, String), u64>;

/// Objects read at the same time: enough to hide the latency of a remote store.
const READS_IN_FLIGHT: usize = 8;
/// The job that makes the corpus, as job files name it.
const INGEST: &str = "ingest";
/// Most overlays shown of a run, its best and its worst among them.
const OVERLAYS_MAX: usize = 6;

/// What a report is drawn from.
pub(super) struct Gathered {
    pub(super) pipeline: String,
    /// When the last results were written, as `2026-01-31 12:00 UTC`.
    pub(super) finished: Option<String>,
    pub(super) corpora: Vec<Corpus>,
    pub(super) runs: Vec<Run>,
}

/// A corpus version that a run names.
pub(super) struct Corpus {
    pub(super) name: String,
    pub(super) version: u64,
    /// None when the store does not hold it any more.
    pub(super) content: Option<(Manifest, Refused)>,
}

/// One job.
pub(super) struct Run {
    /// Its name in the pipeline.
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

/// What a job left.
pub(super) enum Outcome {
    Pretrained(Box<Pretrained>),
    Classified(Box<ClassifyResults>),
    Segmented(Box<Segmented>),
    /// An ingest: it leaves a corpus and no results. As the other jobs wait for it, their results tell that it succeeded.
    Ingested,
    /// No results.
    Nothing,
}

impl Outcome {
    /// What the run was told, by key.
    pub(super) fn settings(&self) -> &[(String, String)] {
        match self {
            Self::Pretrained(run) => &run.results.settings,
            Self::Classified(run) => &run.settings,
            Self::Segmented(run) => &run.results.settings,
            Self::Ingested | Self::Nothing => &[],
        }
    }
}

/// A pre-training with its steps and its images.
pub(super) struct Pretrained {
    pub(super) results: PretrainResults,
    /// Empty when the run left no record of them.
    pub(super) steps: Vec<StepRow>,
    pub(super) examples: Vec<Example>,
}

/// A reconstruction with its images.
pub(super) struct Example {
    pub(super) modality: String,
    pub(super) original: Frame,
    pub(super) masked: Frame,
    pub(super) reconstructed: Frame,
    pub(super) loss: Option<f64>,
}

/// A segmentation with its images.
pub(super) struct Segmented {
    pub(super) results: SegmentResults,
    /// From the best Dice to the worst.
    pub(super) overlays: Vec<Masked>,
}

/// An image with its true and its predicted mask.
pub(super) struct Masked {
    pub(super) modality: String,
    pub(super) image: Frame,
    pub(super) truth: Frame,
    pub(super) predicted: Frame,
    pub(super) dice: f64,
}

/// Reads what the jobs left and the corpora they name.
pub(super) async fn gather(store: &Store, pipeline: &str, jobs: &[String]) -> Result<Gathered, ReportError> {
    let mut runs = Vec::new();
    for job in jobs {
        let name = job.strip_prefix(pipeline).and_then(|rest| rest.strip_prefix('.')).unwrap_or(job).to_owned();
        let outcome = match outcome(store, job).await? {
            Outcome::Nothing if name == INGEST => Outcome::Ingested,
            outcome => outcome,
        };
        runs.push(Run { name, outcome });
    }
    if runs.iter().all(|run| matches!(run.outcome, Outcome::Nothing | Outcome::Ingested)) {
        let expected = jobs.iter().map(|job| RunPaths::new(job).results()).collect();
        return Err(ReportError::NoResults { pipeline: pipeline.to_owned(), store: store.url().to_owned(), expected });
    }
    let corpora = corpora(store, &runs).await?;
    let finished = finished(store, jobs).await?;
    Ok(Gathered { pipeline: pipeline.to_owned(), finished, corpora, runs })
}

async fn outcome(store: &Store, job: &str) -> Result<Outcome, ReportError> {
    let paths = RunPaths::new(job);
    let path = paths.results();
    let Some(bytes) = get_if_there(store, &path).await? else { return Ok(Outcome::Nothing) };
    let results = serde_json::from_slice(&bytes).map_err(|source| ReportError::Results { path, source })?;
    Ok(match results {
        Results::Pretrain(results) => Outcome::Pretrained(Box::new(pretrained(store, &paths, results).await?)),
        Results::Classify(results) => Outcome::Classified(Box::new(results)),
        Results::Segment(results) => Outcome::Segmented(Box::new(segmented(store, results).await?)),
    })
}

async fn pretrained(store: &Store, paths: &RunPaths, results: PretrainResults) -> Result<Pretrained, ReportError> {
    let path = paths.metrics();
    let steps = match get_if_there(store, &path).await? {
        Some(bytes) => read_steps(&bytes).map_err(|source| ReportError::Steps { path, source })?,
        None => Vec::new(),
    };
    let reads = results.reconstructions.iter().map(|found| example(store, found));
    let examples = futures::stream::iter(reads).buffered(READS_IN_FLIGHT).try_collect().await?;
    Ok(Pretrained { results, steps, examples })
}

async fn example(store: &Store, found: &Reconstruction) -> Result<Example, ReportError> {
    Ok(Example {
        modality: found.modality.clone(),
        original: figure(store, &found.original).await?,
        masked: figure(store, &found.masked).await?,
        reconstructed: figure(store, &found.reconstructed).await?,
        loss: found.loss,
    })
}

async fn segmented(store: &Store, results: SegmentResults) -> Result<Segmented, ReportError> {
    let mut ranked: Vec<&Overlay> = results.overlays.iter().collect();
    ranked.sort_by(|one, other| other.dice.total_cmp(&one.dice));
    let reads = spread(&ranked, OVERLAYS_MAX).into_iter().map(|found| masked(store, found));
    let overlays = futures::stream::iter(reads).buffered(READS_IN_FLIGHT).try_collect().await?;
    Ok(Segmented { results, overlays })
}

async fn masked(store: &Store, found: &Overlay) -> Result<Masked, ReportError> {
    Ok(Masked {
        modality: found.modality.clone(),
        image: figure(store, &found.image).await?,
        truth: figure(store, &found.truth).await?,
        predicted: figure(store, &found.predicted).await?,
        dice: found.dice,
    })
}

/// At most so many of a list, evenly from its first to its last.
fn spread<'a, T>(all: &[&'a T], wanted: usize) -> Vec<&'a T> {
    let count = wanted.min(all.len());
    let step = |index: usize| if count > 1 { index * (all.len() - 1) / (count - 1) } else { 0 };
    (0..count).map(|index| all[step(index)]).collect()
}

async fn figure(store: &Store, path: &str) -> Result<Frame, ReportError> {
    let bytes = store.get(path).await?;
    pgm::decode(&bytes).map_err(|source| ReportError::Figure { path: path.to_owned(), source })
}

async fn corpora(store: &Store, runs: &[Run]) -> Result<Vec<Corpus>, ReportError> {
    let mut named: Vec<(String, u64)> = runs
        .iter()
        .filter_map(|run| match &run.outcome {
            Outcome::Pretrained(run) => Some((run.results.corpus.clone(), run.results.corpus_version)),
            _ => None,
        })
        .collect();
    named.sort();
    named.dedup();
    let mut corpora = Vec::new();
    for (name, version) in named {
        let content = content(store, &name, version).await?;
        corpora.push(Corpus { name, version, content });
    }
    Ok(corpora)
}

async fn content(store: &Store, corpus: &str, version: u64) -> Result<Option<(Manifest, Refused)>, ReportError> {
    let Ok(corpus) = CorpusName::new(corpus) else { return Ok(None) };
    let manifest = match Manifest::load(store, &corpus, Some(version)).await {
        Ok(manifest) => manifest,
        Err(LoadManifestError::NoCorpus { .. } | LoadManifestError::NoVersion { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut refused = Refused::new();
    for RefusedFile { source, stage, reason, .. } in quarantine::read(store, &manifest).await? {
        *refused.entry((source, stage, reason)).or_default() += 1;
    }
    Ok(Some((manifest, refused)))
}

/// When the last results were written. The same store gives the same report, whenever it is drawn.
async fn finished(store: &Store, jobs: &[String]) -> Result<Option<String>, ReportError> {
    let objects = store.object_store();
    let mut latest = None;
    for job in jobs {
        let path = RunPaths::new(job).results();
        match objects.head(&Path::from(path.as_str())).await {
            Ok(meta) => latest = latest.max(Some(meta.last_modified)),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => {
                let store = store.url().to_owned();
                return Err(StoreError::Failed { operation: "read", path, store, source: source.into() }.into());
            }
        }
    }
    Ok(latest.map(|time| time.format("%Y-%m-%d %H:%M UTC").to_string()))
}

async fn get_if_there(store: &Store, path: &str) -> Result<Option<bytes::Bytes>, ReportError> {
    match store.get(path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
