//! Whether a data set claims more than its file holds, before anything is allocated for it.

use std::io::{Cursor, Seek, SeekFrom};

use dicom_dictionary_std::uids;
use dicom_object::FileMetaTable;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_transfer_syntax_registry::{TransferSyntax, TransferSyntaxIndex, TransferSyntaxRegistry};

use super::{malformed, unsupported};
use crate::decode::DecodeError;

/// Where the file meta group begins: behind the preamble and the magic code.
const META_START: u64 = 132;
const MAGIC_START: u64 = 128;
/// The group of the file meta elements.
const META_GROUP: u16 = 2;

/// Walks over all element headers, skipping the values: the reader proper allocates what a length says before it reads.
pub(super) fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    let syntax_of = |uid: &str| {
        let unknown = || unsupported("an unknown transfer syntax", "one of the standard");
        TransferSyntaxRegistry.get(uid).ok_or_else(unknown)
    };
    walk(bytes, META_START, syntax_of(uids::EXPLICIT_VR_LITTLE_ENDIAN)?, Some(META_GROUP))?;
    let mut cursor = Cursor::new(bytes);
    cursor.seek(SeekFrom::Start(MAGIC_START)).map_err(|_| malformed("the file ends inside the preamble"))?;
    let meta = FileMetaTable::from_reader(&mut cursor).map_err(|_| malformed("the file meta group cannot be read"))?;
    let syntax = syntax_of(meta.transfer_syntax())?;
    if !syntax.can_decode_all() {
        return Err(unsupported(&format!("transfer syntax `{}`", syntax.name()), "an uncompressed one, RLE or JPEG"));
    }
    // A deflated data set has no headers to walk over.
    if syntax.is_codec_free() || syntax.is_encapsulated_pixel_data() {
        walk(bytes, cursor.position(), syntax, None)?;
    }
    Ok(())
}

fn walk(bytes: &[u8], start: u64, syntax: &TransferSyntax, only_group: Option<u16>) -> Result<(), DecodeError> {
    let unreadable = || malformed("the data set cannot be read");
    let mut source = Cursor::new(bytes);
    source.seek(SeekFrom::Start(start)).map_err(|_| unreadable())?;
    let mut reader = LazyDataSetReader::new_with_ts(source, syntax).map_err(|_| unreadable())?;
    while let Some(token) = reader.advance() {
        let token = match token {
            Ok(token) => token,
            // Behind the file meta group another transfer syntax may begin.
            Err(_) if only_group.is_some() => return Ok(()),
            Err(_) => return Err(unreadable()),
        };
        let claimed = match &token {
            LazyDataToken::ElementHeader(header) if only_group.is_some_and(|group| header.tag.group() != group) => {
                return Ok(());
            }
            LazyDataToken::LazyValue { header, .. } => header.len.get().unwrap_or(0),
            LazyDataToken::LazyItemValue { len, .. } => *len,
            _ => 0,
        };
        if u64::from(claimed) > bytes.len() as u64 {
            let fault = format!("an element claims {claimed} bytes, the file holds {}", bytes.len());
            return Err(DecodeError::Truncated { format: "DICOM", fault });
        }
        token.skip().map_err(|_| unreadable())?;
    }
    Ok(())
}
