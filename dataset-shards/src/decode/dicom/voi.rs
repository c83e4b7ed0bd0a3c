//! How a file wants its values shown: the VOI transformation, DICOM PS3.3, C.11.2.

use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::attributes::Attributes;
use super::shape::Shape;

/// Levels of a display. What a transformation maps to one of them looks like one value.
const WHITE: f64 = 255.0;
/// The groups of overlay planes.
const OVERLAY_GROUPS: std::ops::RangeInclusive<u16> = 0x6000..=0x601E;

/// From values behind the modality transformation to grey.
#[derive(Debug, Clone, PartialEq)]
pub enum Voi {
    /// Black up to the first value, white from the second on, and straight in between.
    Linear {
        /// Black.
        low: f64,
        /// White; larger.
        high: f64,
    },
    /// The logistic function.
    Sigmoid {
        /// Half way to white.
        centre: f64,
        /// Four times the grey at the centre over the slope there; positive.
        width: f64,
    },
    /// The share of white of each whole number from a first one on. Values before the first are as it is, those behind the last
    /// as that is.
    Table {
        /// The value of the first entry.
        first: f64,
        /// Shares in 0 to 1.
        shares: Arc<[f32]>,
    },
}

/// What a file says of its display.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    /// Nothing.
    Absent,
    /// One transformation for each frame.
    Usable(Vec<Voi>),
    /// Something that no image can be shown by.
    Unusable,
}

impl Voi {
    /// The share of white that a finite value is shown with, in 0 to 1.
    pub(crate) fn share(&self, value: f32) -> f64 {
        let value = f64::from(value);
        match self {
            Self::Linear { low, high } => ((value - low) / (high - low)).clamp(0.0, 1.0),
            Self::Sigmoid { centre, width } => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
            Self::Table { first, shares } => {
                let last = shares.len().saturating_sub(1);
                let at = (value - first).round().clamp(0.0, last as f64) as usize;
                shares.get(at).copied().map_or(0.0, f64::from)
            }
        }
    }

    /// Whether it tells apart any values that differ.
    fn shows(&self, values: &[f32]) -> bool {
        // What is no number, as bounds beyond all measure give, is 0.
        let level = |value: f32| (self.share(value) * WHITE).round() as u8;
        let mut finite = values.iter().copied().filter(|value| value.is_finite());
        let Some(first) = finite.next() else { return true };
        let (mut differ, first_level) = (false, level(first));
        for value in finite.filter(|&value| value != first) {
            differ = true;
            if level(value) != first_level {
                return true;
            }
        }
        !differ
    }
}

impl Reading {
    /// The transformation of every frame: that of its own functional group, else of the shared one, else of the image. Of several
    /// alternatives the first; a table before a window, which stands in for it where tables are not understood. A file whose
    /// frames are not all covered, or none of whose frames would show anything, has nothing usable.
    pub(super) fn of(attributes: Attributes<'_>, shape: &Shape, voxels: &[f32]) -> Self {
        let in_group = |group: Option<Attributes<'_>>| match group?.item(tags::FRAME_VOILUT_SEQUENCE) {
            Some(item) => one(item, shape),
            None => None,
        };
        let whole = one(attributes, shape);
        let shared = in_group(attributes.item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)).or(whole);
        let own = attributes.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let frames: Vec<Option<Stated>> = (0..shape.frames as usize)
            .map(|frame| in_group(own.get(frame).map(Attributes::new)).or_else(|| shared.clone()))
            .collect();
        if frames.iter().all(Option::is_none) {
            return Self::Absent;
        }
        let usable: Option<Vec<Voi>> = frames.into_iter().map(Option::flatten).collect();
        let shows = |vois: &[Voi]| vois.iter().zip(voxels.chunks(shape.pixels())).any(|(voi, frame)| voi.shows(frame));
        match usable.filter(|vois| shows(vois)) {
            Some(vois) => Self::Usable(vois),
            None => Self::Unusable,
        }
    }
}

/// What one set of attributes states; within it none where that is of no use.
type Stated = Option<Voi>;

fn one(attributes: Attributes<'_>, shape: &Shape) -> Option<Stated> {
    let has_table = attributes.is_filled(tags::VOILUT_SEQUENCE);
    let has_window = attributes.is_filled(tags::WINDOW_CENTER) || attributes.is_filled(tags::WINDOW_WIDTH);
    let table = || attributes.item(tags::VOILUT_SEQUENCE).and_then(|item| table(item, shape));
    (has_table || has_window).then(|| table().or_else(|| window(attributes)))
}

fn window(attributes: Attributes<'_>) -> Option<Voi> {
    let centre = attributes.number(tags::WINDOW_CENTER)?;
    let width = attributes.number(tags::WINDOW_WIDTH).filter(|&width| width > 0.0)?;
    match attributes.text(tags::VOILUT_FUNCTION).as_deref() {
        // Narrower than 1 is no window of whole numbers; of exactly 1, a step.
        None | Some("LINEAR") if width >= 1.0 => {
            let (middle, half) = (centre - 0.5, (width - 1.0) / 2.0);
            Some(Voi::Linear { low: middle - half, high: (middle + half).max((middle - half).next_up()) })
        }
        Some("LINEAR_EXACT") => Some(Voi::Linear { low: centre - width / 2.0, high: centre + width / 2.0 }),
        Some("SIGMOID") => Some(Voi::Sigmoid { centre, width }),
        _ => None,
    }
}

fn table(item: Attributes<'_>, shape: &Shape) -> Option<Voi> {
    let &[count, first, bits @ 8..=16] = &item.words(tags::LUT_DESCRIPTOR)?[..] else { return None };
    let count = if count == 0 { 1 << 16 } else { usize::from(count) };
    let white = f32::from(u16::MAX >> (16 - bits));
    let entries = item.table(tags::LUT_DATA, count, bits)?;
    let first = if shape.signed { f64::from(first.cast_signed()) } else { f64::from(first) };
    Some(Voi::Table { first, shares: entries.into_iter().map(|entry| (entry / white).min(1.0)).collect() })
}

/// Whether the file holds overlay planes: graphics and texts beside the pixels, which no frame shows.
pub(super) fn has_overlays(attributes: Attributes<'_>) -> bool {
    let element = tags::OVERLAY_ROWS.inner().element();
    OVERLAY_GROUPS.step_by(2).any(|group| attributes.has(Tag(group, element)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_map_as_the_standard_says() {
        // The pseudo-code of C.11.2.1.2 for a centre of 2048 and a width of 4096.
        let linear = Voi::Linear { low: 2047.5 - 2047.5, high: 2047.5 + 2047.5 };
        assert_eq!([0.0, 4095.0, 5000.0].map(|value| linear.share(value)), [0.0, 1.0, 1.0]);
        let sigmoid = Voi::Sigmoid { centre: 10.0, width: 4.0 };
        assert_eq!(sigmoid.share(10.0), 0.5);
        assert!((sigmoid.share(11.0) - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-12);
        assert_eq!([f32::MIN, f32::MAX].map(|value| sigmoid.share(value)), [0.0, 1.0]);
        let table = Voi::Table { first: -1.0, shares: [0.25, 1.0, 0.5].into() };
        assert_eq!([-9.0, -1.0, 0.0, 1.0, 9.0].map(|value| table.share(value)), [0.25, 0.25, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn a_window_beside_the_values_shows_nothing_and_one_value_needs_none() {
        let voi = Voi::Linear { low: 1000.0, high: 2000.0 };
        assert!(!voi.shows(&[1.0, 2.0, f32::NAN, 999.0]));
        assert!(voi.shows(&[1.0, 1500.0]));
        assert!(voi.shows(&[7.0, 7.0]) && voi.shows(&[f32::NAN]));
    }
}
