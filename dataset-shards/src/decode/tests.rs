//! Files made by hand, whole and broken; each format's traps stand in a module of their own.

mod build;
mod codecs;
mod dicom;
mod faults;
mod hard_cases;
mod labels;
mod nifti;
mod nifti_types;
mod pixels;
mod raster;
mod raster_types;
mod uptake;
mod voi;

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A folder to write files in.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn decode(&self, name: &str, bytes: &[u8]) -> Result<Decoded, DecodeError> {
        decode(&self.put(name, bytes))
    }

    /// The code of the refusal.
    fn refused(&self, name: &str, bytes: &[u8]) -> &'static str {
        match self.decode(name, bytes) {
            Ok(_) => "decoded",
            Err(error) => error.code(),
        }
    }
}

#[test]
fn what_is_no_image_is_told_from_what_should_be_one() {
    let files = Files::new();
    assert_eq!(files.refused("a.png", b""), "empty_file");
    assert_eq!(files.refused("a.dcm", b"a letter"), "unknown_format");
    assert_eq!(files.refused("a.txt", b"a letter"), "not_an_image");
    assert_eq!(files.refused(".DS_Store", b"\0\0\0\x01Bud1"), "not_an_image");
    assert_eq!(files.refused("._a.png", b"\0\x05\x16\x07"), "not_an_image");
    assert_eq!(files.refused("DICOMDIR", b"x"), "not_an_image");
    assert_eq!(files.refused("a.gif", b"GIF89a"), "unsupported");
    assert_eq!(decode(&files.0.path().join("nowhere.png")).err().map(|error| error.code()), Some("missing_file"));
}

#[test]
fn a_panic_of_a_decoder_is_an_error_of_the_file() {
    let outcome: Result<(), _> = guarded("PNG", || panic!("index out of bounds"));
    assert_eq!(outcome.unwrap_err().code(), "decoder_failed");
}

#[test]
fn claims_of_size_are_checked_before_anything_is_allocated() {
    assert!(check_size(8192, 8192, 1).is_ok());
    assert_eq!(check_size(8193, 8192, 1).unwrap_err().code(), "too_large");
    assert_eq!(check_size(1024, 1024, 257).unwrap_err().code(), "too_large");
    assert_eq!(check_size(u64::MAX, u64::MAX, u64::MAX).unwrap_err().code(), "too_large");
    assert_eq!(check_size(0, 5, 1).unwrap_err().code(), "malformed");
}

#[test]
fn a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded() {
    let mut bytes = vec![0xff, 0xd8];
    // The header of a scan, and no data.
    (0..300).for_each(|_| bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]));
    bytes.extend([0xff, 0xd9]);
    let error = decode_bytes(Path::new("a.jpg"), &bytes).err().unwrap();
    assert!(error.to_string().contains("more than 256 scans"), "{error}");
}

#[test]
fn memory_is_claimed_before_it_is_taken() {
    let files = Files::new();
    let place = Place::Disk(files.put("a.nii", &nifti::volume([64, 64, 64], [1.0; 3])));
    let decode = |memory| {
        crate::memory::Budget::new(memory).run(|claim| {
            let decoded = decode_place(&place, claim).map(|decoded| decoded.volume.voxels.len())?;
            assert_eq!(claim.used(), 4 * decoded as u64);
            Ok::<_, DecodeError>(decoded)
        })
    };
    assert_eq!(decode(1 << 20), Ok(64 * 64 * 64));
    let limit = (1 << 20) - 1;
    assert_eq!(decode(limit), Err(DecodeError::TooLarge { what: "bytes of memory to read it", found: 1 << 20, limit }));
}
