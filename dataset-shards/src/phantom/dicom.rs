//! Computed slices as DICOM files, with the attributes that readers of series ask for.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use vismae_core::spec::Modality;

use super::PhantomError;
use super::files::Folder;
use super::plane::Plane;

/// One slice of one series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice<'a> {
    pub(super) modality: Modality,
    pub(super) patient_id: &'a str,
    /// In the series, from 1.
    pub(super) instance: u32,
    /// Along the body.
    pub(super) z_mm: f32,
    /// Distance of rows and columns.
    pub(super) pixel_mm: f32,
    pub(super) thickness_mm: f32,
}

/// Writes a slice as 16-bit signed pixels with rescale slope and intercept; the size of the file.
pub(super) fn write(folder: &Folder, file: &str, plane: &Plane, slice: Slice<'_>) -> Result<u64, PhantomError> {
    let encode = |source: Box<dyn std::error::Error + Send + Sync>| PhantomError::Encode {
        path: file.to_owned(),
        format: "DICOM",
        source,
    };
    let class = sop_class(slice.modality);
    let meta =
        FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN).media_storage_sop_class_uid(class);
    let object = InMemDicomObject::from_element_iter(elements(plane, slice));
    let object = object.with_meta(meta).map_err(|error| encode(error.into()))?;
    let mut bytes = Vec::new();
    object.write_all(&mut bytes).map_err(|error| encode(error.into()))?;
    folder.write(file, &bytes)
}

fn elements(plane: &Plane, slice: Slice<'_>) -> Vec<DataElement<InMemDicomObject>> {
    let (slope, intercept) = rescale(plane, slice.modality);
    let stored = plane.values.iter().map(|value| (((value - intercept) / slope).round() as i16).cast_unsigned());
    let pixels = PrimitiveValue::U16(stored.collect());
    let side = PrimitiveValue::from(plane.size as u16);
    let (pixel, thickness, z) = (decimal(slice.pixel_mm), decimal(slice.thickness_mm), decimal(slice.z_mm));
    let text = |tag, vr, text: &str| DataElement::new(tag, vr, PrimitiveValue::from(text));
    let short = |tag: Tag, number: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(number));
    let uid = |part: &str| uid(&format!("{}/{part}", slice.patient_id));
    let mut elements = vec![
        text(tags::SOP_CLASS_UID, VR::UI, sop_class(slice.modality)),
        text(tags::SOP_INSTANCE_UID, VR::UI, &uid(&format!("instance {}", slice.instance))),
        text(tags::STUDY_INSTANCE_UID, VR::UI, &uid("study")),
        text(tags::SERIES_INSTANCE_UID, VR::UI, &uid("series")),
        text(tags::FRAME_OF_REFERENCE_UID, VR::UI, &uid("frame of reference")),
        text(tags::MODALITY, VR::CS, if slice.modality == Modality::Pet { "PT" } else { slice.modality.word() }),
        text(tags::MANUFACTURER, VR::LO, "vismae phantom"),
        text(tags::PATIENT_ID, VR::LO, slice.patient_id),
        text(tags::PATIENT_NAME, VR::PN, &format!("Phantom^{}", slice.patient_id)),
        text(tags::INSTANCE_NUMBER, VR::IS, &slice.instance.to_string()),
        text(tags::SLICE_THICKNESS, VR::DS, &thickness),
        text(tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("0\\0\\{z}")),
        text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0"),
        text(tags::PIXEL_SPACING, VR::DS, &format!("{pixel}\\{pixel}")),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        text(tags::RESCALE_SLOPE, VR::DS, &decimal(slope)),
        text(tags::RESCALE_INTERCEPT, VR::DS, &decimal(intercept)),
        short(tags::SAMPLES_PER_PIXEL, 1),
        DataElement::new(tags::ROWS, VR::US, side.clone()),
        DataElement::new(tags::COLUMNS, VR::US, side),
        short(tags::BITS_ALLOCATED, 16),
        short(tags::BITS_STORED, 16),
        short(tags::HIGH_BIT, 15),
        short(tags::PIXEL_REPRESENTATION, 1),
        DataElement::new(tags::PIXEL_DATA, VR::OW, pixels),
    ];
    match slice.modality {
        Modality::Ct => elements.push(text(tags::RESCALE_TYPE, VR::LO, "HU")),
        Modality::Pet => elements.push(text(tags::UNITS, VR::CS, "BQML")),
        Modality::Mr | Modality::XRay | Modality::Ultrasound => {}
    }
    elements
}

/// Slope and intercept of the stored values. PET has a slope of its own in every slice, as scanners write it.
fn rescale(plane: &Plane, modality: Modality) -> (f32, f32) {
    match modality {
        Modality::Ct => (1.0, -1024.0),
        Modality::Pet => {
            let highest = plane.values.iter().copied().fold(1.0, f32::max);
            // Rounded to what a decimal string of the header holds.
            (decimal(highest / 32_000.0).parse().unwrap_or(1.0), 0.0)
        }
        Modality::Mr | Modality::XRay | Modality::Ultrasound => (1.0, 0.0),
    }
}

fn sop_class(modality: Modality) -> &'static str {
    match modality {
        Modality::Ct => uids::CT_IMAGE_STORAGE,
        Modality::Mr => uids::MR_IMAGE_STORAGE,
        Modality::Pet => uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
        Modality::XRay => uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
        Modality::Ultrasound => uids::ULTRASOUND_IMAGE_STORAGE,
    }
}

/// A UID derived from a name, in the arc that is open to everyone.
fn uid(name: &str) -> String {
    let hash = blake3::derive_key("vismae 2026 phantom uid v1", name.as_bytes());
    let mut number = [0; 16];
    number.copy_from_slice(&hash[..16]);
    format!("2.25.{}", u128::from_be_bytes(number))
}

/// A number as a decimal string of at most 16 characters.
fn decimal(value: f32) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}
