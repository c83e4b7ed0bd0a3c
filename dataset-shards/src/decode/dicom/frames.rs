//! The bytes of each frame.

use std::borrow::Cow;

use dicom_core::PrimitiveValue;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::codec::Syntax;
use super::shape::Shape;
use super::{malformed, truncated};
use crate::decode::DecodeError;

/// Bytes of a fragment's header, which the offset table counts too.
const ITEM_HEADER: usize = 8;

/// The bytes of a frame where they lie in the data set.
pub(super) enum Frame<'a> {
    Bytes(&'a [u8]),
    /// The reader makes words of some; a frame of an odd number of bytes begins or ends inside a word.
    Words {
        words: &'a [u16],
        skipped: usize,
        len: usize,
    },
    /// One after the other.
    Fragments(Vec<&'a [u8]>),
}

impl<'a> Frame<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Words { len, .. } => *len,
            Self::Fragments(fragments) => fragments.iter().map(|fragment| fragment.len()).sum(),
        }
    }

    /// The bytes in one piece, little-endian.
    pub(super) fn bytes(&self) -> Cow<'a, [u8]> {
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Words { words, skipped, len } => {
                let bytes = words.iter().flat_map(|word| word.to_le_bytes());
                bytes.skip(*skipped).take(*len).collect::<Vec<u8>>().into()
            }
            Self::Fragments(fragments) => fragments.concat().into(),
        }
    }
}

/// Cuts the pixel data into frames; as many as the header says.
pub(super) fn split<'a>(
    object: &'a InMemDicomObject,
    shape: &Shape,
    syntax: Syntax,
) -> Result<Vec<Frame<'a>>, DecodeError> {
    let element = object.get(tags::PIXEL_DATA).ok_or_else(|| malformed("there is no pixel data"))?;
    let count = shape.frames as usize;
    match element.fragments() {
        Some(fragments) => {
            let fragments: Vec<&[u8]> = fragments.iter().map(|fragment| fragment.as_slice()).collect();
            join(element, &fragments, count, syntax)
        }
        None if syntax != Syntax::Native => Err(malformed("compressed pixel data without fragments")),
        None => cut(element, shape, count),
    }
}

/// Equal parts of pixel data that is not compressed.
fn cut<'a>(element: &'a InMemElement, shape: &Shape, count: usize) -> Result<Vec<Frame<'a>>, DecodeError> {
    let frame = shape.frame_bytes();
    let enough = |found: usize| {
        let expected = frame * count;
        let short = || truncated(format!("{found} bytes of pixels, expected {expected}"));
        if found / frame.max(1) < count { Err(short()) } else { Ok(()) }
    };
    match element.value().primitive() {
        Some(PrimitiveValue::U8(bytes)) => {
            enough(bytes.len())?;
            Ok(bytes.chunks_exact(frame).take(count).map(Frame::Bytes).collect())
        }
        Some(PrimitiveValue::U16(words)) => {
            enough(2 * words.len())?;
            let frames = (0..count).map(|at| {
                let start = at * frame;
                let words = &words[start / 2..(start + frame).div_ceil(2)];
                Frame::Words { words, skipped: start % 2, len: frame }
            });
            Ok(frames.collect())
        }
        Some(PrimitiveValue::Empty) => enough(0).map(|()| Vec::new()),
        _ => Err(malformed("the pixel data is not made of bytes")),
    }
}

/// The fragments of each frame.
fn join<'a>(
    element: &InMemElement,
    fragments: &[&'a [u8]],
    count: usize,
    syntax: Syntax,
) -> Result<Vec<Frame<'a>>, DecodeError> {
    if fragments.len() == count {
        return Ok(fragments.iter().map(|fragment| Frame::Bytes(fragment)).collect());
    }
    if fragments.len() < count {
        return Err(truncated(format!("{} pixel fragments, expected {count} frames", fragments.len())));
    }
    let starts = if count == 1 { vec![0] } else { starts(element, fragments, syntax) };
    if starts.len() != count || starts.first() != Some(&0) || !starts.is_sorted() {
        return Err(malformed(&format!(
            "{} pixel fragments cannot be told apart into {count} frames",
            fragments.len()
        )));
    }
    let ends = starts.iter().skip(1).copied().chain([fragments.len()]);
    Ok(starts.iter().zip(ends).map(|(&start, end)| Frame::Fragments(fragments[start..end].to_vec())).collect())
}

/// The fragments that frames begin with: by the offset table, else by how a compressed image begins.
fn starts(element: &InMemElement, fragments: &[&[u8]], syntax: Syntax) -> Vec<usize> {
    let offsets = element.value().offset_table().unwrap_or_default();
    if !offsets.is_empty() {
        let places: Vec<usize> = fragments
            .iter()
            .scan(0, |next, fragment| {
                let at = *next;
                *next += ITEM_HEADER + fragment.len();
                Some(at)
            })
            .collect();
        return offsets.iter().filter_map(|&offset| places.binary_search(&(offset as usize)).ok()).collect();
    }
    let begins = |fragment: &[u8]| syntax.start_marker().is_some_and(|marker| fragment.starts_with(marker));
    (0..fragments.len()).filter(|&at| begins(fragments[at])).collect()
}
