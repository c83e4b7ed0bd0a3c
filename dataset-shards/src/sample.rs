//! The identity of a sample: what its pixels are, wherever its file lay.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::frame::{Frame, pgm};

/// The first 16 bytes of the BLAKE3 hash of a frame's PGM encoding. Shown as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SampleId([u8; 16]);

/// Why a text is not a [`SampleId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sample id `{text}` is not usable: expected 32 hex digits")]
pub struct InvalidSampleId {
    /// The text as given.
    pub text: String,
}

impl SampleId {
    /// The identity of a frame.
    pub fn of(frame: &Frame) -> Self {
        Self::of_pgm(&pgm::encode(frame))
    }

    /// The identity of an encoded frame.
    pub fn of_pgm(encoded: &[u8]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(encoded).as_bytes()[..16]);
        Self(id)
    }

    /// The identity as bytes, for hashing with.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for SampleId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for SampleId {
    type Err = InvalidSampleId;

    fn from_str(text: &str) -> Result<Self, InvalidSampleId> {
        let refused = || InvalidSampleId { text: text.to_owned() };
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(refused());
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let id = SampleId::of(&Frame::gray8(2, 1, vec![0, 255]).unwrap());
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "00", "G0000000000000000000000000000000", "+0000000000000000000000000000000"] {
            assert!(bad.parse::<SampleId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_shape_of_a_frame_is_part_of_its_identity() {
        let wide = SampleId::of(&Frame::gray8(2, 1, vec![7, 7]).unwrap());
        let tall = SampleId::of(&Frame::gray8(1, 2, vec![7, 7]).unwrap());
        assert_ne!(wide, tall);
    }
}
