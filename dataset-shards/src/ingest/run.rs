//! The course of an ingest: many threads prepare files, one task takes them in order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;
use vismae_core::spec::IngestSpec;

use super::commit::{Committed, commit, write_quarantine};
use super::groups::Groups;
use super::input::{self, Item};
use super::prepare::{Outcome, Prepared, prepare};
use super::quarantine::{Quarantined, Refusal};
use super::series::{self, Unit};
use super::shards::ShardSet;
use super::{IngestError, IngestOptions, IngestProgress, IngestSummary};
use crate::manifest::{Counts, Manifest};
use crate::memory::Budget;
use crate::sample::SampleId;
use crate::schema::{FrameRow, shard_schema};
use crate::store::Store;

/// Files prepared or waiting for their turn, for each thread: what one slow file lets the others run ahead.
const AHEAD_PER_THREAD: usize = 4;

pub(super) async fn run(
    store: &Store,
    spec: &IngestSpec,
    options: &IngestOptions,
    progress: &(impl Fn(IngestProgress) + Send + Sync),
) -> Result<IngestSummary, IngestError> {
    let started = Instant::now();
    let inputs = spec.inputs.clone();
    let listing = tokio::task::spawn_blocking(move || input::list(&inputs)).await.map_err(IngestError::Thread)?;
    let items: Vec<Arc<Item>> = listing?.into_iter().map(Arc::new).collect();
    let mut intake = Intake::new(store, spec, options, &items);
    let threads = options.threads.max(1);
    let units: Vec<Arc<Unit>> = series::assemble(&items, threads).await?.into_iter().map(Arc::new).collect();
    let memory = Budget::new(options.memory);
    let mut outcomes = Box::pin(outcomes(&units, spec, threads, &memory));
    for unit in &units {
        let Some(outcomes) = outcomes.next().await else { break };
        for (item, outcome) in unit.items.iter().zip(outcomes?) {
            intake.take(item, outcome).await?;
        }
        progress(intake.progress(items.len()));
    }
    let summary = intake.finish(store, spec).await?;
    Ok(IngestSummary { seconds: started.elapsed().as_secs_f64(), ..summary })
}

/// What becomes of each file of each unit, in their order, prepared on at most `threads` threads at a time.
fn outcomes(
    units: &[Arc<Unit>],
    spec: &IngestSpec,
    threads: usize,
    memory: &Arc<Budget>,
) -> impl futures::Stream<Item = Result<Vec<Outcome>, IngestError>> {
    let (spec, slots) = (Arc::new(spec.clone()), Arc::new(Semaphore::new(threads)));
    let memory = Arc::clone(memory);
    stream::iter(units.to_vec())
        .map(move |unit| {
            let (spec, slots, memory) = (Arc::clone(&spec), Arc::clone(&slots), Arc::clone(&memory));
            AbortOnDropHandle::new(tokio::spawn(async move {
                let slot = slots.acquire_owned().await;
                let work = move || {
                    let outcomes = prepare(&unit, &spec, &memory);
                    drop(slot);
                    outcomes
                };
                tokio::task::spawn_blocking(work).await
            }))
        })
        .buffered(threads * AHEAD_PER_THREAD)
        .map(|outcomes| outcomes.and_then(|inner| inner).map_err(IngestError::Thread))
}

/// Takes outcomes in order and keeps the books.
struct Intake {
    groups: Groups,
    classes: Vec<String>,
    side: u32,
    shards: ShardSet,
    /// The label of every frame kept, by its pixels.
    seen: HashMap<SampleId, Option<i64>>,
    /// The same frames, by the values they were made from.
    sources: HashMap<[u8; 32], SampleId>,
    refused: Vec<Quarantined>,
    summary: IngestSummary,
}

impl Intake {
    fn new(store: &Store, spec: &IngestSpec, options: &IngestOptions, items: &[Arc<Item>]) -> Self {
        let classes: BTreeSet<String> = items.iter().filter_map(|item| item.label.clone()).collect();
        let classes: Vec<String> = classes.into_iter().collect();
        let shards = ShardSet::new(store, Manifest::folder(&spec.corpus), shard_schema(&classes), spec.image_size);
        Self {
            groups: Groups::new(options.pseudonym_key.clone(), items.iter().map(Arc::as_ref)),
            classes,
            side: spec.image_size,
            shards,
            seen: HashMap::new(),
            sources: HashMap::new(),
            refused: Vec::new(),
            summary: IngestSummary::default(),
        }
    }

    async fn take(&mut self, item: &Item, outcome: Outcome) -> Result<(), IngestError> {
        self.summary.files += 1;
        match outcome {
            Outcome::Prepared(prepared) => self.keep(item, prepared).await?,
            Outcome::NotAnImage => self.summary.not_images += 1,
            Outcome::Refused(refusal) => self.refuse(item, refusal),
        }
        Ok(())
    }

    async fn keep(&mut self, item: &Item, prepared: Prepared) -> Result<(), IngestError> {
        let (group_id, split) = match self.groups.assign(item, prepared.patient.as_deref(), prepared.study.as_deref()) {
            Ok(assigned) => assigned,
            Err(refusal) => {
                self.refuse(item, refusal);
                return Ok(());
            }
        };
        let label = item.label.as_ref().and_then(|label| self.classes.binary_search(label).ok());
        let label = label.and_then(|label| i64::try_from(label).ok());
        self.summary.nearly_empty += prepared.nearly_empty;
        for note in prepared.notes {
            *self.summary.notes.entry(note.code()).or_default() += 1;
        }
        let mut conflict = false;
        for frame in prepared.frames {
            let kept = self.sources.get(&frame.source).unwrap_or(&frame.id);
            if let Some(&known) = self.seen.get(kept) {
                conflict |= matches!((known, label), (Some(known), Some(label)) if known != label);
                self.summary.duplicates += 1;
                continue;
            }
            self.seen.insert(frame.id, label);
            self.sources.insert(frame.source, frame.id);
            self.summary.labels += u64::from(label.is_some());
            self.summary.masks += u64::from(frame.mask.is_some());
            *self.summary.frames.entry((prepared.modality, split)).or_default() += 1;
            let row = FrameRow {
                image: frame.image,
                mask: frame.mask,
                sample_id: frame.id,
                modality: prepared.modality,
                group_id: group_id.clone(),
                source: Arc::clone(&item.source),
                side: self.side,
                spacing_mm: prepared.spacing_mm,
                split,
                label,
            };
            self.shards.push(row).await?;
        }
        if conflict {
            let message =
                "holds the same pixels as an earlier file with another label, expected one label for one image";
            self.refuse(item, Refusal::new("split", "label_conflict", message));
        }
        Ok(())
    }

    fn refuse(&mut self, item: &Item, refusal: Refusal) {
        *self.summary.quarantined.entry(refusal.code).or_default() += 1;
        let alias = self.groups.key().alias(&item.source, &item.file);
        self.refused.push(Quarantined { source: Arc::clone(&item.source), alias, refusal });
    }

    fn progress(&self, files: usize) -> IngestProgress {
        IngestProgress {
            files_done: self.summary.files,
            files_total: files as u64,
            frames: self.seen.len() as u64,
            quarantined: self.refused.len() as u64,
        }
    }

    async fn finish(self, store: &Store, spec: &IngestSpec) -> Result<IngestSummary, IngestError> {
        let mut summary = self.summary;
        if self.seen.is_empty() {
            let quarantine = write_quarantine(store, &spec.corpus, "uncommitted", &self.refused).await?;
            let refused = describe_refused(&summary, quarantine.as_deref(), self.refused.first());
            return Err(IngestError::NoFrames { inputs: spec.inputs.clone(), files: summary.files, refused });
        }
        let shards = self.shards.finish().await?;
        let counts = Counts { frames: summary.total_frames(), labels: summary.labels, masks: summary.masks };
        let committed = commit(store, spec, self.classes, shards, (counts, &self.refused)).await?;
        let Committed { version, new, quarantine } = committed;
        (summary.version, summary.committed, summary.quarantine) = (version, new, quarantine);
        Ok(summary)
    }
}

fn describe_refused(summary: &IngestSummary, quarantine: Option<&str>, first: Option<&Quarantined>) -> String {
    let mut parts: Vec<String> =
        summary.quarantined.iter().map(|(code, files)| format!("{files} quarantined as `{code}`")).collect();
    if summary.not_images > 0 {
        parts.push(format!("{} hold no image", summary.not_images));
    }
    if summary.nearly_empty > 0 {
        parts.push(format!("{} slices show little but background", summary.nearly_empty));
    }
    if let Some(first) = first {
        parts.push(format!("the first because {}", first.refusal.message));
    }
    if let Some(path) = quarantine {
        parts.push(format!("the list is `{path}`"));
    }
    if parts.is_empty() { "expected image files or a manifest that lists some".to_owned() } else { parts.join(", ") }
}
