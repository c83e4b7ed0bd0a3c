//! Binary PGM, the encoding of every stored image: `P5 W H MAX` and rows, big-endian when 16 bits deep.
//!
//! Decoding is strict: exactly the form that [`encode`] writes, one file of one image and nothing after it, so that equal
//! pixels mean equal bytes.

use super::{Frame, Pixels};

/// Longest header: `P5 4294967295 4294967295 65535\n`.
const HEADER_MAX: usize = 31;

/// Why bytes are not a PGM of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgmError {
    /// The header does not read `P5 <width> <height> <255 or 65535>`.
    #[error("not a binary PGM: expected a header `P5 <width> <height> <255 or 65535>` and a newline")]
    Header,
    /// There are more or fewer pixel bytes than the header says.
    #[error("PGM of {width} x {height} holds {found} pixel bytes, expected {expected}")]
    Length {
        /// Columns the header names.
        width: u32,
        /// Rows the header names.
        height: u32,
        /// Bytes after the header.
        found: usize,
        /// Bytes the header asks for.
        expected: u64,
    },
}

/// What the header of a PGM says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    width: u32,
    height: u32,
    bytes_per_pixel: usize,
    /// Where the pixels begin.
    length: usize,
}

/// Encodes a frame of either depth.
pub fn encode(frame: &Frame) -> Vec<u8> {
    let (width, height) = (frame.width(), frame.height());
    match frame.pixels() {
        Pixels::Gray8(levels) => encode_gray8(width, height, levels),
        Pixels::Gray16(levels) => {
            let mut bytes = format!("P5 {width} {height} 65535\n").into_bytes();
            bytes.extend(levels.iter().flat_map(|level| level.to_be_bytes()));
            bytes
        }
    }
}

/// Encodes 8-bit levels of the given shape; the caller vouches that they fit it.
pub(crate) fn encode_gray8(width: u32, height: u32, levels: &[u8]) -> Vec<u8> {
    let header = format!("P5 {width} {height} 255\n");
    [header.as_bytes(), levels].concat()
}

/// Decodes a frame of either depth. The bytes may come from anywhere: nothing is allocated before their length is checked.
///
/// # Errors
/// [`PgmError`] when they are not exactly what [`encode`] writes.
pub fn decode(bytes: &[u8]) -> Result<Frame, PgmError> {
    let (header, body) = split(bytes)?;
    let pixels = if header.bytes_per_pixel == 1 {
        Pixels::Gray8(body.to_vec())
    } else {
        Pixels::Gray16(body.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
    };
    Frame::new(header.width, header.height, pixels).map_err(|_| PgmError::Header)
}

/// The 8-bit levels of a square frame of a known side, without a copy; nothing when it is of another shape or depth.
///
/// # Errors
/// [`PgmError`] as [`decode`].
pub(crate) fn square_levels(bytes: &[u8], side: u32) -> Result<Option<&[u8]>, PgmError> {
    let (header, body) = split(bytes)?;
    let fits = header.width == side && header.height == side && header.bytes_per_pixel == 1;
    Ok(fits.then_some(body))
}

fn split(bytes: &[u8]) -> Result<(Header, &[u8]), PgmError> {
    let header = parse_header(bytes).ok_or(PgmError::Header)?;
    let Header { width, height, bytes_per_pixel, length } = header;
    let body = &bytes[length..];
    // At most 2^32 * 2^32 * 2 would overflow; two sides of 2^31 or more are refused as a wrong length all the same.
    let expected = (u64::from(width) * u64::from(height)).saturating_mul(bytes_per_pixel as u64);
    if expected != body.len() as u64 {
        return Err(PgmError::Length { width, height, found: body.len(), expected });
    }
    Ok((header, body))
}

fn parse_header(bytes: &[u8]) -> Option<Header> {
    let end = bytes.iter().take(HEADER_MAX).position(|&byte| byte == b'\n')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut words = text.strip_prefix("P5 ")?.split(' ');
    let (width, height, maximum) = (side(words.next()?)?, side(words.next()?)?, words.next()?);
    let bytes_per_pixel = match maximum {
        "255" => 1,
        "65535" => 2,
        _ => return None,
    };
    words.next().is_none().then_some(Header { width, height, bytes_per_pixel, length: end + 1 })
}

/// A side in the one spelling that [`encode`] uses: no sign, no leading zero, not zero.
fn side(word: &str) -> Option<u32> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && !word.starts_with('0');
    if plain { word.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_frame() -> impl Strategy<Value = Frame> {
        (1u32..40, 1u32..40, any::<bool>()).prop_flat_map(|(width, height, deep)| {
            let count = (width * height) as usize;
            if deep {
                proptest::collection::vec(any::<u16>(), count)
                    .prop_map(move |levels| Frame::new(width, height, Pixels::Gray16(levels)).unwrap())
                    .boxed()
            } else {
                proptest::collection::vec(any::<u8>(), count)
                    .prop_map(move |levels| Frame::gray8(width, height, levels).unwrap())
                    .boxed()
            }
        })
    }

    proptest! {
        #[test]
        fn frames_of_both_depths_survive_the_round_trip(frame in any_frame()) {
            prop_assert_eq!(decode(&encode(&frame)).unwrap(), frame);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(frame) = decode(&bytes) {
                prop_assert_eq!(encode(&frame), bytes);
            }
        }

        #[test]
        fn any_header_is_decoded_or_refused_without_a_panic(header in "P5[ \n][0-9 +-]{0,24}\n?", body in 0usize..9) {
            let mut bytes = header.into_bytes();
            bytes.extend(vec![b'1'; body]);
            if let Ok(frame) = decode(&bytes) {
                prop_assert_eq!(encode(&frame), bytes);
            }
        }
    }

    #[test]
    fn a_cut_or_padded_file_is_refused_with_both_lengths() {
        let whole = encode(&Frame::gray8(3, 2, vec![1; 6]).unwrap());
        let error = decode(&whole[..whole.len() - 1]).unwrap_err();
        assert_eq!(error.to_string(), "PGM of 3 x 2 holds 5 pixel bytes, expected 6");
        let mut padded = whole;
        padded.push(0);
        assert!(matches!(decode(&padded), Err(PgmError::Length { found: 7, .. })));
    }

    #[test]
    fn a_header_that_claims_the_earth_allocates_nothing() {
        assert!(matches!(decode(b"P5 4294967295 4294967295 65535\n"), Err(PgmError::Length { .. })));
    }

    #[test]
    fn square_levels_are_lent_only_for_the_side_asked_for() {
        let bytes = encode(&Frame::gray8(2, 2, vec![1, 2, 3, 4]).unwrap());
        assert_eq!(square_levels(&bytes, 2).unwrap(), Some(&[1, 2, 3, 4][..]));
        assert_eq!(square_levels(&bytes, 4).unwrap(), None);
    }
}
