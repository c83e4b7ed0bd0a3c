//! The course of an ingest: files are listed, cut into tasks, prepared by a crew, and taken in order by its first member.

use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt, future};
use vismae_core::spec::IngestSpec;

use super::catalogue::{Catalogue, UnitKey, unit_keys};
use super::crew::{Staging, task_key};
use super::input::{self, Item};
use super::intake::Intake;
use super::outcome::{Digest, Outcome};
use super::series::{self, Unit};
use super::tasks::{Kitchen, Task, collect, cut};
use super::{IngestError, IngestOptions, IngestProgress, IngestSummary};
use crate::manifest::Manifest;
use crate::memory::Budget;
use crate::store::Store;

/// From so many tasks on, one that works alone keeps what it has prepared: what is less is sooner done again than put away.
const STAGED_FROM: usize = 64;

/// What every member of a crew finds by itself.
struct Work {
    items: Vec<Arc<Item>>,
    units: Vec<(Arc<Unit>, UnitKey)>,
    latest: Option<Manifest>,
    catalogue: Catalogue,
    kitchen: Kitchen,
}

impl Work {
    async fn find(store: &Store, spec: &IngestSpec, options: &IngestOptions) -> Result<Self, IngestError> {
        let inputs = spec.inputs.clone();
        let listing = tokio::task::spawn_blocking(move || input::list(&inputs)).await.map_err(IngestError::Thread)?;
        let items: Vec<Arc<Item>> = listing?.into_iter().map(Arc::new).collect();
        let threads = options.threads.max(1);
        let units: Vec<Arc<Unit>> = series::assemble(&items, threads).await?.into_iter().map(Arc::new).collect();
        let keys = unit_keys(&units, spec, options)?;
        let latest = Manifest::latest(store, &spec.corpus).await?;
        let catalogue = Catalogue::load(store, &spec.corpus, latest.as_ref()).await?;
        let kitchen = Kitchen {
            spec: Arc::new(spec.clone()),
            key: options.pseudonym_key.clone(),
            memory: Budget::new(options.memory),
            threads,
        };
        Ok(Self { items, units: units.into_iter().zip(keys).collect(), latest, catalogue, kitchen })
    }

    /// The units that no earlier ingest has read as they are now.
    fn pending(&self) -> Vec<(Arc<Unit>, UnitKey)> {
        self.units.iter().filter(|(_, key)| !self.catalogue.units.contains_key(key)).cloned().collect()
    }

    /// Equal for members of a crew that have the same work before them.
    fn digest(&self) -> Digest {
        let all = self.units.iter().chain(&self.pending()).map(|(_, key)| *key).collect::<Vec<_>>();
        task_key(&all)
    }
}

/// The part of the first member: it takes what all prepare, and commits.
pub(super) async fn lead(
    store: &Store,
    spec: &IngestSpec,
    options: &IngestOptions,
    progress: &(impl Fn(IngestProgress) + Send + Sync),
) -> Result<IngestSummary, IngestError> {
    let started = Instant::now();
    let work = Work::find(store, spec, options).await?;
    let staging = Staging::new(store, &spec.corpus, &options.crew);
    let (pending, kitchen) = (work.pending(), work.kitchen.clone());
    let tasks = cut(pending.clone());
    let staged = !options.crew.is_alone() || tasks.len() >= STAGED_FROM || staging.is_begun().await?;
    let summary = if staged {
        staging.begin(&work.digest()).await?;
        let helping = kitchen.work(&staging, &options.crew, &tasks);
        let taking = take_in(store, work, collect(&staging, &tasks, &kitchen), progress);
        let summary = future::try_join(helping, taking).await?.1;
        staging.end().await?;
        summary
    } else {
        let units = pending.into_iter().map(|(unit, _)| unit).collect();
        take_in(store, work, kitchen.prepare_all(units), progress).await?
    };
    Ok(IngestSummary { seconds: started.elapsed().as_secs_f64(), ..summary })
}

/// The part of the other members: they prepare what nobody else does, until nothing is left.
pub(super) async fn help(store: &Store, spec: &IngestSpec, options: &IngestOptions) -> Result<(), IngestError> {
    let work = Work::find(store, spec, options).await?;
    let staging = Staging::new(store, &spec.corpus, &options.crew);
    if staging.is_over().await? {
        return Ok(());
    }
    staging.agree(&work.digest()).await?;
    let tasks: Vec<Task> = cut(work.pending());
    work.kitchen.work(&staging, &options.crew, &tasks).await
}

/// Takes every unit in order, from the catalogue or as it is prepared, and commits.
async fn take_in(
    store: &Store,
    work: Work,
    prepared: impl Stream<Item = Result<Vec<Outcome>, IngestError>>,
    progress: &(impl Fn(IngestProgress) + Send + Sync),
) -> Result<IngestSummary, IngestError> {
    let Work { items, units, latest, mut catalogue, kitchen } = work;
    let mut intake = Intake::new(store, kitchen, &items, latest, &mut catalogue)?;
    let mut prepared = std::pin::pin!(prepared);
    for (unit, key) in &units {
        let outcomes = match catalogue.units.get(key) {
            Some(known) => {
                intake.count_unchanged(unit);
                known.clone()
            }
            None => prepared.next().await.ok_or(IngestError::FilesChanged)??,
        };
        intake.take(unit, *key, outcomes).await?;
        progress(intake.progress(items.len()));
    }
    intake.finish(store).await
}
