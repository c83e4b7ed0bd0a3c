//! The books of an ingest: what becomes of each file in their order, which frames are new, and which are there already.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use vismae_core::spec::{IngestSpec, Modality};

use super::base::{Base, RowIdentity, row_digest};
use super::catalogue::{Catalogue, UnitKey};
use super::commit::{Committed, commit, write_quarantine};
use super::groups::Groups;
use super::input::Item;
use super::outcome::{Digest, Outcome, Pixels, Prepared, PreparedFrame, Refused};
use super::quarantine::{Quarantined, Refusal};
use super::series::Unit;
use super::shards::{ShardWriter, ShardWriterOptions};
use super::tasks::Kitchen;
use super::{IngestError, IngestProgress, IngestSummary};
use crate::manifest::{Counts, Manifest, Recipe, Shard};
use crate::sample::SampleId;
use crate::schema::{FrameRow, shard_schema};
use crate::split::Split;
use crate::store::Store;

/// Takes outcomes in the order of the files, and keeps the books.
pub(super) struct Intake {
    kitchen: Kitchen,
    groups: Groups,
    classes: Vec<String>,
    shards: ShardWriter,
    /// The digests of the rows of new shards, in the order they were written.
    written: BTreeMap<(Modality, Split), Vec<Digest>>,
    base: Base,
    /// What the next ingest will know of these units.
    units: BTreeMap<UnitKey, Vec<Outcome>>,
    /// The label of every frame kept, by its pixels.
    seen: HashMap<SampleId, Option<i64>>,
    /// The same frames, by the values they were made from.
    sources: HashMap<Digest, SampleId>,
    refused: Vec<Quarantined>,
    summary: IngestSummary,
}

/// The pixels of a unit that was not read, in case one of its rows is in no shard any more.
struct Reread<'a> {
    kitchen: &'a Kitchen,
    unit: &'a Arc<Unit>,
    outcomes: Option<Vec<Outcome>>,
}

impl Intake {
    pub(super) fn new(
        store: &Store,
        kitchen: Kitchen,
        items: &[Arc<Item>],
        latest: Option<Manifest>,
        catalogue: &mut Catalogue,
    ) -> Result<Self, IngestError> {
        let spec = Arc::clone(&kitchen.spec);
        let classes = classes(&spec, items, latest.as_ref());
        let shards = ShardWriterOptions {
            folder: Manifest::folder(&spec.corpus),
            schema: shard_schema(&classes),
            image_size: spec.image_size,
            threads: kitchen.threads,
        };
        Ok(Self {
            groups: Groups::new(kitchen.key.clone(), items.iter().map(Arc::as_ref)),
            kitchen,
            classes,
            shards: ShardWriter::new(store, shards)?,
            written: BTreeMap::new(),
            base: Base::new(latest, catalogue),
            units: BTreeMap::new(),
            seen: HashMap::new(),
            sources: HashMap::new(),
            refused: Vec::new(),
            summary: IngestSummary::default(),
        })
    }

    /// Takes what became of the files of a unit that was read in this ingest, or in an earlier one.
    pub(super) async fn take(
        &mut self,
        unit: &Arc<Unit>,
        key: UnitKey,
        outcomes: Vec<Outcome>,
    ) -> Result<(), IngestError> {
        let kitchen = self.kitchen.clone();
        let mut reread = Reread { kitchen: &kitchen, unit, outcomes: None };
        for (at, (item, outcome)) in unit.items.iter().zip(&outcomes).enumerate() {
            self.summary.files += 1;
            match outcome {
                Outcome::Prepared(prepared) => self.keep(item, at, prepared, &mut reread).await?,
                Outcome::NotAnImage => self.summary.not_images += 1,
                Outcome::Refused(refused) => self.refuse(item, refused.clone()),
            }
        }
        // What could not be read may be there the next time, though nothing else about it has changed.
        if !outcomes.iter().any(Outcome::may_pass) {
            self.units.insert(key, outcomes.into_iter().map(Outcome::without_pixels).collect());
        }
        Ok(())
    }

    /// Counts files that need not be read, since nothing about them has changed.
    pub(super) fn count_unchanged(&mut self, unit: &Unit) {
        self.summary.unchanged += unit.items.len() as u64;
    }

    async fn keep(
        &mut self,
        item: &Item,
        at: usize,
        prepared: &Prepared,
        reread: &mut Reread<'_>,
    ) -> Result<(), IngestError> {
        let (group_id, split) = match self.groups.assign(item, prepared.patient.as_deref(), prepared.study.as_deref()) {
            Ok(assigned) => assigned,
            Err(refusal) => {
                self.refuse(item, refusal.into());
                return Ok(());
            }
        };
        let label = item.label.as_ref().and_then(|label| self.classes.iter().position(|class| class == label));
        let label = label.and_then(|label| i64::try_from(label).ok());
        self.summary.nearly_empty += prepared.nearly_empty;
        for note in &prepared.notes {
            *self.summary.notes.entry(note.code()).or_default() += 1;
        }
        let mut conflict = false;
        for frame in &prepared.frames {
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
            let digest = row_digest(&RowIdentity {
                frame: frame.id.as_bytes(),
                mask: frame.mask,
                place: [prepared.modality.word(), split.word(), &group_id, &item.source],
                spacing_mm: prepared.spacing_mm,
                label,
            });
            if self.base.take_over(&digest) {
                continue;
            }
            let (image, mask) = reread.pixels(at, frame).await?;
            let row = FrameRow {
                image,
                mask,
                sample_id: frame.id,
                modality: prepared.modality,
                group_id: group_id.clone(),
                source: Arc::clone(&item.source),
                side: self.kitchen.spec.image_size,
                spacing_mm: prepared.spacing_mm,
                split,
                label,
            };
            self.push(row, digest).await?;
        }
        if conflict {
            let message =
                "holds the same pixels as an earlier file with another label, expected one label for one image";
            self.refuse(item, Refusal::new("split", "label_conflict", message).into());
        }
        Ok(())
    }

    async fn push(&mut self, row: FrameRow, digest: Digest) -> Result<(), IngestError> {
        self.written.entry((row.modality, row.split)).or_default().push(digest);
        self.shards.push(row).await
    }

    fn refuse(&mut self, item: &Item, refused: Refused) {
        *self.summary.quarantined.entry(refused.code.clone()).or_default() += 1;
        let alias = self.groups.key().alias(&item.source, &item.file);
        self.refused.push(Quarantined { source: Arc::clone(&item.source), alias, refused });
    }

    pub(super) fn progress(&self, files: usize) -> IngestProgress {
        IngestProgress {
            files_done: self.summary.files,
            files_total: files as u64,
            frames: self.seen.len() as u64,
            quarantined: self.refused.len() as u64,
        }
    }

    /// Ends the shards, and commits the version once what the next ingest may know of it is written.
    pub(super) async fn finish(mut self, store: &Store) -> Result<IngestSummary, IngestError> {
        let spec = Arc::clone(&self.kitchen.spec);
        if self.seen.is_empty() {
            let quarantine = write_quarantine(store, &spec.corpus, &self.refused).await?;
            let refused = describe_refused(&self.summary, quarantine.as_deref(), self.refused.first());
            return Err(IngestError::NoFrames { inputs: spec.inputs.clone(), files: self.summary.files, refused });
        }
        let (whole, others) = std::mem::take(&mut self.base).divide();
        for shard in &others {
            for row in shard.wanted_rows(store).await? {
                let digest = row_digest(&RowIdentity::of(&row));
                self.push(row, digest).await?;
            }
        }
        let Self { mut summary, classes, refused, units, written, .. } = self;
        let mut shards: Vec<(Shard, Vec<Digest>)> = whole.into_iter().map(|base| (base.shard, base.digests)).collect();
        shards.extend(with_digests(self.shards.finish().await?, written));
        // Those of the version before come first.
        shards.sort_by_key(|(shard, _)| (shard.modality, shard.split));
        // With the rows of the version before: whether the commit happens or not, the catalogue goes with the latest version.
        let known = shards.iter().map(|(shard, digests)| (shard.blake3.to_string(), digests.clone()));
        let before = others.into_iter().map(|base| (base.shard.blake3.to_string(), base.digests));
        Catalogue { units, shards: known.chain(before).collect() }.save(store, &spec.corpus).await?;
        let shards = shards.into_iter().map(|(shard, _)| shard).collect();
        let counts = Counts { frames: summary.total_frames(), labels: summary.labels, masks: summary.masks };
        let committed = commit(store, &spec, classes, shards, (counts, &refused)).await?;
        let Committed { version, new, quarantine } = committed;
        (summary.version, summary.committed, summary.quarantine) = (version, new, quarantine);
        Ok(summary)
    }
}

impl Reread<'_> {
    /// The pixels of a frame of one of the unit's files.
    async fn pixels(&mut self, file: usize, frame: &PreparedFrame) -> Result<(Vec<u8>, Option<Vec<u8>>), IngestError> {
        if let Pixels::Encoded { image, mask } = &frame.pixels {
            return Ok((image.clone(), mask.clone()));
        }
        let outcomes = match &mut self.outcomes {
            Some(outcomes) => outcomes,
            unread => unread.insert(self.kitchen.prepare_one(self.unit).await?),
        };
        let Some(Outcome::Prepared(prepared)) = outcomes.get(file) else { return Err(IngestError::FilesChanged) };
        let same = |other: &&PreparedFrame| other.id == frame.id && other.mask == frame.mask;
        match prepared.frames.iter().find(same).map(|frame| &frame.pixels) {
            Some(Pixels::Encoded { image, mask }) => Ok((image.clone(), mask.clone())),
            _ => Err(IngestError::FilesChanged),
        }
    }
}

/// The classes of the version before keep their numbers, and new ones follow in the order of their names.
fn classes(spec: &IngestSpec, items: &[Arc<Item>], latest: Option<&Manifest>) -> Vec<String> {
    let same_recipe = latest.filter(|latest| latest.recipe == Recipe::from(spec));
    let mut classes = same_recipe.map(|latest| latest.classes.clone()).unwrap_or_default();
    let named: BTreeSet<&String> = items.iter().filter_map(|item| item.label.as_ref()).collect();
    let new: Vec<String> = named.into_iter().filter(|name| !classes.contains(name)).cloned().collect();
    classes.extend(new);
    classes
}

/// New shards with the digests of their rows, which were written shard after shard in each partition.
fn with_digests(
    shards: Vec<Shard>,
    written: BTreeMap<(Modality, Split), Vec<Digest>>,
) -> impl Iterator<Item = (Shard, Vec<Digest>)> {
    let mut written: BTreeMap<_, _> =
        written.into_iter().map(|(partition, digests)| (partition, digests.into_iter())).collect();
    shards.into_iter().map(move |shard| {
        let rows = usize::try_from(shard.rows).unwrap_or(usize::MAX);
        let digests = written.get_mut(&(shard.modality, shard.split)).map(|left| left.by_ref().take(rows).collect());
        (shard, digests.unwrap_or_default())
    })
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
        parts.push(format!("the first because {}", first.refused.message));
    }
    if let Some(path) = quarantine {
        parts.push(format!("the list is `{path}`"));
    }
    if parts.is_empty() { "expected image files or a manifest that lists some".to_owned() } else { parts.join(", ") }
}
