//! Where pixels lie in the patient.

use dicom_dictionary_std::tags;

use super::attributes::Attributes;

/// Steps in which directions are compared: files round them, and slices of one stack differ by far less.
const DIRECTION_STEP: f64 = 1e-2;

/// One slice of a series, as its header places it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slice {
    /// What slices of one volume have in common.
    pub(crate) stack: Stack,
    /// Along the normal of the slices, in millimetres.
    pub(crate) position_mm: f64,
}

/// What slices of one volume have in common. A localizer in the same series has another direction or size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stack {
    /// The UID of the series: identifying, never shown or stored.
    series: String,
    /// Of rows and columns, in steps.
    directions: [i64; 6],
    pub(crate) rows: u32,
    pub(crate) columns: u32,
}

impl Slice {
    /// None for what says nothing of its place, or holds several frames, which are a volume of their own.
    pub(super) fn read(attributes: Attributes<'_>) -> Option<Self> {
        if attributes.integer(tags::NUMBER_OF_FRAMES).is_some_and(|frames| frames > 1) {
            return None;
        }
        let side = |tag| u32::try_from(attributes.integer(tag)?).ok();
        let directions: [f64; 6] = attributes.numbers(tags::IMAGE_ORIENTATION_PATIENT)?.try_into().ok()?;
        let [x, y, z]: [f64; 3] = attributes.numbers(tags::IMAGE_POSITION_PATIENT)?.try_into().ok()?;
        let [a, b, c, d, e, f] = directions;
        // The normal of a slice: the cross product of the directions of its rows and columns.
        let position_mm = (b * f - c * e) * x + (c * d - a * f) * y + (a * e - b * d) * z;
        let stack = Stack {
            series: attributes.text(tags::SERIES_INSTANCE_UID)?,
            directions: directions.map(|part| (part / DIRECTION_STEP).round() as i64),
            rows: side(tags::ROWS)?,
            columns: side(tags::COLUMNS)?,
        };
        position_mm.is_finite().then_some(Self { stack, position_mm })
    }
}

/// Distance of rows and of columns, in millimetres, in the patient or, failing that, on the detector.
pub(super) fn spacing(attributes: Attributes<'_>) -> Option<[f32; 2]> {
    let read = |attributes: Attributes<'_>, tag| {
        let values: [f64; 2] = attributes.numbers(tag)?.try_into().ok()?;
        values.iter().all(|distance| distance.is_finite() && *distance > 0.0).then(|| values.map(|value| value as f32))
    };
    let of_frames = [tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE]
        .into_iter()
        .find_map(|groups| read(attributes.item(groups)?.item(tags::PIXEL_MEASURES_SEQUENCE)?, tags::PIXEL_SPACING));
    of_frames.or_else(|| read(attributes, tags::PIXEL_SPACING)).or_else(|| read(attributes, tags::IMAGER_PIXEL_SPACING))
}
