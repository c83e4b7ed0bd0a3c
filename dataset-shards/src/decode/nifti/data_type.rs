//! What a voxel is stored as.

use super::malformed;
use crate::decode::DecodeError;

/// What a voxel is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    /// Red, green and blue of 8 bits, and transparency with the fourth.
    Colour {
        samples: usize,
    },
}

impl DataType {
    /// By the codes of nifti1.h.
    pub(super) fn of(code: i16) -> Result<Self, DecodeError> {
        Ok(match code {
            2 => Self::U8,
            256 => Self::I8,
            512 => Self::U16,
            4 => Self::I16,
            768 => Self::U32,
            8 => Self::I32,
            1280 => Self::U64,
            1024 => Self::I64,
            16 => Self::F32,
            64 => Self::F64,
            128 => Self::Colour { samples: 3 },
            2304 => Self::Colour { samples: 4 },
            32 | 1792 | 2048 | 1536 | 1 => {
                let what = format!("NIfTI data type {code}");
                return Err(DecodeError::Unsupported {
                    what,
                    expected: "one real number a voxel, of 8 to 64 bits, or RGB",
                });
            }
            _ => return Err(malformed("the data type is unknown")),
        })
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Colour { samples } => samples,
        }
    }
}
