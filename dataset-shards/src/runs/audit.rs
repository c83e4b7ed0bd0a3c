//! Whether the samples behind the weights of a run are those of its plan, each once an epoch: worked out anew from the manifest of the
//! corpus, and compared with what the ranks found in their hands at every step.

use std::collections::{BTreeSet, HashSet};

use futures::{StreamExt as _, stream};
use serde::Serialize;
use vismae_core::ids::{CorpusName, Epoch};

use super::ledger::{Begin, CommittedFile, End, Entry, Ledger, LedgerError};
use super::paths::{RunNumber, RunPaths};
use super::steps::{StepRow, read_steps};
use crate::loader::{Dataset, Needs, OpenDatasetError};
use crate::manifest::{ContentHash, LoadManifestError, Manifest};
use crate::order::{Plan, RowsDigest};
use crate::split::Split;
use crate::store::{Store, StoreError};

/// What an audit came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// Whether the samples behind the committed weights are exactly those of the plan.
    pub exact: bool,
    /// Which of the runs of this name.
    pub run: u64,
    /// The corpus.
    pub corpus: String,
    /// The version of it.
    pub corpus_version: u64,
    /// Groups of ranks that have begun.
    pub groups: u64,
    /// Steps behind the committed weights; none where none are committed.
    pub steps: Option<u64>,
    /// The files of the commit.
    pub files: Vec<CommittedFile>,
    /// One for each epoch of the plan.
    pub epochs: Vec<EpochAudit>,
    /// What is not as it should be; nothing when all is exact.
    pub findings: Vec<Finding>,
}

/// One epoch: what was planned, and what the record of steps says was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EpochAudit {
    /// Counts from 0.
    pub epoch: u32,
    /// Samples of the plan, all of them different.
    pub planned: u64,
    /// Samples taken.
    pub taken: u64,
    /// Steps taken.
    pub steps: u64,
    /// The groups of ranks that took them, by their generations.
    pub generations: Vec<u64>,
    /// All rows of the plan, each with its step.
    pub planned_digest: RowsDigest,
    /// All rows taken, each with its step.
    pub taken_digest: RowsDigest,
    /// Whether each step took the rows of the plan, and those are all there are, each once.
    pub exact: bool,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// For programs: `unfinished`, `file`, `plan`, `steps`, `rows`, `order` or `generation`.
    pub kind: &'static str,
    /// What was found and what was expected.
    pub message: String,
}

impl Finding {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Why there is nothing to audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// No run of this name has a ledger.
    #[error("`{folder}` in `{store}` has no ledger{}", named(runs))]
    NoLedger {
        /// The folder of the run.
        folder: String,
        /// URL of the store.
        store: String,
        /// The runs that have one.
        runs: Vec<String>,
    },
    /// The ledger says nothing of what the run is to do.
    #[error("the ledger of run {run} does not begin with what the run is to do")]
    NoBegin {
        /// The run.
        run: RunNumber,
    },
    /// The ledger can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The corpus can't be read.
    #[error(transparent)]
    Corpus(#[from] LoadManifestError),
    /// Its rows can't be listed.
    #[error(transparent)]
    Dataset(#[from] OpenDatasetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn named(runs: &[String]) -> String {
    if runs.is_empty() { String::new() } else { format!("; these pre-trainings have one: {}", runs.join(", ")) }
}

/// Audits the latest run of a name. Progress is told in epochs done, of how many.
///
/// # Errors
/// [`AuditError`] where there is nothing to compare; whatever is there and wrong is a [`Finding`].
pub async fn audit(store: &Store, paths: &RunPaths, progress: impl Fn(u64, u64)) -> Result<Audit, AuditError> {
    let Some(run) = Ledger::runs(store, paths).await?.pop() else { return Err(no_ledger(store, paths).await?) };
    let ledger = Ledger::open(store, paths, run).await?;
    let begin = ledger.begin().ok_or(AuditError::NoBegin { run })?.clone();
    let mut findings = order_of(&ledger);
    let plan = planned(store, &begin, &mut findings).await?;
    let rows = match committed(&ledger) {
        None => {
            findings.push(Finding::new("unfinished", "the run has committed no weights yet"));
            Vec::new()
        }
        Some((generation, end)) => {
            let rows = steps_of(store, paths, end, &weights_of(&ledger), &mut findings).await?;
            compare_steps(&rows, (generation, end), &begin, &mut findings);
            rows
        }
    };
    let end = committed(&ledger).map(|(_, end)| end);
    let mut epochs = Vec::new();
    if let Some(plan) = plan {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let of = |epoch| {
            let plan = plan.clone();
            let taken: Vec<StepRow> = rows.iter().filter(|row| row.epoch == epoch).cloned().collect();
            async move { tokio::task::spawn_blocking(move || audit_epoch(&plan, epoch, &taken)).await }
        };
        // No more than there can be steps of: a ledger may say anything.
        let recorded = rows.len() as u64 / plan.steps_per_epoch().max(1) + 1;
        let epochs_there = u64::from(begin.epochs).min(recorded) as u32;
        let mut audits = stream::iter((0..epochs_there).map(of)).buffered(threads);
        while let Some(Ok((audit, found))) = audits.next().await {
            // Epochs that are still to come are no fault of a run that goes on.
            findings.extend(found.into_iter().filter(|_| end.is_some()));
            epochs.push(audit);
            progress(epochs.len() as u64, begin.epochs.into());
        }
    }
    let exact = findings.is_empty() && epochs.len() == begin.epochs as usize && epochs.iter().all(|epoch| epoch.exact);
    Ok(Audit {
        exact,
        run: run.0,
        corpus: begin.corpus,
        corpus_version: begin.corpus_version,
        groups: ledger.records().iter().filter(|record| matches!(record.entry, Entry::Group(_))).count() as u64,
        steps: end.map(|end| end.steps),
        files: end.map(|end| end.files.clone()).unwrap_or_default(),
        epochs,
        findings,
    })
}

async fn no_ledger(store: &Store, paths: &RunPaths) -> Result<AuditError, StoreError> {
    let mut runs = Vec::new();
    for name in store.folders("runs").await? {
        if !Ledger::runs(store, &RunPaths::new(&name)).await?.is_empty() {
            runs.push(name);
        }
    }
    Ok(AuditError::NoLedger { folder: paths.folder().to_owned(), store: store.url().to_owned(), runs })
}

/// The last commit. There can be more than one: a rank that dies between its commit and the word of it leaves the others to commit
/// the same steps again, over its files.
fn committed(ledger: &Ledger) -> Option<(u64, &End)> {
    ledger.records().iter().rev().find_map(|record| match &record.entry {
        Entry::End(end) => Some((record.generation, end)),
        _ => None,
    })
}

/// The weights of every commit.
fn weights_of(ledger: &Ledger) -> Vec<ContentHash> {
    let ends = ledger.records().iter().filter_map(|record| match &record.entry {
        Entry::End(end) => Some(end),
        _ => None,
    });
    let files = ends.flat_map(|end| &end.files).filter(|file| file.path.ends_with("/model.safetensors"));
    files.map(|file| file.blake3).collect()
}

/// Whether no group has written behind one that took its place, and none began further than the run goes.
fn order_of(ledger: &Ledger) -> Vec<Finding> {
    let (mut findings, mut newest) = (Vec::new(), 0);
    for (number, record) in ledger.records().iter().enumerate() {
        if record.generation < newest {
            let message = format!("entry {number} is of generation {}, behind one of {newest}", record.generation);
            findings.push(Finding::new("order", message));
        }
        if number > 0 && matches!(record.entry, Entry::Begin(_)) {
            findings.push(Finding::new("order", format!("entry {number} begins the run again")));
        }
        newest = newest.max(record.generation);
    }
    findings
}

/// The plan, worked out from the manifest; none where the corpus is not the one that the run began with.
async fn planned(store: &Store, begin: &Begin, findings: &mut Vec<Finding>) -> Result<Option<Plan>, AuditError> {
    let Ok(corpus) = CorpusName::new(begin.corpus.as_str()) else {
        findings.push(Finding::new("plan", format!("`{}` is no name of a corpus", begin.corpus)));
        return Ok(None);
    };
    let manifest = Manifest::load(store, &corpus, Some(begin.corpus_version)).await?;
    let dataset = Dataset::open(store, &manifest, Split::Train, &begin.selection(), Needs::Any).await?;
    let plan = match Plan::new(&dataset.row_counts(), begin.plan_spec()) {
        Ok(plan) => plan,
        Err(error) => {
            findings.push(Finding::new("plan", error.to_string()));
            return Ok(None);
        }
    };
    let (own, said) = ((plan.samples(), plan.steps_per_epoch()), (begin.samples_per_epoch, begin.steps_per_epoch));
    if u64::from(begin.lanes) > own.0 {
        findings.push(Finding::new("plan", format!("{} lanes for {} samples", begin.lanes, own.0)));
        return Ok(None);
    }
    if own != said {
        let message = format!(
            "the manifest gives {} samples in {} steps an epoch, the run began with {} in {}",
            own.0, own.1, said.0, said.1
        );
        findings.push(Finding::new("plan", message));
    }
    Ok(Some(plan))
}

/// Compares the files of a commit with what is in the store; gives the record of its steps.
async fn steps_of(
    store: &Store,
    paths: &RunPaths,
    end: &End,
    weights: &[ContentHash],
    findings: &mut Vec<Finding>,
) -> Result<Vec<StepRow>, AuditError> {
    let mut steps = None;
    for file in &end.files {
        let bytes = match store.get(&file.path).await {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. }) => {
                findings.push(Finding::new("file", format!("`{}` is missing", file.path)));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if ContentHash::of(&bytes) != file.blake3 {
            let message =
                format!("`{}` is not what was committed: it has another hash than {}", file.path, file.blake3);
            findings.push(Finding::new("file", message));
        }
        if file.path.ends_with("/steps.csv") {
            match read_steps(&bytes) {
                Ok(rows) => steps = Some(rows),
                Err(error) => findings.push(Finding::new("file", format!("`{}`: {error}", file.path))),
            }
        }
    }
    if steps.is_none() {
        findings.push(Finding::new("steps", "the commit has no record of its steps"));
    }
    if !end.files.iter().any(|file| file.path.ends_with("/model.safetensors")) {
        findings.push(Finding::new("file", "the commit has no weights"));
    }
    // What people take the weights from is a copy of what was committed; of either commit, where there are two.
    let copy = match store.get(&paths.model()).await {
        Ok(bytes) => Some(ContentHash::of(&bytes)),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if copy.is_some_and(|copy| !weights.contains(&copy)) {
        findings.push(Finding::new("file", format!("`{}` is not what was committed", paths.model())));
    }
    Ok(steps.unwrap_or_default())
}

/// Whether the record has every step once, in order, and the groups that took them followed each other.
fn compare_steps(rows: &[StepRow], (last, end): (u64, &End), begin: &Begin, findings: &mut Vec<Finding>) {
    let counts = BTreeSet::from([begin.steps(), end.steps, rows.len() as u64]);
    if counts.len() > 1 {
        let (planned, committed, recorded) = (begin.steps(), end.steps, rows.len());
        let message = format!("{planned} steps are planned, {committed} committed and {recorded} recorded");
        findings.push(Finding::new("steps", message));
    }
    let strays = (0..)
        .zip(rows)
        .find(|(number, row)| row.step != *number || u64::from(row.epoch) != number / begin.steps_per_epoch.max(1));
    if let Some((number, row)) = strays {
        let message = format!("step {} of epoch {} is recorded in place of step {number}", row.step, row.epoch);
        findings.push(Finding::new("steps", message));
    }
    let generations: Vec<u64> = rows.iter().map(|row| row.generation.unwrap_or(u64::MAX)).chain([last]).collect();
    if let Some(step) = generations.windows(2).position(|pair| pair[0] > pair[1]) {
        let message = format!("step {step} was taken by generation {}, which had been replaced", generations[step]);
        findings.push(Finding::new("generation", message));
    }
}

/// Compares the steps of an epoch with the plan, and the plan with all rows there are.
fn audit_epoch(plan: &Plan, epoch: u32, taken: &[StepRow]) -> (EpochAudit, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut distinct = HashSet::new();
    let (mut planned, mut planned_digest, mut wrong) = (0, RowsDigest::default(), None);
    let steps = plan.epoch(Epoch(epoch)).into_steps(plan.all_lanes(), 0);
    for (step, (rows, _)) in (0..).zip(steps) {
        let digest = RowsDigest::of(Epoch(epoch), step, &rows);
        planned += rows.len() as u64;
        planned_digest += digest;
        let found = taken.get(step as usize);
        if found.is_none_or(|found| found.digest != Some(digest) || found.samples as usize != rows.len()) {
            wrong.get_or_insert(step);
        }
        distinct.extend(rows);
    }
    if distinct.len() as u64 != plan.samples() || planned != plan.samples() {
        let message = format!(
            "the plan of epoch {epoch} takes {} of {} samples, and {planned} in all",
            distinct.len(),
            plan.samples()
        );
        findings.push(Finding::new("plan", message));
    }
    if let Some(step) = wrong {
        let message = match taken.get(step as usize) {
            Some(_) => format!("step {step} of epoch {epoch} did not take the rows of the plan"),
            None => format!("step {step} of epoch {epoch} was not taken"),
        };
        findings.push(Finding::new("rows", message));
    }
    let generations: BTreeSet<u64> = taken.iter().filter_map(|row| row.generation).collect();
    let audit = EpochAudit {
        epoch,
        planned,
        taken: taken.iter().map(|row| u64::from(row.samples)).sum(),
        steps: taken.len() as u64,
        generations: generations.into_iter().collect(),
        planned_digest,
        taken_digest: taken.iter().filter_map(|row| row.digest).fold(RowsDigest::default(), |sum, one| sum + one),
        exact: findings.is_empty() && taken.len() as u64 == plan.steps_per_epoch(),
    };
    (audit, findings)
}

#[cfg(test)]
mod tests;
