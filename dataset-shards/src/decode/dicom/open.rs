//! From bytes to a data set, with what files leave out put back: preamble, file meta group, transfer syntax.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use dicom_core::header::Header;
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::decode::Decode;
use dicom_encoding::decode::explicit_le::ExplicitVRLittleEndianDecoder;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::{TransferSyntax, TransferSyntaxIndex, TransferSyntaxRegistry};
use flate2::read::DeflateDecoder;

use super::codec::{BIG_ENDIAN, Syntax};
use super::{lengths, malformed, truncated, unsupported};
use crate::decode::{DecodeError, FILE_BYTES_MAX};
use crate::memory::Claim;

/// Bytes in front of the magic code.
const PREAMBLE: usize = 128;
const MAGIC: &[u8] = b"DICM";
/// The group of the file meta elements.
const META_GROUP: u16 = 2;
/// The first group of a data set.
const IDENTIFYING_GROUP: u16 = 8;
/// A first element longer than this is no first element.
const FIRST_ELEMENT_MAX: u32 = 1 << 16;
/// Bytes that an element takes besides its value.
const ELEMENT_BYTES: u64 = 256;
/// Bytes inflated at a time, at least.
const INFLATE_STEP: usize = 1 << 20;

/// The attributes of a file, and how its pixels are encoded.
pub(super) struct DataSet {
    pub(super) object: InMemDicomObject,
    pub(super) syntax: Syntax,
}

/// Whether the bytes are those of a DICOM file without preamble and magic code.
pub(in crate::decode) fn is_without_preamble(bytes: &[u8]) -> bool {
    let Some(&[a, b, c, d, e, f, g, h]) = bytes.first_chunk::<8>() else { return false };
    let little = [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])];
    let big = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    let begins = |[group, element]: [u16; 2]| matches!(group, META_GROUP | IDENTIFYING_GROUP) && element <= 0x18;
    let is_explicit = [e, f].iter().all(u8::is_ascii_uppercase);
    let length = u32::from_le_bytes([e, f, g, h]);
    (begins(little) && (is_explicit || length <= FIRST_ELEMENT_MAX)) || (begins(big) && is_explicit)
}

/// Reads a file, which is let go of: its data set holds a copy of every value. Its bytes are claimed already.
pub(super) fn open(bytes: Cow<'_, [u8]>, claim: &mut Claim) -> Result<DataSet, DecodeError> {
    let (uid, mut data) = body(&bytes)?;
    let (before, inflated);
    before = claim.used().saturating_sub(bytes.len() as u64);
    if uid.as_deref() == Some(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN) {
        inflated = inflate(data, claim)?;
        data = &inflated;
    }
    let uid = uid.unwrap_or_else(|| guess(data).to_owned());
    let named = TransferSyntaxRegistry.get(&uid);
    let named = named.ok_or_else(|| unsupported("an unknown transfer syntax", "one of the standard"))?;
    let syntax = Syntax::of(&uid).ok_or_else(|| {
        let what = format!("transfer syntax `{}`", named.name());
        unsupported(&what, "uncompressed, deflated, RLE, JPEG, JPEG-LS, JPEG 2000 or HTJ2K")
    })?;
    let grammar = grammar(&uid, data)?;
    let elements = lengths::check(data, grammar)?;
    let copied = data.len() as u64 + ELEMENT_BYTES * elements;
    claim.add(copied)?;
    let object = InMemDicomObject::read_dataset_with_ts(Cursor::new(data), grammar)
        .map_err(|_| malformed("the data set cannot be read"))?;
    claim.keep(before, copied);
    Ok(DataSet { object, syntax })
}

/// The attributes in the first bytes of a file, as far as they are there; none where they can't be read.
pub(super) fn open_start(bytes: &[u8]) -> Option<InMemDicomObject> {
    let (uid, data) = body(bytes).ok()?;
    let uid = uid.unwrap_or_else(|| guess(data).to_owned());
    if uid == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
        return None;
    }
    let grammar = grammar(&uid, data).ok()?;
    let header = data.get(..lengths::header_end(data, grammar))?;
    InMemDicomObject::read_dataset_with_ts(Cursor::new(header), grammar).ok()
}

/// The transfer syntax that a file names, if any, and its data set.
fn body(bytes: &[u8]) -> Result<(Option<String>, &[u8]), DecodeError> {
    let start = if bytes.get(PREAMBLE..PREAMBLE + MAGIC.len()) == Some(MAGIC) { PREAMBLE + MAGIC.len() } else { 0 };
    let (uid, start) = file_meta(bytes, start)?;
    Ok((uid, bytes.get(start..).unwrap_or_default()))
}

/// How elements are written. Some files say one thing and do another: without letters in the place of a representation there
/// are none.
fn grammar(uid: &str, data: &[u8]) -> Result<&'static TransferSyntax, DecodeError> {
    let uid = match uid {
        BIG_ENDIAN => BIG_ENDIAN,
        _ if !is_explicit(data) => uids::IMPLICIT_VR_LITTLE_ENDIAN,
        _ => uids::EXPLICIT_VR_LITTLE_ENDIAN,
    };
    TransferSyntaxRegistry.get(uid).ok_or_else(|| unsupported("a transfer syntax of the standard", "one that is known"))
}

/// The transfer syntax that the file meta group names, if any, and where the group ends.
fn file_meta(bytes: &[u8], start: usize) -> Result<(Option<String>, usize), DecodeError> {
    let (mut at, mut uid) = (start, None);
    let decoder = ExplicitVRLittleEndianDecoder::default();
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.starts_with(&META_GROUP.to_le_bytes())) {
        let (header, length) = decoder
            .decode_header(&mut Cursor::new(rest))
            .map_err(|_| malformed("the file meta group cannot be read"))?;
        let claimed = header.len.get().unwrap_or(u32::MAX) as usize;
        let value = rest.get(length..).and_then(|rest| rest.get(..claimed));
        let value = value.ok_or_else(|| truncated("the file ends inside the file meta group".to_owned()))?;
        if header.tag() == tags::TRANSFER_SYNTAX_UID {
            uid = Some(String::from_utf8_lossy(value).trim_matches(['\0', ' ']).to_owned());
        }
        at += length + claimed;
    }
    Ok((uid, at))
}

fn is_explicit(data: &[u8]) -> bool {
    data.get(4..6).is_some_and(|letters| letters.iter().all(u8::is_ascii_uppercase))
}

/// The transfer syntax of a data set that nothing names.
fn guess(data: &[u8]) -> &'static str {
    match (is_explicit(data), data.first()) {
        (false, _) => uids::IMPLICIT_VR_LITTLE_ENDIAN,
        // The first group is below 256: its high byte is zero.
        (true, Some(0)) => BIG_ENDIAN,
        (true, _) => uids::EXPLICIT_VR_LITTLE_ENDIAN,
    }
}

/// Inflates step by step, each claimed before it is there.
fn inflate(data: &[u8], claim: &mut Claim) -> Result<Vec<u8>, DecodeError> {
    let (mut inflated, mut stream) = (Vec::new(), DeflateDecoder::new(data));
    loop {
        let found = inflated.len();
        if found as u64 > FILE_BYTES_MAX {
            let (what, found) = ("bytes when inflated", found as u64);
            return Err(DecodeError::TooLarge { what, found, limit: FILE_BYTES_MAX });
        }
        let step = (found / 4).max(INFLATE_STEP);
        claim.add(step as u64)?;
        inflated.reserve_exact(step);
        let read = stream.by_ref().take(step as u64).read_to_end(&mut inflated);
        let read = read.map_err(|_| malformed("the deflated data set cannot be inflated"))?;
        if read < step {
            return Ok(inflated);
        }
    }
}
