//! What a file is: by its first bytes, and for unknown ones by what its name promises.

use std::path::Path;

use super::{DecodeError, dicom};

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Dicom,
    Nifti,
    Png,
    Jpeg,
    Tiff,
    Bmp,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dicom => "DICOM",
            Self::Nifti => "NIfTI",
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
        }
    }
}

/// Lengths of the headers that a BMP may have: its two magic bytes alone begin many a text.
const BMP_HEADERS: [u8; 6] = [12, 40, 52, 56, 108, 124];

/// First bytes of images that are known and not read.
const KNOWN_OTHERS: [(&[u8], &str); 4] =
    [(b"GIF8", "GIF"), (b"RIFF", "WebP"), (b"\0\0\0\x0cjP  ", "JPEG 2000 outside DICOM"), (b"NRRD", "NRRD")];

/// Endings that promise an image: a file of unknown bytes with one of them is at fault, any other is just not an image.
const IMAGE_ENDINGS: [&str; 18] = [
    "dcm", "dicom", "ima", "nii", "gz", "hdr", "png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp", "mgz", "mnc",
    "nrrd", "mha",
];

/// Endings of well-known companions of images.
const COMPANION_NAMES: [&str; 4] = ["dicomdir", "thumbs.db", "desktop.ini", ".ds_store"];

/// Refuses what its name alone shows to be no image.
pub(super) fn check_name(path: &Path) -> Result<(), DecodeError> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if COMPANION_NAMES.contains(&name.as_str()) || name.starts_with("._") {
        return Err(DecodeError::NotAnImage { kind: "a file that systems keep beside images" });
    }
    Ok(())
}

/// The format of a file's bytes.
pub(super) fn format(path: &Path, bytes: &[u8]) -> Result<Format, DecodeError> {
    if bytes.get(128..132) == Some(b"DICM") {
        return Ok(Format::Dicom);
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(Format::Png);
    }
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return Ok(Format::Jpeg);
    }
    if bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*") {
        return Ok(Format::Tiff);
    }
    if bytes.starts_with(b"BM")
        && bytes.get(14..18).is_some_and(|size| BMP_HEADERS.contains(&size[0]) && size[1..] == [0; 3])
    {
        return Ok(Format::Bmp);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) || is_nifti(bytes) {
        return Ok(Format::Nifti);
    }
    if dicom::is_without_preamble(bytes) {
        return Ok(Format::Dicom);
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if let Some((_, name)) = KNOWN_OTHERS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(DecodeError::Unsupported {
            what: (*name).to_owned(),
            expected: "DICOM, NIfTI, PNG, JPEG, TIFF or BMP",
        });
    }
    if IMAGE_ENDINGS.contains(&ending.as_str()) {
        Err(DecodeError::UnknownFormat)
    } else {
        Err(DecodeError::NotAnImage { kind: "bytes of no image format, and no name of one" })
    }
}

/// A header of NIfTI of either version and byte order, or of a pair of files.
fn is_nifti(bytes: &[u8]) -> bool {
    let size = bytes.first_chunk::<4>().map(|size| (i32::from_le_bytes(*size), i32::from_be_bytes(*size)));
    matches!(size, Some((348 | 540, _) | (_, 348 | 540)))
}
