//! Standardised uptake values from every header that allows them, and none from those that do not.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::super::Note;
use super::build::Image;

/// 1000 Bq/ml where 70 kg were given 3.5 GBq are 0.02 g/ml.
const UPTAKE: f32 = 0.02;
/// What is left of the dose after a half-life of an hour.
const AFTER_AN_HOUR: f32 = 0.04;

/// A tracer injected at ten.
fn tracer() -> Image {
    Image::item()
        .put(tags::RADIONUCLIDE_TOTAL_DOSE, VR::DS, "3500000000")
        .put(tags::RADIONUCLIDE_HALF_LIFE, VR::DS, "3600")
        .put(tags::RADIOPHARMACEUTICAL_START_TIME, VR::TM, "100000")
}

/// A PET image of one pixel of 1000, after slope and intercept, scanned at eleven.
fn image(units: &str, correction: &str, tracer: Image) -> Image {
    Image::grey(1, 1, 16)
        .words(&[400])
        .put(tags::MODALITY, VR::CS, "PT")
        .put(tags::RESCALE_SLOPE, VR::DS, "2.5")
        .put(tags::UNITS, VR::CS, units)
        .put(tags::DECAY_CORRECTION, VR::CS, correction)
        .put(tags::PATIENT_WEIGHT, VR::DS, "70")
        .put(tags::SERIES_DATE, VR::DA, "20260102")
        .put(tags::SERIES_TIME, VR::TM, "110000")
        .sequence(tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE, [tracer])
}

/// The value of the pixel; none where it stayed what it was, and the file is noted for it.
fn uptake(image: &Image) -> Option<f32> {
    let decoded = image.decode(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let is_known = !decoded.notes.contains(&Note::PetWithoutSuv);
    assert!(is_known || decoded.volume.voxels == [1000.0]);
    is_known.then(|| decoded.volume.voxels[0])
}

#[track_caller]
fn check(image: &Image, expected: Option<f32>) {
    match (uptake(image), expected) {
        (Some(found), Some(expected)) => assert!((found / expected - 1.0).abs() < 1e-5, "{found}, expected {expected}"),
        (found, expected) => assert_eq!(found, expected),
    }
}

#[test]
fn activity_at_the_injection_needs_no_decay() {
    check(&image("BQML", "ADMIN", tracer()), Some(UPTAKE));
}

#[test]
fn activity_at_the_scan_is_compared_with_what_was_left_then() {
    check(&image("BQML", "START", tracer()), Some(AFTER_AN_HOUR));
    let dated = tracer().without(tags::RADIOPHARMACEUTICAL_START_TIME).put(
        tags::RADIOPHARMACEUTICAL_START_DATE_TIME,
        VR::DT,
        "20260102100000",
    );
    check(&image("BQML", "START", dated), Some(AFTER_AN_HOUR));
}

#[test]
fn an_injection_before_midnight_is_an_hour_before_a_scan_after_it() {
    let late = tracer().put(tags::RADIOPHARMACEUTICAL_START_TIME, VR::TM, "233000");
    let early = |tracer| image("BQML", "START", tracer).put(tags::SERIES_TIME, VR::TM, "003000");
    check(&early(late.clone()), Some(AFTER_AN_HOUR));
    let dated = late.put(tags::RADIOPHARMACEUTICAL_START_DATE_TIME, VR::DT, "20260101233000");
    check(&early(dated.clone()), Some(AFTER_AN_HOUR));
    // A day too early is a mistake, and no decay.
    check(&early(dated.put(tags::RADIOPHARMACEUTICAL_START_DATE_TIME, VR::DT, "20251231233000")), None);
}

#[test]
fn uptake_stays_uptake_unless_it_is_by_another_measure() {
    check(&image("GML", "START", tracer()), Some(1000.0));
    check(&image("GML", "START", tracer()).put(tags::SUV_TYPE, VR::CS, "BW"), Some(1000.0));
    check(&image("GML", "START", tracer()).put(tags::SUV_TYPE, VR::CS, "LBM"), None);
}

#[test]
fn counts_become_uptake_by_the_factors_of_philips() {
    let counts = image("CNTS", "START", tracer());
    check(&counts, None);
    let factor = |tag, factor: &str| counts.clone().put(tag, VR::DS, factor);
    check(&factor(Tag(0x7053, 0x1000), "0.00005"), Some(0.05));
    check(&factor(Tag(0x7053, 0x1009), "2"), Some(2.0 * AFTER_AN_HOUR));
}

#[test]
fn what_lacks_a_part_of_the_formula_stays_what_it_is_and_says_so() {
    let whole = image("BQML", "START", tracer());
    check(&whole.clone().without(tags::PATIENT_WEIGHT), None);
    check(&whole.clone().put(tags::PATIENT_WEIGHT, VR::DS, "0"), None);
    check(&whole.clone().without(tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE), None);
    check(&whole.clone().put(tags::DECAY_CORRECTION, VR::CS, "NONE"), None);
    check(&whole.clone().put(tags::UNITS, VR::CS, "PROPCPS"), None);
    // Made from another series later: its time is not the one that was corrected to.
    check(&whole.put(tags::ACQUISITION_TIME, VR::TM, "104500"), None);
    for tag in [tags::RADIONUCLIDE_TOTAL_DOSE, tags::RADIONUCLIDE_HALF_LIFE, tags::RADIOPHARMACEUTICAL_START_TIME] {
        check(&image("BQML", "START", tracer().without(tag)), None);
    }
}
