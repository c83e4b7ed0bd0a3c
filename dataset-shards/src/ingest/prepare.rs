//! Files that are read together, from disk to frames: the part of an ingest that runs on many threads.

use std::collections::BTreeMap;
use std::vec::IntoIter;

use vismae_core::spec::{IngestSpec, Modality};

use super::groups;
use super::input::{Item, ModalityHint};
use super::outcome::{Digest, Outcome, Pixels, Prepared, PreparedFrame, digest};
use super::pseudonym::PseudonymKey;
use super::quarantine::Refusal;
use super::series::Unit;
use super::tasks::Kitchen;
use crate::decode::{self, DecodeError, Decoded, LabelVolume};
use crate::frame::pgm;
use crate::memory::Claim;
use crate::normalise::{self, NormaliseError, Normalised, Part};
use crate::sample::SampleId;

/// A decoded file with its mask.
struct Source {
    decoded: Decoded,
    labels: Option<LabelVolume>,
    modality: Modality,
}

/// Reads, decodes and normalises files that are read together, and their masks: what became of each. A file that can't be used
/// does not keep the others back. Blocks until there is memory for them.
pub(super) fn prepare(unit: &Unit, kitchen: &Kitchen) -> Vec<Outcome> {
    kitchen.memory.run(|claim| within(unit, kitchen, claim))
}

/// As [`prepare`], within a claim; what comes of a claim that is short is of no use.
fn within(unit: &Unit, kitchen: &Kitchen, claim: &mut Claim) -> Vec<Outcome> {
    let Kitchen { spec, key, .. } = kitchen;
    let mut read: Vec<Result<Source, Outcome>> = Vec::with_capacity(unit.items.len());
    for item in &unit.items {
        let before = claim.used();
        let source = self::read(item, claim);
        if claim.is_short() {
            return Vec::new();
        }
        if source.is_err() {
            claim.keep(before, 0);
        }
        read.push(source);
    }
    if let Err(error) = claim.add(frame_bytes(&read, spec)) {
        let refused = |source: Result<_, _>| source.map_or_else(|outcome| outcome, |_| refused(error.clone().into()));
        return read.into_iter().map(refused).collect();
    }
    // One header of a series may say something else than the others; the manifest's rows may too.
    let mut normalised: BTreeMap<Modality, Result<IntoIter<Normalised>, NormaliseError>> = BTreeMap::new();
    for modality in Modality::ALL {
        let parts: Vec<Part<'_>> = read
            .iter()
            .flatten()
            .filter(|source| source.modality == modality)
            .map(|source| Part { decoded: &source.decoded, labels: source.labels.as_ref() })
            .collect();
        if !parts.is_empty() {
            normalised.insert(modality, normalise::normalise(&parts, modality, spec).map(Vec::into_iter));
        }
    }
    let mut notes = unit.notes.clone();
    read.into_iter()
        .map(|source| {
            let source = match source {
                Ok(source) => source,
                Err(outcome) => return outcome,
            };
            let frames = match normalised.get_mut(&source.modality) {
                Some(Ok(frames)) => frames.next(),
                Some(Err(error)) => return refused(error.clone().into()),
                None => None,
            };
            // Every file that was read has been normalised.
            let Some(frames) = frames else { return Outcome::NotAnImage };
            let mut prepared = encode(source, frames, spec.image_size, key);
            prepared.notes.append(&mut notes);
            Outcome::Prepared(prepared)
        })
        .collect()
}

fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused(refusal.into())
}

/// What comes of the files at most, and what one plane needs on the way.
fn frame_bytes(read: &[Result<Source, Outcome>], spec: &IngestSpec) -> u64 {
    let frame = u64::from(spec.image_size).pow(2);
    let of = |source: &Source| {
        let volume = &source.decoded.volume;
        let planes = (volume.voxels.len() / volume.plane_pixels()) as u64;
        let windows = if source.modality == Modality::Ct { spec.ct_windows.len() as u64 } else { 1 };
        let way = 8 * volume.plane_pixels() as u64;
        (planes * windows * frame * if source.labels.is_some() { 2 } else { 1 }, way)
    };
    let needs = read.iter().flatten().map(of);
    let (frames, way) = needs.fold((0, 0), |(frames, way), (more, at)| (frames + more, way.max(at)));
    frames + way
}

fn read(item: &Item, claim: &mut Claim) -> Result<Source, Outcome> {
    if let Some(fault) = &item.fault {
        return Err(refused(fault.clone()));
    }
    let decoded = decode::decode_place(&item.place(), claim).map_err(|error| match error {
        DecodeError::NotAnImage { .. } => Outcome::NotAnImage,
        error => refused(error.into()),
    })?;
    let modality = modality(item, decoded.modality).map_err(refused)?;
    let mask = item.mask_place().map(|mask| decode::decode_labels_of(&mask, &decoded, claim));
    let labels = mask.transpose().map_err(|error| refused(error.into()))?;
    Ok(Source { decoded, labels, modality })
}

fn encode(source: Source, normalised: Normalised, side: u32, key: &PseudonymKey) -> Prepared {
    let Source { decoded, modality, .. } = source;
    let frames = normalised.frames.into_iter().map(|frame| {
        let image = pgm::encode_gray8(side, side, &frame.levels);
        let mask = frame.classes.map(|classes| pgm::encode_gray8(side, side, &classes));
        PreparedFrame {
            id: SampleId::of_pgm(&image),
            source: first_half(frame.source),
            mask: mask.as_deref().map(|mask| digest(blake3::Hasher::new().update(mask))),
            pixels: Pixels::Encoded { image, mask },
        }
    });
    let [rows, columns] = normalised.scale;
    Prepared {
        modality,
        frames: frames.collect(),
        nearly_empty: normalised.nearly_empty,
        spacing_mm: decoded.volume.spacing_mm.map(|[row, column]| [row * rows, column * columns]),
        patient: decoded.patient.and_then(|patient| groups::patient_pseudonym(key, &patient)),
        study: decoded.study.map(|study| groups::study_pseudonym(key, &study)),
        notes: decoded.notes,
    }
}

fn first_half(hash: [u8; 32]) -> Digest {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
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
        (ModalityHint::Unknown, _) => refused(
            "modality_unknown",
            "the manifest's word for the modality is unknown, expected CT, MR, PT, XR or US".to_owned(),
        ),
        (ModalityHint::None, None) => refused(
            "modality_unknown",
            "nothing tells the modality, expected a manifest with a column `modality`, a folder named by a modality (`CT/`), \
             or a DICOM header"
                .to_owned(),
        ),
    }
}
