//! JPEG-LS, lossless and near-lossless, of 2 to 16 bits, components in any interleaving: ISO/IEC 14495-1 (ITU-T T.87).
//!
//! Time and memory are bounded by the size that the header of the frame claims, which is known before any pixel is decoded.
//! Mapping tables, sub-sampled components, point transformations and the colour transformation of HP, which DICOM does not use,
//! are refused.

mod bits;
mod coder;
mod header;
mod parameters;
mod scan;

pub(super) use header::Stream;

/// Why a stream gives no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data of a scan end early.
    Truncated,
    /// Codes that no encoder writes.
    Malformed,
    /// A part of the standard that DICOM does not use.
    Unsupported,
}
