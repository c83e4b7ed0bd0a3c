//! What the markers of a JPEG image say, without decoding it.

use super::DecodeError;

const END_OF_IMAGE: u8 = 0xd9;
const ADOBE: u8 = 0xee;
/// Start of a scan.
const SCAN: u8 = 0xda;
/// Scans of an image, at most: programs write about ten, and a scan of a few bytes costs as much time as the image has pixels.
const SCANS_MAX: usize = 256;

/// Follows the markers of a JPEG to its end, which must come after a sensible number of scans. An end marker inside a segment, as
/// of a thumbnail, does not count.
pub(super) fn check_complete(bytes: &[u8]) -> Result<(), DecodeError> {
    let (mut scans, mut ends) = (0, false);
    for segment in segments(bytes) {
        ends |= segment.marker == END_OF_IMAGE;
        scans += usize::from(segment.marker == SCAN);
        if scans > SCANS_MAX {
            let fault = format!("more than {SCANS_MAX} scans, each of which goes over the whole image");
            return Err(DecodeError::Malformed { format: "JPEG", fault });
        }
    }
    if ends {
        return Ok(());
    }
    Err(DecodeError::Truncated { format: "JPEG", fault: "the end marker is missing".to_owned() })
}

/// Whether the first component is luma, where Adobe's marker says it.
pub(super) fn is_luma_first(bytes: &[u8]) -> Option<bool> {
    let adobe = segments(bytes).find(|segment| segment.marker == ADOBE && segment.payload.starts_with(b"Adobe"))?;
    adobe.payload.get(11).map(|&transform| transform == 1)
}

/// A marker and what belongs to it.
struct Segment<'a> {
    marker: u8,
    payload: &'a [u8],
}

/// The markers in their order, up to the end of the image or of the bytes.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    // Behind the two bytes of the start marker.
    let mut at = 2;
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let marker = next_marker(bytes, &mut at)?;
        over = marker == END_OF_IMAGE;
        // The end, stuffed zeros, restarts and temporaries carry no length.
        if matches!(marker, END_OF_IMAGE | 0x00 | 0x01 | 0xd0..=0xd7) {
            return Some(Segment { marker, payload: &[] });
        }
        // The data of a scan follow its segment without a length of their own; the search runs through them.
        let pair = bytes.get(at..at + 2)?;
        let length = usize::from(u16::from_be_bytes([pair[0], pair[1]])).max(2);
        let payload = bytes.get(at + 2..at + length)?;
        at += length;
        Some(Segment { marker, payload })
    })
}

/// The code of the next marker at or after a place, and the place behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let rest = bytes.get(*at..)?;
    let found = rest.windows(2).position(|pair| pair[0] == 0xff && pair[1] != 0xff)?;
    *at += found + 2;
    Some(rest[found + 1])
}
