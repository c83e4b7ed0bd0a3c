//! Whether a JPEG is all there.

use super::DecodeError;

const END_OF_IMAGE: u8 = 0xd9;

/// Follows the markers of a JPEG to its end. An end marker inside a segment, as of a thumbnail, does not count.
pub(super) fn check_complete(bytes: &[u8]) -> Result<(), DecodeError> {
    let cut = || DecodeError::Truncated { format: "JPEG", fault: "the end marker is missing".to_owned() };
    // After the two bytes of the start marker.
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at).ok_or_else(cut)?;
        match marker {
            END_OF_IMAGE => return Ok(()),
            // Stuffed zeros, restarts and temporaries carry no length.
            0x00 | 0x01 | 0xd0..=0xd7 => {}
            // The data of a scan follow its segment without a length of their own; the search runs through them.
            _ => {
                let length = bytes.get(at..at + 2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
                at += length.ok_or_else(cut)?.max(2);
            }
        }
    }
}

/// The code of the next marker at or after a place, and the place behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let rest = bytes.get(*at..)?;
    let found = rest.windows(2).position(|pair| pair[0] == 0xff && pair[1] != 0xff)?;
    *at += found + 2;
    Some(rest[found + 1])
}
