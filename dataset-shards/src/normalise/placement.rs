//! Which part of a plane goes to which part of a frame.

use vismae_core::spec::Fit;

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The part of a plane that is kept, and where it lies in a square frame; the rest of the frame is black and background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) source: Rectangle,
    pub(super) target: Rectangle,
    pub(super) side: u32,
}

impl Placement {
    pub(super) fn new(width: u32, height: u32, side: u32, fit: Fit) -> Self {
        let whole = Rectangle { left: 0, top: 0, width, height };
        let square = Rectangle { left: 0, top: 0, width: side, height: side };
        match fit {
            Fit::Stretch => Self { source: whole, target: square, side },
            Fit::Crop => {
                let shorter = width.min(height);
                Self { source: centred(width, height, shorter, shorter), target: square, side }
            }
            Fit::Pad => {
                let longer = u64::from(width.max(height)).max(1);
                // Rounded, and never to nothing.
                let scaled =
                    |length: u32| (((2 * u64::from(length) * u64::from(side) + longer) / (2 * longer)) as u32).max(1);
                Self { source: whole, target: centred(side, side, scaled(width), scaled(height)), side }
            }
        }
    }

    /// Rows and columns of the plane for each of the frame.
    pub(super) fn scale(&self) -> [f32; 2] {
        let Self { source, target, .. } = self;
        [source.height as f32 / target.height as f32, source.width as f32 / target.width as f32]
    }

    /// Whether every pixel stays what and where it is.
    pub(super) fn is_identity(&self) -> bool {
        self.source == self.target && self.target.width == self.side && self.target.height == self.side
    }
}

/// A rectangle in the middle of a larger one.
fn centred(width: u32, height: u32, inner_width: u32, inner_height: u32) -> Rectangle {
    let (left, top) = ((width - inner_width) / 2, (height - inner_height) / 2);
    Rectangle { left, top, width: inner_width, height: inner_height }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fit_keeps_what_it_promises() {
        let of = |fit| Placement::new(40, 20, 10, fit);
        let rectangle = |left, top, width, height| Rectangle { left, top, width, height };
        assert_eq!(of(Fit::Stretch).source, rectangle(0, 0, 40, 20));
        assert_eq!(of(Fit::Stretch).target, rectangle(0, 0, 10, 10));
        assert_eq!(of(Fit::Crop).source, rectangle(10, 0, 20, 20));
        assert_eq!(of(Fit::Crop).target, rectangle(0, 0, 10, 10));
        assert_eq!(of(Fit::Pad).source, rectangle(0, 0, 40, 20));
        assert_eq!(of(Fit::Pad).target, rectangle(0, 2, 10, 5));
        assert_eq!(Placement::new(900, 1, 16, Fit::Pad).target, rectangle(0, 7, 16, 1));
        assert!(Placement::new(10, 10, 10, Fit::Crop).is_identity() && !of(Fit::Stretch).is_identity());
    }
}
