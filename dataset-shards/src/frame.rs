//! A greyscale image in memory, and its encoding.

pub mod pgm;

/// The grey levels of a frame, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pixels {
    /// 0 (black) to 255 (white).
    Gray8(Vec<u8>),
    /// 0 (black) to 65535 (white).
    Gray16(Vec<u16>),
}

impl Pixels {
    fn len(&self) -> usize {
        match self {
            Self::Gray8(levels) => levels.len(),
            Self::Gray16(levels) => levels.len(),
        }
    }
}

/// Why width, height and pixels do not make a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {width} x {height} has {found} pixels, expected {width} x {height} of at least one each")]
pub struct FrameShapeError {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pixels given.
    pub found: usize,
}

/// One 2-D greyscale image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    pixels: Pixels,
}

impl Frame {
    /// A frame of any depth.
    ///
    /// # Errors
    /// [`FrameShapeError`] when a side is 0 or the number of pixels is not their product.
    pub fn new(width: u32, height: u32, pixels: Pixels) -> Result<Self, FrameShapeError> {
        let fits = width > 0 && height > 0 && u64::from(width) * u64::from(height) == pixels.len() as u64;
        if fits {
            Ok(Self { width, height, pixels })
        } else {
            Err(FrameShapeError { width, height, found: pixels.len() })
        }
    }

    /// A frame of 8-bit levels.
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn gray8(width: u32, height: u32, levels: Vec<u8>) -> Result<Self, FrameShapeError> {
        Self::new(width, height, Pixels::Gray8(levels))
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The grey levels, row by row from the top.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The grey levels, when they have 8 bits.
    pub fn into_gray8(self) -> Option<Vec<u8>> {
        match self.pixels {
            Pixels::Gray8(levels) => Some(levels),
            Pixels::Gray16(_) => None,
        }
    }
}
