//! One file, from disk to frames: the part of an ingest that runs on many threads.

use vismae_core::spec::{IngestSpec, Modality};

use super::input::{Item, ModalityHint};
use super::quarantine::Refusal;
use crate::decode::{self, DecodeError, Note};
use crate::frame::pgm;
use crate::normalise;
use crate::sample::SampleId;

/// What became of a file.
pub(super) enum Outcome {
    /// It gave frames, perhaps none worth keeping.
    Prepared(Prepared),
    /// It holds no image, which is no fault.
    NotAnImage,
    /// It cannot be used.
    Refused(Refusal),
}

/// The frames of one file.
pub(super) struct Prepared {
    pub(super) modality: Modality,
    /// The patient that the file's header names.
    pub(super) patient: Option<String>,
    /// Of the stored frames.
    pub(super) spacing_mm: Option<[f32; 2]>,
    pub(super) frames: Vec<PreparedFrame>,
    /// Slices left out because they show little but background.
    pub(super) nearly_empty: u64,
    /// What is unusual about the file.
    pub(super) notes: Vec<Note>,
}

/// One frame, encoded.
pub(super) struct PreparedFrame {
    pub(super) id: SampleId,
    pub(super) image: Vec<u8>,
    pub(super) mask: Option<Vec<u8>>,
}

/// Reads, decodes and normalises one file and its mask.
pub(super) fn prepare(item: &Item, spec: &IngestSpec) -> Outcome {
    if let Some(fault) = &item.fault {
        return Outcome::Refused(fault.clone());
    }
    match try_prepare(item, spec) {
        Ok(Some(prepared)) => Outcome::Prepared(prepared),
        Ok(None) => Outcome::NotAnImage,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

fn try_prepare(item: &Item, spec: &IngestSpec) -> Result<Option<Prepared>, Refusal> {
    let decoded = match decode::decode(&item.path()) {
        Err(DecodeError::NotAnImage { .. }) => return Ok(None),
        decoded => decoded?,
    };
    let modality = modality(item, decoded.modality)?;
    let labels = match &item.mask {
        Some(mask) => Some(decode::decode_labels(&item.root.join(mask), &decoded)?),
        None => None,
    };
    let side = spec.image_size;
    let normalised = normalise::normalise(&decoded, modality, labels.as_ref(), spec)?;
    let frames = normalised.frames.into_iter().map(|frame| {
        let image = pgm::encode_gray8(side, side, &frame.levels);
        PreparedFrame {
            id: SampleId::of_pgm(&image),
            image,
            mask: frame.classes.map(|classes| pgm::encode_gray8(side, side, &classes)),
        }
    });
    let volume = &decoded.volume;
    let stretch = |spacing: f32, pixels: u32| spacing * pixels as f32 / side as f32;
    Ok(Some(Prepared {
        modality,
        frames: frames.collect(),
        nearly_empty: normalised.nearly_empty,
        spacing_mm: volume.spacing_mm.map(|[row, column]| [stretch(row, volume.height), stretch(column, volume.width)]),
        patient: decoded.patient,
        notes: decoded.notes,
    }))
}

/// The manifest's word, which a header must not contradict; else the header's, else the folder's.
fn modality(item: &Item, of_file: Option<Modality>) -> Result<Modality, Refusal> {
    let refused = |code, message: String| Err(Refusal::new("decode", code, message));
    match (&item.modality, &of_file) {
        (ModalityHint::Stated(stated), Some(found)) if stated != found => refused(
            "modality_conflict",
            format!("the manifest says {stated}, the header {found}: expected one modality for one file"),
        ),
        (ModalityHint::Stated(modality), _) | (ModalityHint::Folder(_) | ModalityHint::None, Some(modality)) => {
            Ok(*modality)
        }
        (ModalityHint::Folder(modality), None) => Ok(*modality),
        (ModalityHint::Unknown(code), _) => {
            refused("modality_unknown", format!("modality `{code}` is unknown, expected CT, MR, PT, XR or US"))
        }
        (ModalityHint::None, None) => refused(
            "modality_unknown",
            "nothing tells the modality, expected a manifest with a column `modality`, a folder named by a modality (`CT/`), \
             or a DICOM header"
                .to_owned(),
        ),
    }
}
