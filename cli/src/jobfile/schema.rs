//! The tables and keys of a job file, with the defaults of the keys that may be left out.

use std::collections::BTreeMap;
use std::time::Duration;

use deserr::Deserr;
use vismae_core::device::DeviceKind;
use vismae_core::ids::{CorpusName, InvalidName, JobName, NAME_MAX, NamespaceName, PipelineId};
use vismae_core::spec::{FinetuneTask, Fit, INGEST_WORKERS_DEFAULT, Modality, XrayRange};
use vismae_core::spelling;

use super::fault::{Faults, Refusal};
use super::sweep::{Swept, SweptModalities};

/// A whole job file.
#[derive(Debug, Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
pub(super) struct File {
    #[deserr(try_from(&String) = pipeline_name -> Refusal)]
    pub(super) name: PipelineId,
    #[deserr(default)]
    pub(super) store: Option<String>,
    #[deserr(default)]
    pub(super) priority: i32,
    #[deserr(default, try_from(Option<String>) = namespace_name -> Refusal)]
    pub(super) namespace: Option<NamespaceName>,
    #[deserr(default)]
    pub(super) suspended: bool,
    #[deserr(default)]
    pub(super) deadline: Option<Time>,
    pub(super) corpus: CorpusTable,
    #[deserr(default)]
    pub(super) model: Option<ModelTable>,
    #[deserr(default)]
    pub(super) pretrain: Option<PretrainTable>,
    #[deserr(default)]
    pub(super) finetune: Vec<FinetuneTable>,
}

/// `[corpus]`: what the jobs read, and how it is ingested when `inputs` says from where.
#[derive(Debug, Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
pub(super) struct CorpusTable {
    #[deserr(try_from(&String) = corpus_name -> Refusal)]
    pub(super) name: CorpusName,
    #[deserr(default)]
    pub(super) inputs: Option<Vec<String>>,
    #[deserr(default = DEFAULT_IMAGE_SIZE)]
    pub(super) image_size: u32,
    #[deserr(default = FitWord(Fit::Stretch))]
    pub(super) fit: FitWord,
    #[deserr(default = vec![DEFAULT_CT_WINDOW])]
    pub(super) ct_windows: Vec<[f64; 2]>,
    #[deserr(default = DEFAULT_PERCENTILES)]
    pub(super) percentiles: [f64; 2],
    #[deserr(default = XrayRangeWord(XrayRange::Voi))]
    pub(super) xray_range: XrayRangeWord,
    #[deserr(default = DEFAULT_MINIMUM_CONTENT)]
    pub(super) minimum_content: f64,
    #[deserr(default = INGEST_WORKERS_DEFAULT)]
    pub(super) workers: u32,
    #[deserr(default = DeviceWord(None))]
    pub(super) device: DeviceWord,
    #[deserr(default)]
    pub(super) node_labels: BTreeMap<String, String>,
}

/// Side of the frames, in pixels: that of the published network.
pub(crate) const DEFAULT_IMAGE_SIZE: u32 = 224;
/// Hounsfield units of soft tissue.
pub(crate) const DEFAULT_CT_WINDOW: [f64; 2] = [-160.0, 240.0];
/// Percentiles kept of an MR or PET volume.
pub(crate) const DEFAULT_PERCENTILES: [f64; 2] = [0.5, 99.5];
/// Share of non-background pixels below which a frame of a volume is left out.
pub(crate) const DEFAULT_MINIMUM_CONTENT: f64 = 0.02;
/// Streams that a global batch is drawn from.
pub(crate) const DEFAULT_LANES: u32 = 8;
const DEFAULT_WEIGHT_DECAY: f64 = 0.05;

/// `[model]`: a named size, and what differs from it.
#[derive(Debug, Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
pub(super) struct ModelTable {
    pub(super) size: Size,
    #[deserr(default)]
    pub(super) image_size: Option<u32>,
    #[deserr(default)]
    pub(super) patch_size: Option<u32>,
    #[deserr(default)]
    pub(super) embed_dim: Option<u32>,
    #[deserr(default)]
    pub(super) depths: Option<Vec<u32>>,
    #[deserr(default)]
    pub(super) heads: Option<Vec<u32>>,
    #[deserr(default)]
    pub(super) window: Option<u32>,
    #[deserr(default)]
    pub(super) mask_unit: Option<u32>,
    #[deserr(default)]
    pub(super) mask_ratio: Option<f64>,
    #[deserr(default)]
    pub(super) drop_path: Option<f64>,
    #[deserr(default)]
    pub(super) normalise_targets: Option<bool>,
}

/// A network that has a name.
#[derive(Debug, Clone, Copy, Deserr)]
#[deserr(rename_all = lowercase)]
pub(super) enum Size {
    Tiny,
    Base,
}

/// `[pretrain]`.
#[derive(Debug, Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
pub(super) struct PretrainTable {
    pub(super) epochs: u32,
    pub(super) global_batch: u32,
    #[deserr(default = DEFAULT_LANES)]
    pub(super) lanes: u32,
    pub(super) slots: u32,
    #[deserr(default)]
    pub(super) min_slots: Option<u32>,
    pub(super) learning_rate: f64,
    #[deserr(default = DEFAULT_WEIGHT_DECAY)]
    pub(super) weight_decay: f64,
    #[deserr(default)]
    pub(super) warmup_epochs: f64,
    #[deserr(default)]
    pub(super) clip_norm: Option<f64>,
    #[deserr(default)]
    pub(super) seed: u64,
    #[deserr(default)]
    pub(super) checkpoints: CheckpointsTable,
    #[deserr(default)]
    pub(super) exclude_stragglers: bool,
    #[deserr(default = DeviceWord(None))]
    pub(super) device: DeviceWord,
    #[deserr(default)]
    pub(super) node_labels: BTreeMap<String, String>,
    #[deserr(default)]
    pub(super) modalities: Vec<ModalityWord>,
    #[deserr(default)]
    pub(super) sources: Vec<String>,
}

/// `[pretrain.checkpoints]`.
#[derive(Debug, Default, Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
pub(super) struct CheckpointsTable {
    #[deserr(default)]
    pub(super) every: Option<u32>,
    #[deserr(default)]
    pub(super) latest: Option<u32>,
    #[deserr(default)]
    pub(super) best: u32,
    #[deserr(default)]
    pub(super) younger_than: Option<Time>,
}

/// One of `[[finetune]]`; a list for one of some keys makes it a job for each value.
#[derive(Debug, Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
pub(super) struct FinetuneTable {
    #[deserr(try_from(&String) = job_name -> Refusal)]
    pub(super) name: JobName,
    #[deserr(from(TaskWord) = FinetuneTask::from)]
    pub(super) task: FinetuneTask,
    #[deserr(default = Swept::one(Init::Pretrain))]
    pub(super) init: Swept<Init>,
    pub(super) epochs: u32,
    pub(super) batch: u32,
    pub(super) learning_rate: f64,
    #[deserr(default = DEFAULT_WEIGHT_DECAY)]
    pub(super) weight_decay: f64,
    #[deserr(default)]
    pub(super) warmup_epochs: f64,
    #[deserr(default)]
    pub(super) clip_norm: Option<f64>,
    #[deserr(default = Swept::one(0))]
    pub(super) seed: Swept<u64>,
    #[deserr(default = Swept::one(1.0))]
    pub(super) label_fraction: Swept<f64>,
    #[deserr(default = DeviceWord(None))]
    pub(super) device: DeviceWord,
    #[deserr(default)]
    pub(super) node_labels: BTreeMap<String, String>,
    #[deserr(default = SweptModalities(Swept::one(Vec::new())))]
    pub(super) modalities: SweptModalities,
    #[deserr(default)]
    pub(super) sources: Vec<String>,
}

/// Where a fine-tune starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr)]
#[deserr(rename_all = lowercase)]
pub(super) enum Init {
    Pretrain,
    Random,
}

impl Init {
    /// The word it is written by.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Random => "random",
        }
    }
}

/// What a fine-tune learns, as it is written.
#[derive(Debug, Clone, Copy, Deserr)]
#[deserr(rename_all = lowercase)]
enum TaskWord {
    Classify,
    Segment,
}

impl From<TaskWord> for FinetuneTask {
    fn from(word: TaskWord) -> Self {
        match word {
            TaskWord::Classify => Self::Classify,
            TaskWord::Segment => Self::Segment,
        }
    }
}

fn none_of(word: &str, words: &[&str]) -> Refusal {
    let hint = spelling::hint(word, words.iter().copied());
    Refusal(format!("is `{word}`, expected one of `{}`{hint}", words.join("`, `")))
}

/// A fit by its word.
#[derive(Debug, Clone, Copy, Deserr)]
#[deserr(error = Faults, try_from(&String) = fit -> Refusal)]
pub(super) struct FitWord(pub(super) Fit);

fn fit(word: &str) -> Result<FitWord, Refusal> {
    Fit::from_word(word).map(FitWord).ok_or_else(|| none_of(word, &Fit::ALL.map(Fit::word)))
}

/// Where the grey range of deep X-rays comes from, by its word.
#[derive(Debug, Clone, Copy, Deserr)]
#[deserr(error = Faults, try_from(&String) = xray_range -> Refusal)]
pub(super) struct XrayRangeWord(pub(super) XrayRange);

fn xray_range(word: &str) -> Result<XrayRangeWord, Refusal> {
    XrayRange::from_word(word).map(XrayRangeWord).ok_or_else(|| none_of(word, &XrayRange::ALL.map(XrayRange::word)))
}

/// A duration as people write it, `12h`.
#[derive(Debug, Clone, Copy, Deserr)]
#[deserr(error = Faults, try_from(&String) = time -> Refusal)]
pub(super) struct Time(pub(super) Duration);

fn time(text: &str) -> Result<Time, Refusal> {
    let refused = |error| Refusal(format!("is `{text}`, expected a time such as `12h` or `90m`: {error}"));
    humantime::parse_duration(text).map(Time).map_err(refused)
}

/// A kind of device by its word; `any` is no restriction.
#[derive(Debug, Clone, Copy, Deserr)]
#[deserr(error = Faults, try_from(&String) = device -> Refusal)]
pub(super) struct DeviceWord(pub(super) Option<DeviceKind>);

fn device(word: &str) -> Result<DeviceWord, Refusal> {
    match word {
        "any" => Ok(DeviceWord(None)),
        _ => DeviceKind::from_word(word)
            .map(|kind| DeviceWord(Some(kind)))
            .ok_or_else(|| none_of(word, &["cpu", "cuda", "any"])),
    }
}

/// A modality by one of its codes.
#[derive(Debug, Clone, Copy, Deserr)]
#[deserr(error = Faults, try_from(&String) = modality -> Refusal)]
pub(super) struct ModalityWord(pub(super) Modality);

fn modality(code: &str) -> Result<ModalityWord, Refusal> {
    // Codes are read in any case, and guessed at in any case.
    let refuse = || none_of(&code.to_ascii_uppercase(), &Modality::ALL.map(Modality::word));
    Modality::from_code(code).map(ModalityWord).ok_or_else(refuse)
}

fn pipeline_name(name: &str) -> Result<PipelineId, Refusal> {
    PipelineId::new(name).map_err(refuse_name)
}

fn namespace_name(name: Option<String>) -> Result<Option<NamespaceName>, Refusal> {
    name.map(NamespaceName::new).transpose().map_err(refuse_name)
}

fn corpus_name(name: &str) -> Result<CorpusName, Refusal> {
    CorpusName::new(name).map_err(refuse_name)
}

fn job_name(name: &str) -> Result<JobName, Refusal> {
    JobName::new(name).map_err(refuse_name)
}

fn refuse_name(InvalidName { name }: InvalidName) -> Refusal {
    Refusal(format!(
        "is `{name}`, expected 1 to {NAME_MAX} of a-z, 0-9 and `-`, beginning with a letter and not ending in `-`"
    ))
}
