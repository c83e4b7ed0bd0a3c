//! Where pixels lie in the patient.

use dicom_dictionary_std::tags;

use super::attributes::Attributes;

/// Distance of rows and of columns, in millimetres, in the patient or, failing that, on the detector.
pub(super) fn spacing(attributes: Attributes<'_>) -> Option<[f32; 2]> {
    [tags::PIXEL_SPACING, tags::IMAGER_PIXEL_SPACING].into_iter().find_map(|tag| {
        let values: [f64; 2] = attributes.numbers(tag)?.try_into().ok()?;
        values.iter().all(|distance| distance.is_finite() && *distance > 0.0).then(|| values.map(|value| value as f32))
    })
}
