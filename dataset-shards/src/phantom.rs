//! A small five-modality corpus in real file formats, computed from a seed: for demonstrations and tests.
//!
//! Bodies and lesions are geometry; each modality sees them by its own physics. Lesions of class `smooth` are round and
//! homogeneous, those of class `spiculated` are star-shaped and mottled, and some patients have `none`. CT, MR and PET come as
//! DICOM slices, a part of CT and MR as NIfTI volumes with label volumes, X-ray as PNG and ultrasound as JPEG.

mod corpus;
mod dicom;
mod error;
mod files;
mod lesion;
mod plane;
mod random;
mod scanner;
mod shape;
mod summary;

use std::path::Path;

pub use error::PhantomError;
pub use summary::PhantomSummary;

/// Fewest patients of a modality: every split and class has one.
const PATIENTS_MIN: u32 = 10;

/// What decides a phantom corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhantomOptions {
    /// Equal seeds give equal bytes.
    pub seed: u64,
    /// Patients of each modality, at least 10 so that every split has some.
    pub patients_per_modality: u32,
}

impl PhantomOptions {
    /// About 1,800 frames of 350 patients, written in seconds.
    pub fn demo(seed: u64) -> Self {
        Self { seed, patients_per_modality: 80 }
    }
}

/// Writes a corpus and its `MANIFEST.csv` into a folder, which is created and must be empty. Uses all cores.
///
/// # Errors
/// [`PhantomError`]; the manifest is written last, so a folder without one is not a whole corpus.
pub fn write(dir: &Path, options: &PhantomOptions) -> Result<PhantomSummary, PhantomError> {
    if options.patients_per_modality < PATIENTS_MIN {
        return Err(PhantomError::TooFewPatients { found: options.patients_per_modality });
    }
    corpus::write(dir, options)
}

#[cfg(test)]
mod tests;
