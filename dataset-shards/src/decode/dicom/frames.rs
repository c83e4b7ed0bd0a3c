//! The bytes of each frame.

use std::borrow::Cow;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::codec::Syntax;
use super::shape::Shape;
use super::{malformed, truncated};
use crate::decode::DecodeError;

/// Bytes of a fragment's header, which the offset table counts too.
const ITEM_HEADER: usize = 8;

/// Cuts the pixel data into frames; as many as the header says.
pub(super) fn split<'a>(
    object: &'a InMemDicomObject,
    shape: &Shape,
    syntax: Syntax,
) -> Result<Vec<Cow<'a, [u8]>>, DecodeError> {
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
fn cut<'a>(element: &'a InMemElement, shape: &Shape, count: usize) -> Result<Vec<Cow<'a, [u8]>>, DecodeError> {
    let bytes = element.to_bytes().map_err(|_| malformed("the pixel data is not made of bytes"))?;
    let (frame, found) = (shape.frame_bytes(), bytes.len());
    if found / frame.max(1) < count {
        return Err(truncated(format!("{found} bytes of pixels, expected {}", frame * count)));
    }
    Ok(match bytes {
        Cow::Borrowed(bytes) => bytes.chunks_exact(frame).take(count).map(Cow::Borrowed).collect(),
        Cow::Owned(bytes) if count == 1 => vec![Cow::Owned(bytes)],
        Cow::Owned(bytes) => bytes.chunks_exact(frame).take(count).map(|part| Cow::Owned(part.to_vec())).collect(),
    })
}

/// The fragments of each frame, joined.
fn join<'a>(
    element: &InMemElement,
    fragments: &[&'a [u8]],
    count: usize,
    syntax: Syntax,
) -> Result<Vec<Cow<'a, [u8]>>, DecodeError> {
    if fragments.len() == count {
        return Ok(fragments.iter().map(|fragment| Cow::Borrowed(*fragment)).collect());
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
    Ok(starts.iter().zip(ends).map(|(&start, end)| Cow::Owned(fragments[start..end].concat())).collect())
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
