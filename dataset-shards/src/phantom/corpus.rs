//! Which patients there are, and which files each has.

use std::path::Path;
use std::thread;

use vismae_core::spec::Modality;

use super::files::Folder;
use super::lesion::{Class, Lesion};
use super::plane::Plane;
use super::random::Random;
use super::scanner::scanner;
use super::{PhantomError, PhantomOptions, PhantomSummary, dicom};
use crate::split::Split;

/// Slices of a patient that come as files of their own; all of them meet the lesion.
const SLICES: u32 = 4;
/// Slices of a volume; the outer ones do not meet the lesion.
const VOLUME_SLICES: u32 = 10;
/// Films and ultrasound images of a patient.
const VIEWS: u32 = 3;
const PIXEL_MM: f32 = 2.5;
const SLICE_MM: f32 = 6.0;

/// One patient of one modality.
struct Patient {
    modality: Modality,
    index: u32,
    id: String,
    class: Class,
    split: Split,
}

/// One line of the manifest.
struct Row {
    file: String,
    label: Option<Class>,
    mask: String,
}

/// What a patient's files come to.
struct Written {
    rows: Vec<Row>,
    frames: u64,
    bytes: u64,
}

/// Writes every patient, and then the manifest.
pub(super) fn write(dir: &Path, options: &PhantomOptions) -> Result<PhantomSummary, PhantomError> {
    let folder = Folder::create(dir)?;
    let patients: Vec<Patient> = Modality::ALL
        .into_iter()
        .flat_map(|modality| (0..options.patients_per_modality).map(move |index| Patient::new(modality, index)))
        .collect();
    let written = write_patients(&folder, &patients, options.seed)?;
    let mut summary = PhantomSummary { patients: patients.len() as u64, ..PhantomSummary::default() };
    for patient in &written {
        summary.files += patient.rows.len() as u64;
        summary.masks += patient.rows.len() as u64;
        summary.frames += patient.frames;
        summary.bytes += patient.bytes;
    }
    summary.bytes += folder.write("MANIFEST.csv", &manifest(&patients, &written)?)?;
    Ok(summary)
}

/// The patients in equal shares on all cores; what a patient looks like depends on no other.
fn write_patients(folder: &Folder, patients: &[Patient], seed: u64) -> Result<Vec<Written>, PhantomError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = patients.len().div_ceil(cores).max(1);
    let written: Vec<Result<Vec<Written>, PhantomError>> = thread::scope(|scope| {
        let work = |part: &'_ [Patient]| part.iter().map(|patient| patient.write(folder, seed)).collect();
        let running: Vec<_> = patients.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let written: Vec<Vec<Written>> = written.into_iter().collect::<Result<_, _>>()?;
    Ok(written.into_iter().flatten().collect())
}

fn manifest(patients: &[Patient], written: &[Written]) -> Result<Vec<u8>, PhantomError> {
    let failed = |error: csv::Error| PhantomError::Write { path: "MANIFEST.csv".to_owned(), source: error.into() };
    let mut table = csv::Writer::from_writer(Vec::new());
    table
        .write_record(["file", "modality", "patient_id", "group_id", "label", "mask_file", "split"])
        .map_err(failed)?;
    for (patient, written) in patients.iter().zip(written) {
        for row in &written.rows {
            let modality = if patient.modality == Modality::Pet { "PT" } else { patient.modality.word() };
            let label = row.label.map_or("", Class::word);
            let record = [&row.file, modality, &patient.id, &patient.id, label, &row.mask, patient.split.word()];
            table.write_record(record).map_err(failed)?;
        }
    }
    table
        .into_inner()
        .map_err(|error| PhantomError::Write { path: "MANIFEST.csv".to_owned(), source: error.into_error() })
}

impl Patient {
    /// Of ten patients seven are for training, one is for validation and two are for testing. Classes go round by three and
    /// volumes by four, so that none of the three says anything about another.
    fn new(modality: Modality, index: u32) -> Self {
        let split = match index % 10 {
            0..7 => Split::Train,
            7 => Split::Val,
            _ => Split::Test,
        };
        let class = Class::ALL[index as usize % Class::ALL.len()];
        Self { modality, index, id: format!("PH-{modality}-{index:04}"), class, split }
    }

    fn write(&self, folder: &Folder, seed: u64) -> Result<Written, PhantomError> {
        let mut random = Random::new(seed, &self.id);
        let body = scanner(self.modality, &mut random);
        let site = body.site(&mut random);
        let lesion = Lesion::new(self.class, site, &mut random);
        let scan =
            |z: f32, name: &str| body.scan(lesion.as_ref(), z, &mut Random::new(seed, &format!("{}/{name}", self.id)));
        let spread = |count: u32, extent: f32| {
            (0..count).map(move |at| (at, extent * (2.0 * at as f32 / (count - 1).max(1) as f32 - 1.0)))
        };
        let mut written = Written { rows: Vec::new(), frames: 0, bytes: 0 };
        match self.modality {
            Modality::Ct | Modality::Mr if self.index % 4 == 3 => {
                let planes: Vec<Plane> =
                    spread(VOLUME_SLICES, 1.2).map(|(at, z)| scan(z, &format!("volume {at}"))).collect();
                self.write_volume(folder, &planes, &mut written)?;
            }
            Modality::Ct | Modality::Mr | Modality::Pet => {
                for (at, z) in spread(SLICES, 0.6) {
                    self.write_slice(folder, at, &scan(z, &format!("slice {at}")), &mut written)?;
                }
            }
            Modality::XRay | Modality::Ultrasound => {
                for (at, z) in spread(VIEWS, 0.5) {
                    self.write_view(folder, at, &scan(z, &format!("view {at}")), &mut written)?;
                }
            }
        }
        Ok(written)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.modality.word().to_ascii_lowercase(), self.id)
    }

    /// A volume has no label: only some of its slices show the lesion.
    fn write_volume(&self, folder: &Folder, planes: &[Plane], written: &mut Written) -> Result<(), PhantomError> {
        let (file, mask) = (self.path("volume.nii.gz"), self.path("lesion.nii.gz"));
        let spacing = [PIXEL_MM, PIXEL_MM, SLICE_MM];
        written.bytes += folder.volume(&file, planes, spacing)? + folder.labels(&mask, planes, spacing)?;
        written.frames += planes.len() as u64;
        written.rows.push(Row { file, label: None, mask });
        Ok(())
    }

    fn write_slice(&self, folder: &Folder, at: u32, plane: &Plane, written: &mut Written) -> Result<(), PhantomError> {
        let file = self.path(&format!("slice-{at}.dcm"));
        let slice = dicom::Slice {
            modality: self.modality,
            patient_id: &self.id,
            instance: at + 1,
            z_mm: at as f32 * SLICE_MM,
            pixel_mm: PIXEL_MM,
            thickness_mm: SLICE_MM,
        };
        written.bytes += dicom::write(folder, &file, plane, slice)?;
        self.finish_frame(folder, file, at, plane, written)
    }

    fn write_view(&self, folder: &Folder, at: u32, plane: &Plane, written: &mut Written) -> Result<(), PhantomError> {
        let (file, bytes) = if self.modality == Modality::Ultrasound {
            let file = self.path(&format!("view-{at}.jpg"));
            let bytes = folder.jpeg(&file, plane)?;
            (file, bytes)
        } else {
            let file = self.path(&format!("view-{at}.png"));
            let bytes =
                if self.index.is_multiple_of(2) { folder.png8(&file, plane)? } else { folder.png16(&file, plane)? };
            (file, bytes)
        };
        written.bytes += bytes;
        self.finish_frame(folder, file, at, plane, written)
    }

    /// Writes the mask beside a frame and lists both.
    fn finish_frame(
        &self,
        folder: &Folder,
        file: String,
        at: u32,
        plane: &Plane,
        written: &mut Written,
    ) -> Result<(), PhantomError> {
        let mask = self.path(&format!("mask-{at}.png"));
        written.bytes += folder.mask(&mask, plane)?;
        written.frames += 1;
        written.rows.push(Row { file, label: Some(self.class), mask });
        Ok(())
    }
}
