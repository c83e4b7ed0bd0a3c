//! From the tables of a job file to the pipeline that the coordinator runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;
use vismae_core::ids::{InvalidName, JobName, NAME_MAX};
use vismae_core::spec::{
    CheckpointSpec, FinetuneSpec, IngestSpec, Initialisation, JobKind, JobSpec, ModelSpec, OptimiserSpec, PipelineSpec,
    Placement, PretrainSpec, Selection, Violation, Window,
};

use super::Overrides;
use super::fault::{Fault, FaultKind, Faults, Place};
use super::schema::{
    CheckpointsTable, CorpusTable, DeviceWord, File, FinetuneTable, Init, ModalityWord, ModelTable, Size,
};
use super::sweep::{self, Choice};

/// Jobs of a pipeline, at most: a list too many in a sweep is noticed before it is queued.
const JOBS_MAX: usize = 1000;
const INGEST: &str = "ingest";
const PRETRAIN: &str = "pretrain";
const NO_PRETRAIN: &str = "is `pretrain`, but there is no `[pretrain]`; expected that table, or `random`";

/// The pipeline a file describes, and the rules that it breaks.
pub(super) fn build(file: File, folder: &Path, overrides: &Overrides) -> Result<(PipelineSpec, Faults), InvalidName> {
    let builder = Builder { file, folder, overrides, faults: Faults::default() };
    builder.build()
}

struct Builder<'p> {
    file: File,
    folder: &'p Path,
    overrides: &'p Overrides,
    faults: Faults,
}

impl Builder<'_> {
    fn build(mut self) -> Result<(PipelineSpec, Faults), InvalidName> {
        let inputs = self.inputs();
        let model = self.model();
        let store_url = self.store_url();
        let ingest = JobName::new(INGEST)?;
        let pretrain = JobName::new(PRETRAIN)?;
        let mut jobs = Vec::new();
        let mut last_stage = Vec::new();
        if let Some(inputs) = inputs {
            self.check_sizes(model.as_ref());
            jobs.push(JobSpec {
                name: ingest.clone(),
                depends_on: vec![],
                placement: placement(self.file.corpus.device, &self.file.corpus.node_labels),
                kind: JobKind::Ingest(ingest_spec(&self.file.corpus, inputs)),
            });
            last_stage = vec![ingest];
        }
        let corpus = self.file.corpus.name.clone();
        // Without a model there is a fault already; the stand-in only lets the other rules be checked.
        let model = model.unwrap_or_else(ModelSpec::base);
        if let Some(table) = &self.file.pretrain {
            let kind = JobKind::Pretrain(PretrainSpec {
                corpus: corpus.clone(),
                selection: selection(&table.modalities, &table.sources),
                model: model.clone(),
                optimiser: optimiser(table.learning_rate, table.weight_decay, table.warmup_epochs, table.clip_norm),
                epochs: table.epochs,
                global_batch: table.global_batch,
                lanes: table.lanes,
                slots: table.slots,
                min_slots: table.min_slots.unwrap_or(table.slots),
                seed: table.seed,
                checkpoints: checkpoints(&table.checkpoints),
                exclude_stragglers: table.exclude_stragglers,
            });
            let placement = placement(table.device, &table.node_labels);
            jobs.push(JobSpec { name: pretrain.clone(), depends_on: last_stage, placement, kind });
            // A fine-tune from random weights waits too, so that the gang gets all its slots at once.
            last_stage = vec![pretrain.clone()];
        }
        let finetunes = std::mem::take(&mut self.file.finetune);
        let mut origins = Vec::new();
        for (index, table) in finetunes.iter().enumerate() {
            for choice in self.choices(index, table, jobs.len()) {
                let Some(name) = self.job_name(index, table, &choice) else { continue };
                let initialisation = match choice.init {
                    Init::Pretrain => Initialisation::Pretrained(pretrain.clone()),
                    Init::Random => Initialisation::Random,
                };
                let kind = JobKind::Finetune(FinetuneSpec {
                    task: table.task,
                    corpus: corpus.clone(),
                    selection: selection(choice.modalities, &table.sources),
                    label_fraction: choice.label_fraction,
                    model: model.clone(),
                    initialisation,
                    optimiser: optimiser(table.learning_rate, table.weight_decay, table.warmup_epochs, table.clip_norm),
                    epochs: table.epochs,
                    batch: table.batch,
                    seed: choice.seed,
                });
                origins.push(Origin { job: name.clone(), table: index, choice });
                let placement = placement(table.device, &table.node_labels);
                jobs.push(JobSpec { name, depends_on: last_stage.clone(), placement, kind });
            }
        }
        let priority = self.overrides.priority.unwrap_or(self.file.priority);
        let namespace = self.overrides.namespace.as_ref().or(self.file.namespace.as_ref()).cloned().unwrap_or_default();
        let suspended = self.overrides.suspended || self.file.suspended;
        let deadline = self.overrides.deadline.or(self.file.deadline.map(|time| time.0));
        let spec =
            PipelineSpec { name: self.file.name.clone(), store_url, jobs, priority, namespace, suspended, deadline };
        self.check_rules(&spec, &origins);
        Ok((spec, self.faults))
    }

    fn broken(&mut self, place: Place, message: String) {
        self.faults.push(Fault { place, line: None, kind: FaultKind::BrokenRule, message });
    }

    fn inputs(&mut self) -> Option<Vec<String>> {
        let places: Vec<PathBuf> = if self.overrides.inputs.is_empty() {
            let base = self.overrides.data.as_deref().unwrap_or(self.folder);
            self.file.corpus.inputs.as_ref()?.iter().map(|input| base.join(input)).collect()
        } else {
            self.overrides.inputs.clone()
        };
        let mut absolute = Vec::new();
        for (index, place) in places.into_iter().enumerate() {
            let place = std::path::absolute(&place).unwrap_or(place);
            if self.overrides.inputs_are_local && !place.exists() {
                let at = Place::root().key("corpus").key("inputs").index(index);
                let found = place.display();
                self.broken(
                    at,
                    format!("is `{found}`, which does not exist; expected a folder, an archive or a CSV manifest"),
                );
            }
            absolute.push(place.to_string_lossy().into_owned());
        }
        Some(absolute)
    }

    fn model(&mut self) -> Option<ModelSpec> {
        if self.file.model.is_none() && (self.file.pretrain.is_some() || !self.file.finetune.is_empty()) {
            let message =
                "is absent, expected `[model]` with `size = \"tiny\"` or `size = \"base\"`: it is trained here";
            self.broken(Place::root().key("model"), message.to_owned());
        }
        self.file.model.as_ref().map(model_spec)
    }

    fn store_url(&mut self) -> String {
        let at = Place::root().key("store");
        let chosen = match (&self.overrides.store, &self.file.store) {
            (Some(store), _) => locate_store(store, Path::new("")),
            (None, Some(store)) => locate_store(store, self.folder),
            (None, None) => {
                let message = "is absent, expected a folder or an object-store URL here or with `--store`";
                self.broken(at, message.to_owned());
                return String::new();
            }
        };
        chosen.unwrap_or_else(|message| {
            self.broken(at, message);
            String::new()
        })
    }

    fn check_sizes(&mut self, model: Option<&ModelSpec>) {
        let frames = self.file.corpus.image_size;
        if let Some(model) = model.filter(|model| model.image_size != frames) {
            let message = format!("is {}, expected {frames} as in `corpus.image_size`", model.image_size);
            self.broken(Place::root().key("model").key("image_size"), message);
        }
    }

    /// The jobs of a table: none where there are too many, and one would be as good as none to look for other faults.
    fn choices<'t>(&mut self, index: usize, table: &'t FinetuneTable, before: usize) -> Vec<Choice<'t>> {
        let (here, all) = (sweep::count(table), sweep::count(table).saturating_add(before as u64));
        if all > JOBS_MAX as u64 {
            let message =
                format!("describes {here} jobs, {all} with those before it; expected at most {JOBS_MAX} in a pipeline");
            self.broken(finetune_place(index), message);
            return sweep::choices(table).take(1).collect();
        }
        sweep::choices(table).collect()
    }

    fn job_name(&mut self, index: usize, table: &FinetuneTable, choice: &Choice<'_>) -> Option<JobName> {
        let name = choice.name(table);
        if let Err(InvalidName { name }) = &name {
            let message = format!(
                "makes a job `{name}` of {} characters, expected at most {NAME_MAX}: give the table a shorter name",
                name.len()
            );
            self.broken(finetune_place(index).key("name"), message);
        }
        name.ok()
    }

    /// The coordinator's own rules, told in the words of the file.
    fn check_rules(&mut self, spec: &PipelineSpec, origins: &[Origin<'_>]) {
        let Err(violations) = spec.validate() else { return };
        for Violation { field, message } in violations.iter() {
            if spec.jobs.is_empty() {
                let message = "no job is described, expected `corpus.inputs`, `[pretrain]` or `[[finetune]]`";
                self.broken(Place::root(), message.to_owned());
                continue;
            }
            let place = place(field, origins);
            match self.file.pretrain.is_none() && place.last_key() == Some("init") {
                true => self.broken(place, NO_PRETRAIN.to_owned()),
                false => self.broken(place, message.clone()),
            }
        }
    }
}

/// Which table a job comes from, and which of its values.
struct Origin<'t> {
    job: JobName,
    table: usize,
    choice: Choice<'t>,
}

/// Where the file says what a pipeline's field holds.
fn place(field: &str, origins: &[Origin<'_>]) -> Place {
    let (job, rest) = field.split_once('.').unwrap_or((field, ""));
    let origin = origins.iter().rfind(|origin| origin.job.as_str() == job);
    let table = match (job, origin) {
        _ if rest.starts_with("model.") => Place::root(),
        (_, Some(origin)) => finetune_place(origin.table),
        (INGEST, None) => Place::root().key("corpus"),
        (job, None) => Place::root().key(job),
    };
    match (rest, origin) {
        ("", Some(_)) => table.key("name"),
        ("", None) => table,
        (rest, origin) => {
            let place = rest.split('.').fold(table, step_into);
            origin.map_or(place.clone(), |origin| origin.choice.place(place))
        }
    }
}

/// One step of a dotted path, `key` or `key[index]`.
fn step_into(place: Place, step: &str) -> Place {
    let item = step.strip_suffix(']').and_then(|step| step.split_once('['));
    match item.and_then(|(key, index)| Some((key, index.parse().ok()?))) {
        Some((key, index)) => place.key(key).index(index),
        None => place.key(step),
    }
}

fn finetune_place(index: usize) -> Place {
    Place::root().key("finetune").index(index)
}

/// The URL of a store that is given as a URL, or as a folder that may be relative to `base`.
pub(crate) fn locate_store(store: &str, base: &Path) -> Result<String, String> {
    if store.contains("://") {
        return Url::parse(store)
            .map(|url| url.to_string())
            // It may hold a secret, so it is not repeated.
            .map_err(|error| format!("is no URL ({error}), expected one such as `s3://bucket/prefix`"));
    }
    std::path::absolute(base.join(store))
        .ok()
        .and_then(|folder| Url::from_file_path(folder).ok())
        .map(|url| url.to_string())
        .ok_or_else(|| format!("is `{store}`, expected a folder or an object-store URL"))
}

fn ingest_spec(table: &CorpusTable, inputs: Vec<String>) -> IngestSpec {
    IngestSpec {
        corpus: table.name.clone(),
        inputs,
        image_size: table.image_size,
        fit: table.fit.0,
        ct_windows: table.ct_windows.iter().copied().map(window).collect(),
        percentiles: window(table.percentiles),
        xray_range: table.xray_range.0,
        minimum_content: table.minimum_content,
        workers: table.workers,
    }
}

fn window([low, high]: [f64; 2]) -> Window {
    Window { low, high }
}

fn model_spec(table: &ModelTable) -> ModelSpec {
    let named = match table.size {
        Size::Tiny => ModelSpec::tiny(),
        Size::Base => ModelSpec::base(),
    };
    ModelSpec {
        image_size: table.image_size.unwrap_or(named.image_size),
        patch_size: table.patch_size.unwrap_or(named.patch_size),
        embed_dim: table.embed_dim.unwrap_or(named.embed_dim),
        depths: table.depths.clone().unwrap_or(named.depths),
        heads: table.heads.clone().unwrap_or(named.heads),
        window: table.window.unwrap_or(named.window),
        mask_unit: table.mask_unit.unwrap_or(named.mask_unit),
        mask_ratio: table.mask_ratio.unwrap_or(named.mask_ratio),
        drop_path: table.drop_path.unwrap_or(named.drop_path),
        normalise_targets: table.normalise_targets.unwrap_or(named.normalise_targets),
    }
}

fn placement(device: DeviceWord, labels: &BTreeMap<String, String>) -> Placement {
    Placement { device: device.0, labels: labels.clone() }
}

fn selection(modalities: &[ModalityWord], sources: &[String]) -> Selection {
    Selection { modalities: modalities.iter().map(|word| word.0).collect(), sources: sources.to_vec() }
}

fn checkpoints(table: &CheckpointsTable) -> CheckpointSpec {
    let usual = CheckpointSpec::default();
    CheckpointSpec {
        every: table.every.unwrap_or(usual.every),
        latest: table.latest.unwrap_or(usual.latest),
        best: table.best,
        younger_than: table.younger_than.map(|time| time.0),
    }
}

fn optimiser(learning_rate: f64, weight_decay: f64, warmup_epochs: f64, clip_norm: Option<f64>) -> OptimiserSpec {
    OptimiserSpec { learning_rate, weight_decay, warmup_epochs, clip_norm }
}
