//! RLE: DICOM PS3.5, annex G. A frame is a header and one segment for each byte of a sample; a segment is packed as PackBits.

use super::codec::Samples;
use super::shape::Shape;

/// Bytes of the header: the number of segments, and where up to fifteen of them begin.
const HEADER: usize = 64;

/// The samples of a frame, those of a pixel beside each other whatever the header says of planes; none when the frame is not
/// of the size that the header says. Memory is that of the frame, whatever the segments claim.
pub(super) fn decode(frame: &[u8], shape: &Shape) -> Option<Samples<'static>> {
    let (samples, pixels) = (usize::from(shape.samples), shape.pixels());
    let bytes = usize::from(shape.bits_allocated / 8);
    let (words, _) = frame.get(..HEADER)?.as_chunks::<4>();
    let mut words = words.iter().map(|&word| u32::from_le_bytes(word) as usize);
    if words.next()? != samples * bytes {
        return None;
    }
    let starts: Vec<usize> = words.take(samples * bytes).collect();
    let ends = starts.iter().skip(1).copied().chain([frame.len()]);
    let segments: Vec<Vec<u8>> =
        starts.iter().zip(ends).map(|(&start, end)| unpack(frame.get(start..end)?, pixels)).collect::<Option<_>>()?;
    let pixels = (0..pixels).flat_map(|pixel| (0..samples).map(move |sample| (pixel, sample)));
    Some(match bytes {
        1 => Samples::Bytes(pixels.map(|(pixel, sample)| segments[sample][pixel]).collect()),
        // The high byte of a sample comes first.
        _ => Samples::Words(
            pixels
                .map(|(pixel, sample)| {
                    u16::from_be_bytes([segments[2 * sample][pixel], segments[2 * sample + 1][pixel]])
                })
                .collect(),
        ),
    })
}

/// The first bytes of a packed segment; none when it holds fewer.
fn unpack(segment: &[u8], count: usize) -> Option<Vec<u8>> {
    let mut unpacked = Vec::with_capacity(count);
    let mut rest = segment;
    while unpacked.len() < count {
        let (&control, behind) = rest.split_first()?;
        let left = count - unpacked.len();
        rest = match control.cast_signed() {
            // Nothing: it fills segments to an even length.
            i8::MIN => behind,
            run @ ..=-1 => {
                let (&byte, behind) = behind.split_first()?;
                unpacked.resize(unpacked.len() + left.min(1 + usize::from(run.unsigned_abs())), byte);
                behind
            }
            literal => {
                let (bytes, behind) = behind.split_at_checked(usize::from(literal.unsigned_abs()) + 1)?;
                unpacked.extend_from_slice(&bytes[..left.min(bytes.len())]);
                behind
            }
        };
    }
    Some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::super::shape::Photometric;
    use super::*;

    fn shape(samples: u16, bits: u16) -> Shape {
        Shape {
            rows: 1,
            columns: 2,
            frames: 1,
            samples,
            bits_allocated: bits,
            bits_stored: bits,
            high_bit: bits - 1,
            signed: false,
            photometric: if samples == 1 { Photometric::Grey } else { Photometric::Rgb },
            inverted: false,
            planar: true,
        }
    }

    /// A frame of segments of two literal bytes each.
    fn frame(segments: &[[u8; 2]]) -> Vec<u8> {
        let mut frame = (segments.len() as u32).to_le_bytes().to_vec();
        frame.extend((0..15).flat_map(|at| (HEADER as u32 + 4 * at).to_le_bytes()));
        frame.extend(segments.iter().flat_map(|[one, two]| [1, *one, *two, 0x80]));
        frame
    }

    #[test]
    fn samples_of_a_pixel_come_beside_each_other_whatever_the_header_says_of_planes() {
        let Some(Samples::Bytes(bytes)) = decode(&frame(&[[1, 2], [3, 4], [5, 6]]), &shape(3, 8)) else { panic!() };
        assert_eq!(bytes, [1, 3, 5, 2, 4, 6]);
        let Some(Samples::Words(words)) = decode(&frame(&[[1, 2], [3, 4]]), &shape(1, 16)) else { panic!() };
        assert_eq!(words, [0x0103, 0x0204]);
    }

    #[test]
    fn a_header_that_claims_other_segments_is_refused_before_they_are_looked_for() {
        let mut claims = frame(&[[1, 2]]);
        claims[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode(&claims, &shape(1, 8)).is_none());
        assert!(decode(&frame(&[[1, 2]])[..66], &shape(1, 8)).is_none());
    }

    #[test]
    fn runs_and_literals_are_unpacked_and_nothing_beyond_the_frame() {
        // Three literals, five times 7, nothing, and a run that is longer than what is asked for.
        let packed = [2, 1, 2, 3, 0xfc, 7, 0x80, 0x81, 9];
        assert_eq!(unpack(&packed, 10).unwrap(), [1, 2, 3, 7, 7, 7, 7, 7, 9, 9]);
        assert_eq!(unpack(&packed, 2).unwrap(), [1, 2]);
        assert_eq!(unpack(&packed, 8 + 128 + 1), None);
        assert_eq!(unpack(&[5, 1], 3), None);
    }
}
