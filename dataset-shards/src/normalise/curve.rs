//! From values in source units to grey.

use fast_image_resize::pixels::U16;

use super::range::{GreyRange, WHITE, whole};
use crate::decode::Voi;

/// What the values of a plane are shown by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Curve<'a> {
    /// A range that is asked for: through another one, the same values are another image.
    Window(GreyRange),
    /// A range that follows from the volume that the plane happens to lie in.
    Fitted(GreyRange),
    /// What the file says of its display.
    Display(&'a Voi),
}

impl Curve<'_> {
    /// Levels of 16 bits. What is no number is black, inverted or not.
    pub(super) fn levels(self, plane: &[f32], inverted: bool) -> Vec<U16> {
        match self {
            Self::Window(range) | Self::Fitted(range) => range.levels(plane, inverted),
            Self::Display(voi) => plane.iter().map(|&value| U16::new(level(voi, value, inverted))).collect(),
        }
    }

    /// The identity of what a frame was made from, given that of its values.
    pub(super) fn source(self, values: blake3::Hash) -> [u8; 32] {
        match self {
            Self::Window(range) => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(values.as_bytes());
                range.bounds().iter().for_each(|bound| {
                    hasher.update(&bound.to_le_bytes());
                });
                *hasher.finalize().as_bytes()
            }
            Self::Fitted(_) | Self::Display(_) => *values.as_bytes(),
        }
    }
}

fn level(voi: &Voi, value: f32, inverted: bool) -> u16 {
    if !value.is_finite() {
        return 0;
    }
    let share = voi.share(value);
    let share = if inverted { 1.0 - share } else { share };
    whole(share * WHITE)
}
