//! The modality transformation: from stored values to Hounsfield units, counts or activity.

use std::sync::Arc;

use dicom_dictionary_std::tags;

use super::attributes::Attributes;
use super::malformed;
use super::shape::Shape;
use crate::decode::DecodeError;

/// The transformation of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Transform {
    Linear {
        slope: f64,
        intercept: f64,
    },
    /// The entry for each value, from a first one on. Frames share it.
    Table {
        first: i64,
        entries: Arc<[f32]>,
    },
}

impl Transform {
    pub(super) fn is_identity(&self) -> bool {
        *self == Self::Linear { slope: 1.0, intercept: 0.0 }
    }

    pub(super) fn apply(&self, values: &mut [f32]) {
        match self {
            _ if self.is_identity() => {}
            Self::Linear { slope, intercept } => {
                for value in values {
                    // Two roundings, as everyone has them; a fused one is slow where the processor lacks it.
                    *value = (f64::from(*value) * slope + intercept) as f32;
                }
            }
            // Values below the first entry become it, those above the last become that.
            Self::Table { first, entries } => {
                for value in values {
                    let at = (*value as i64 - first).clamp(0, entries.len() as i64 - 1);
                    *value = entries.get(at as usize).copied().unwrap_or_default();
                }
            }
        }
    }
}

/// The transformation of every frame: that of its own functional group, else of the shared one, else of the image.
pub(super) fn transforms(attributes: Attributes<'_>, shape: &Shape) -> Result<Vec<Transform>, DecodeError> {
    let in_group = |group: Option<Attributes<'_>>| match group {
        Some(group) if group.hides(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE) => {
            Err(malformed("the pixel value transformation of a frame is of unknown representation"))
        }
        Some(group) => group.item(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE).map(linear).transpose(),
        None => Ok(None),
    };
    let whole = match attributes.item(tags::MODALITY_LUT_SEQUENCE) {
        // The table stands in the place of slope and intercept: DICOM PS3.3, C.11.1.
        Some(table) => self::table(table, shape)?,
        None => linear(attributes)?,
    };
    let shared = in_group(attributes.item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE))?.unwrap_or(whole);
    let own = attributes.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    (0..shape.frames as usize)
        .map(|frame| Ok(in_group(own.get(frame).map(Attributes::new))?.unwrap_or_else(|| shared.clone())))
        .collect()
}

fn linear(attributes: Attributes<'_>) -> Result<Transform, DecodeError> {
    let number = |tag, default| match attributes.is_filled(tag) {
        true => attributes.number(tag).ok_or_else(|| malformed("the rescale slope or intercept is no number")),
        false => Ok(default),
    };
    let (slope, intercept) = (number(tags::RESCALE_SLOPE, 1.0)?, number(tags::RESCALE_INTERCEPT, 0.0)?);
    if slope == 0.0 {
        return Err(malformed("the rescale slope is 0, which makes every pixel equal"));
    }
    Ok(Transform::Linear { slope, intercept })
}

fn table(item: Attributes<'_>, shape: &Shape) -> Result<Transform, DecodeError> {
    let broken = || malformed("the modality look-up table cannot be read");
    let descriptor = item.words(tags::LUT_DESCRIPTOR).ok_or_else(broken)?;
    let &[count, first, bits] = &descriptor[..] else { return Err(broken()) };
    let count = if count == 0 { 1 << 16 } else { usize::from(count) };
    let entries = item.table(tags::LUT_DATA, count, bits).ok_or_else(broken)?;
    let first = if shape.signed { i64::from(first.cast_signed()) } else { i64::from(first) };
    Ok(Transform::Table { first, entries: entries.into() })
}
