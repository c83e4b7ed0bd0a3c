//! `vismae ingest`: files to a corpus, in this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use vismae_core::ids::{CorpusName, JobName, NamespaceName, PipelineId};
use vismae_core::spec::{Fit, IngestSpec, JobKind, JobSpec, PipelineSpec, Placement, Window, XrayRange};
use vismae_shards::ingest::{
    self, Crew, IngestError, IngestOptions, IngestProgress, IngestSummary, MEMORY_DEFAULT, PseudonymKey,
};
use vismae_shards::store::Store;

use crate::failure::{Exit, Failure, OrFail as _};
use crate::interrupts::Interrupts;
use crate::jobfile::{
    DEFAULT_CT_WINDOW, DEFAULT_IMAGE_SIZE, DEFAULT_MINIMUM_CONTENT, DEFAULT_PERCENTILES, locate_store,
};
use crate::output::Format;
use crate::progress::{Display, work_in_progress};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Folders, archives (zip; tar, also packed with gzip or zstd) and CSV manifests (columns: file, modality, patient_id, group_id, label, mask_file, split)
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Corpus that is written
    #[arg(long, value_name = "NAME")]
    corpus: String,
    /// Folder or URL of the store
    #[arg(long, value_name = "URL", env = "VISMAE_STORE")]
    store: String,
    /// Side of the square frames, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = DEFAULT_IMAGE_SIZE)]
    image_size: u32,
    /// How an image that is not square becomes a frame: stretch, pad or crop
    #[arg(long, value_name = "FIT", default_value = Fit::Stretch.word(), value_parser = fit)]
    fit: Fit,
    /// Hounsfield units kept of CT, as LOW,HIGH; given several times, a slice gives a frame for each
    #[arg(long = "ct-window", value_name = "LOW,HIGH", value_parser = range, allow_hyphen_values = true)]
    ct_windows: Vec<Window>,
    /// Percentiles of a volume kept of MR and PET, as LOW,HIGH
    #[arg(long, value_name = "LOW,HIGH", value_parser = range)]
    percentiles: Option<Window>,
    /// What is kept of X-ray and ultrasound deeper than 8 bits: voi (as the file says) or percentiles
    #[arg(long, value_name = "RANGE", default_value = XrayRange::Voi.word(), value_parser = xray_range)]
    xray_range: XrayRange,
    /// Smallest share of non-background pixels of a frame of a volume that is kept
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_MINIMUM_CONTENT)]
    minimum_content: f64,
    /// Files decoded at the same time [default: the cores]
    #[arg(long)]
    threads: Option<usize>,
}

fn fit(word: &str) -> Result<Fit, String> {
    Fit::from_word(word).ok_or_else(|| "expected stretch, pad or crop".to_owned())
}

fn xray_range(word: &str) -> Result<XrayRange, String> {
    XrayRange::from_word(word).ok_or_else(|| "expected voi or percentiles".to_owned())
}

fn range(text: &str) -> Result<Window, String> {
    let numbers =
        text.split_once(',').and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    let (low, high) = numbers.ok_or_else(|| "expected two numbers as LOW,HIGH".to_owned())?;
    Ok(Window { low, high })
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let (spec, store_url) = specification(&options)?;
    let store = Store::open(&store_url).or_fail(Exit::Usage)?;
    let threads = options.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let pseudonym_key = PseudonymKey::from_environment().or_fail(Exit::Usage)?;
    let how = IngestOptions { threads: threads.max(1), memory: MEMORY_DEFAULT, pseudonym_key, crew: Crew::alone() };

    let cancel = CancellationToken::new();
    let mut interrupts = Interrupts::listen()?;
    let outcome = {
        let display = Mutex::new(Display::new(format));
        let start = Instant::now();
        let show = |now: IngestProgress| {
            let line = work_in_progress("ingest", "reading", (now.files_done, now.files_total), start);
            display.lock().unwrap_or_else(PoisonError::into_inner).update(&line);
        };
        let work = ingest::ingest(&store, &spec, &how, show, &cancel);
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = interrupts.next() => cancel.cancel(),
            }
        }
    };
    match outcome {
        Ok(summary) => format.result(&SummaryView::new(&spec.corpus, &summary), describe),
        Err(error @ IngestError::Cancelled) => Err(Failure::new(Exit::Interrupted, error)),
        Err(error @ IngestError::Input(_)) => Err(Failure::new(Exit::Usage, error)),
        Err(error) => Err(Failure::new(Exit::WorkFailed, error)),
    }
}

/// What is to be done, checked by the rules that hold for a job of a pipeline too.
fn specification(options: &Options) -> Result<(IngestSpec, String), Failure> {
    let default = |[low, high]: [f64; 2]| Window { low, high };
    let ct_windows = match &options.ct_windows[..] {
        [] => vec![default(DEFAULT_CT_WINDOW)],
        given => given.to_vec(),
    };
    let absolute = |input: &PathBuf| std::path::absolute(input).map(|path| path.to_string_lossy().into_owned());
    let spec = IngestSpec {
        corpus: CorpusName::new(&options.corpus).or_fail(Exit::Usage)?,
        inputs: options.inputs.iter().map(absolute).collect::<Result<_, _>>().or_fail(Exit::Usage)?,
        image_size: options.image_size,
        fit: options.fit,
        ct_windows,
        percentiles: options.percentiles.unwrap_or(default(DEFAULT_PERCENTILES)),
        xray_range: options.xray_range,
        minimum_content: options.minimum_content,
        // This process and its threads.
        workers: 1,
    };
    let store_url = locate_store(&options.store, Path::new(""))
        .map_err(|message| Failure::new(Exit::Usage, format!("`--store` {message}")))?;
    let name = "ingest";
    let job = JobSpec {
        name: JobName::new(name).or_fail(Exit::Usage)?,
        depends_on: vec![],
        placement: Placement::default(),
        kind: JobKind::Ingest(spec.clone()),
    };
    let pipeline = PipelineSpec {
        name: PipelineId::new(name).or_fail(Exit::Usage)?,
        store_url: store_url.clone(),
        jobs: vec![job],
        priority: 0,
        namespace: NamespaceName::default(),
        suspended: false,
        deadline: None,
    };
    pipeline.validate().or_fail(Exit::Usage)?;
    Ok((spec, store_url))
}

#[derive(Debug, Serialize)]
struct SummaryView {
    corpus: String,
    version: u64,
    /// Whether this run committed the version, or found the same frames committed.
    committed: bool,
    files: u64,
    /// Files that were not read, since an earlier ingest did and nothing about them has changed.
    unchanged: u64,
    frames: u64,
    /// Frames by modality and split.
    parts: BTreeMap<String, BTreeMap<String, u64>>,
    labels: u64,
    masks: u64,
    duplicates: u64,
    nearly_empty: u64,
    not_images: u64,
    /// Files that are unusual in a way that is no fault, by the code of the note.
    notes: BTreeMap<String, u64>,
    /// Refused files by the code of the reason.
    quarantined: BTreeMap<String, u64>,
    /// Where their list lies in the store.
    quarantine: Option<String>,
    seconds: f64,
}

impl SummaryView {
    fn new(corpus: &CorpusName, summary: &IngestSummary) -> Self {
        let mut parts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((modality, split), frames) in &summary.frames {
            parts.entry(modality.to_string()).or_default().insert(split.word().to_owned(), *frames);
        }
        Self {
            corpus: corpus.to_string(),
            version: summary.version,
            committed: summary.committed,
            files: summary.files,
            unchanged: summary.unchanged,
            frames: summary.total_frames(),
            parts,
            labels: summary.labels,
            masks: summary.masks,
            duplicates: summary.duplicates,
            nearly_empty: summary.nearly_empty,
            not_images: summary.not_images,
            notes: summary.notes.iter().map(|(note, files)| ((*note).to_owned(), *files)).collect(),
            quarantined: summary.quarantined.clone(),
            quarantine: summary.quarantine.clone(),
            seconds: summary.seconds,
        }
    }
}

fn describe(view: &SummaryView) -> String {
    let commit = if view.committed { "committed" } else { "unchanged" };
    let mut text = format!(
        "corpus {} version {} ({commit}): {} frames of {} files in {:.1} s, {} with a label, {} with a mask",
        view.corpus, view.version, view.frames, view.files, view.seconds, view.labels, view.masks
    );
    for (count, what) in [
        (view.unchanged, "files unchanged since an earlier ingest, and not read again"),
        (view.duplicates, "frames left out as duplicates"),
        (view.nearly_empty, "frames of volumes left out as nearly empty"),
        (view.not_images, "files without an image"),
    ] {
        if count > 0 {
            text.push_str(&format!("\n{count} {what}"));
        }
    }
    for (note, files) in &view.notes {
        text.push_str(&format!("\n{files} files noted as {note}"));
    }
    if let Some(list) = &view.quarantine {
        let reasons: Vec<String> = view.quarantined.iter().map(|(reason, files)| format!("{reason} {files}")).collect();
        text.push_str(&format!("\nquarantined: {}; listed in {list}", reasons.join(", ")));
    }
    text
}
