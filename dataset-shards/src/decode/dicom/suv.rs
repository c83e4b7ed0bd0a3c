//! Standardised uptake values by body weight, for PET: activity over what was injected for each gram of the patient.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::attributes::Attributes;
use crate::decode::Note;

/// Philips' own factor from counts to SUV, and the one from counts to Bq/ml.
const PHILIPS_SUV_FACTOR: Tag = Tag(0x7053, 0x1000);
const PHILIPS_ACTIVITY_FACTOR: Tag = Tag(0x7053, 0x1009);
const SECONDS_OF_A_DAY: f64 = 86_400.0;

/// What becomes of the values of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Suv {
    NotPet,
    /// SUV is a value times this.
    Factor(f64),
    /// Something that SUV is computed from is missing: the values stay what they are.
    Unknown,
}

impl Suv {
    /// Computes the factor from the header, after the profile of QIBA for FDG-PET.
    pub(super) fn read(attributes: Attributes<'_>) -> Self {
        factor(attributes).filter(|factor| factor.is_finite() && *factor > 0.0).map_or(Self::Unknown, Self::Factor)
    }

    pub(super) fn apply(self, values: &mut [f32]) {
        if let Self::Factor(factor) = self
            && factor != 1.0
        {
            for value in values {
                *value = (f64::from(*value) * factor) as f32;
            }
        }
    }

    pub(super) fn note(self) -> Option<Note> {
        (self == Self::Unknown).then_some(Note::PetWithoutSuv)
    }
}

fn factor(attributes: Attributes<'_>) -> Option<f64> {
    match attributes.text(tags::UNITS)?.as_str() {
        // By lean mass or body surface it is another number.
        "GML" => attributes.text(tags::SUV_TYPE).is_none_or(|kind| kind == "BW").then_some(1.0),
        "BQML" => for_activity(attributes),
        "CNTS" => philips(attributes, PHILIPS_SUV_FACTOR)
            .or_else(|| Some(philips(attributes, PHILIPS_ACTIVITY_FACTOR)? * for_activity(attributes)?)),
        _ => None,
    }
}

fn philips(attributes: Attributes<'_>, tag: Tag) -> Option<f64> {
    attributes.number(tag).filter(|factor| *factor > 0.0)
}

/// Of Bq/ml.
fn for_activity(attributes: Attributes<'_>) -> Option<f64> {
    let grams = attributes.number(tags::PATIENT_WEIGHT).filter(|weight| *weight > 0.0)? * 1000.0;
    let tracer = attributes.item(tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE)?;
    let dose = tracer.number(tags::RADIONUCLIDE_TOTAL_DOSE).filter(|dose| *dose > 0.0)?;
    let left = match attributes.text(tags::DECAY_CORRECTION)?.as_str() {
        // The image is already what it would have been at the injection.
        "ADMIN" => 1.0,
        "START" => {
            let half_life = tracer.number(tags::RADIONUCLIDE_HALF_LIFE).filter(|seconds| *seconds > 0.0)?;
            (-seconds_to_scan(attributes, tracer)? / half_life).exp2()
        }
        _ => return None,
    };
    Some(grams / (dose * left))
}

/// From the injection to the begin of the scan.
fn seconds_to_scan(attributes: Attributes<'_>, tracer: Attributes<'_>) -> Option<f64> {
    let scan_time = attributes.seconds_of_day(tags::SERIES_TIME)?;
    // A series that was made from another one later is stamped with its own time, to which nothing was corrected.
    if attributes.seconds_of_day(tags::ACQUISITION_TIME).is_some_and(|acquired| scan_time > acquired) {
        return None;
    }
    if let (Some((day, time)), Some(scan_day)) =
        (tracer.day_and_seconds(tags::RADIOPHARMACEUTICAL_START_DATE_TIME), attributes.day(tags::SERIES_DATE))
    {
        let seconds = (scan_day - day) as f64 * SECONDS_OF_A_DAY + scan_time - time;
        return (0.0..SECONDS_OF_A_DAY).contains(&seconds).then_some(seconds);
    }
    let seconds = scan_time - tracer.seconds_of_day(tags::RADIOPHARMACEUTICAL_START_TIME)?;
    // A time without a date that lies behind the scan was before midnight.
    Some(if seconds < 0.0 { seconds + SECONDS_OF_A_DAY } else { seconds })
}
