//! The markers of a stream: annex C of the standard.

use super::Fault;
use super::parameters::{Parameters, Preset};
use super::scan::{Interleave, decode_lines};

const START_OF_FRAME: u8 = 0xf7;
const START_OF_SCAN: u8 = 0xda;
const PARAMETERS: u8 = 0xf8;
const RESTART_INTERVAL: u8 = 0xdd;
const END_OF_IMAGE: u8 = 0xd9;
const HP: u8 = 0xe8;
const RESTARTS: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
/// Sampling factors of a component that is not sub-sampled.
const WHOLE: u8 = 0x11;
const COMPONENTS_MAX: usize = 4;

/// A stream whose frame header is read.
pub(in crate::decode::dicom) struct Stream<'a> {
    pub(in crate::decode::dicom) columns: u16,
    pub(in crate::decode::dicom) rows: u16,
    bits: u8,
    /// Their names.
    components: Vec<u8>,
    preset: Preset,
    /// Lines after which coding starts anew; 0 for never.
    restart: usize,
    rest: Segments<'a>,
}

impl<'a> Stream<'a> {
    /// Reads up to the header of the frame.
    pub(in crate::decode::dicom) fn open(bytes: &'a [u8]) -> Result<Self, Fault> {
        let rest = Segments { rest: bytes.strip_prefix(&[0xff, 0xd8]).ok_or(Fault::Malformed)? };
        let mut stream =
            Self { columns: 0, rows: 0, bits: 0, components: Vec::new(), preset: Preset::default(), restart: 0, rest };
        while stream.components.is_empty() {
            let (marker, payload) = stream.rest.next().ok_or(Fault::Truncated)?;
            match marker {
                START_OF_FRAME => stream.read_frame(payload)?,
                START_OF_SCAN | END_OF_IMAGE => return Err(Fault::Malformed),
                _ => stream.read_table(marker, payload)?,
            }
        }
        Ok(stream)
    }

    /// How many components there are, at least 1.
    pub(in crate::decode::dicom) fn components(&self) -> usize {
        self.components.len()
    }

    /// The samples of each pixel beside each other.
    pub(in crate::decode::dicom) fn decode(mut self) -> Result<Vec<u16>, Fault> {
        let (columns, rows, stride) = (usize::from(self.columns), usize::from(self.rows), self.components.len());
        let mut samples = vec![0; columns * rows * stride];
        let mut missing: Vec<u8> = self.components.clone();
        while !missing.is_empty() {
            let (marker, payload) = self.rest.next().ok_or(Fault::Truncated)?;
            if marker != START_OF_SCAN {
                self.read_table(marker, payload)?;
                continue;
            }
            let scan = Scan::read(payload)?;
            let mut places = Vec::with_capacity(scan.components.len());
            for name in scan.components {
                // Each in one scan, once.
                missing.remove(missing.iter().position(|other| other == name).ok_or(Fault::Malformed)?);
                places.push(self.components.iter().position(|other| other == name).ok_or(Fault::Malformed)?);
            }
            let parameters = Parameters::new(self.bits, scan.near, self.preset)?;
            let interval = if self.restart == 0 { rows } else { self.restart };
            let mut data = intervals(self.rest.scan());
            for first in (0..rows).step_by(interval) {
                let size = (columns, interval.min(rows - first));
                let data = data.next().ok_or(Fault::Truncated)?;
                decode_lines(size, places.len(), scan.interleave, (&parameters, data), |component, row, line| {
                    let start = (first + row) * columns * stride;
                    let out = &mut samples[start..start + columns * stride];
                    if stride == 1 {
                        out.copy_from_slice(line);
                    } else {
                        let out = out.iter_mut().skip(places[component]).step_by(stride);
                        out.zip(line).for_each(|(out, &sample)| *out = sample);
                    }
                })?;
            }
        }
        Ok(samples)
    }

    fn read_frame(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let &[bits, rows_high, rows_low, columns_high, columns_low, count, ref components @ ..] = payload else {
            return Err(Fault::Malformed);
        };
        let (components, behind) = components.as_chunks::<3>();
        let is_consistent = components.len() == usize::from(count) && behind.is_empty();
        if !is_consistent || !(1..=COMPONENTS_MAX).contains(&components.len()) || !(2..=16).contains(&bits) {
            return Err(Fault::Malformed);
        }
        if components.iter().any(|&[_, sampling, _]| sampling != WHOLE) {
            return Err(Fault::Unsupported);
        }
        (self.rows, self.columns) =
            (u16::from_be_bytes([rows_high, rows_low]), u16::from_be_bytes([columns_high, columns_low]));
        self.bits = bits;
        self.components = components.iter().map(|&[name, ..]| name).collect();
        if self.rows == 0 || self.columns == 0 { Err(Fault::Malformed) } else { Ok(()) }
    }

    fn read_table(&mut self, marker: u8, payload: &[u8]) -> Result<(), Fault> {
        match (marker, payload) {
            (PARAMETERS, [1, rest @ ..]) => {
                let (words, _) = rest.as_chunks::<2>();
                let words: Vec<u16> = words.iter().map(|&word| u16::from_be_bytes(word)).collect();
                let [maximum, one, two, three, reset] = words[..] else { return Err(Fault::Malformed) };
                self.preset = Preset { maximum, thresholds: [one, two, three], reset };
                Ok(())
            }
            // Mapping tables and sides beyond 16 bits.
            (PARAMETERS, _) => Err(Fault::Unsupported),
            // Of two to four bytes.
            (RESTART_INTERVAL, bytes @ ([_, _] | [_, _, _] | [_, _, _, _])) => {
                self.restart = bytes.iter().fold(0, |lines, &byte| lines << 8 | usize::from(byte));
                Ok(())
            }
            (HP, [b'm', b'r', b'f', b'x', transformation, ..]) if *transformation != 0 => Err(Fault::Unsupported),
            (RESTART_INTERVAL | END_OF_IMAGE | START_OF_FRAME, _) => Err(Fault::Malformed),
            _ => Ok(()),
        }
    }
}

/// The header of a scan.
struct Scan<'a> {
    components: Vec<&'a u8>,
    near: u8,
    interleave: Interleave,
}

impl<'a> Scan<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Fault> {
        let (&count, rest) = payload.split_first().ok_or(Fault::Malformed)?;
        let (pairs, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(Fault::Malformed)?;
        let &[near, interleave, point] = rest else { return Err(Fault::Malformed) };
        let (pairs, _) = pairs.as_chunks::<2>();
        // Mapped samples, or shifted ones.
        if pairs.iter().any(|&[_, table]| table != 0) || point != 0 {
            return Err(Fault::Unsupported);
        }
        let interleave = match (interleave, count) {
            (0..=2, 1) | (1, 2..) => Interleave::Line,
            (2, 2..) => Interleave::Sample,
            _ => return Err(Fault::Malformed),
        };
        Ok(Self { components: pairs.iter().map(|[name, _]| name).collect(), near, interleave })
    }
}

/// Markers with what belongs to them.
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    /// The next marker and its segment.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (0xff, rest) = self.rest.split_first().map(|(&byte, rest)| (byte, rest))? else { return None };
        // Ones may fill up in front of a marker.
        let filling = rest.iter().position(|&byte| byte != 0xff)?;
        let (&marker, rest) = rest[filling..].split_first()?;
        if marker == END_OF_IMAGE {
            self.rest = rest;
            return Some((marker, &[]));
        }
        let (&length, _) = rest.split_first_chunk::<2>()?;
        let payload = rest.get(2..usize::from(u16::from_be_bytes(length)))?;
        self.rest = &rest[2 + payload.len()..];
        Some((marker, payload))
    }

    /// The data of a scan: up to the next marker that does not start them anew.
    fn scan(&mut self) -> &'a [u8] {
        let is_end = |pair: &[u8]| pair[0] == 0xff && pair[1] >= 0x80 && !RESTARTS.contains(&pair[1]);
        let end = self.rest.windows(2).position(is_end).unwrap_or(self.rest.len());
        let (data, rest) = self.rest.split_at(end);
        self.rest = rest;
        data
    }
}

/// The parts of the data of a scan between the markers that start them anew.
fn intervals(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let data = rest?;
        let end = data.windows(2).position(|pair| pair[0] == 0xff && RESTARTS.contains(&pair[1]));
        rest = end.map(|end| &data[end + 2..]);
        Some(&data[..end.unwrap_or(data.len())])
    })
}
