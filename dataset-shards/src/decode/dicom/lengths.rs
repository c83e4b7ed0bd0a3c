//! Whether a data set claims more than its file holds, before anything is allocated for it.

use std::io::Cursor;

use dicom_dictionary_std::tags;
use dicom_parser::StatefulDecode;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_transfer_syntax_registry::TransferSyntax;

use super::{malformed, truncated};
use crate::decode::DecodeError;

/// Sequences in sequences, at most: the reader proper goes one call deeper for each, and standard objects need about ten.
const DEPTH_MAX: usize = 64;
/// Elements and items of a data set, at most: an object of ten thousand frames has some hundred thousand.
const ELEMENTS_MAX: u64 = 1 << 21;

/// Where the attributes end that lie whole in the first bytes of a data set, in front of the pixels.
pub(super) fn header_end(data: &[u8], grammar: &TransferSyntax) -> usize {
    let Ok(mut reader) = LazyDataSetReader::new_with_ts(Cursor::new(data), grammar) else { return 0 };
    let (mut depth, mut end) = (0_usize, 0);
    while let Some(Ok(token)) = reader.advance() {
        match &token {
            LazyDataToken::SequenceStart { .. } | LazyDataToken::ItemStart { .. } => depth += 1,
            // A sequence and its item count apart here.
            _ if depth > 2 * DEPTH_MAX => return 0,
            LazyDataToken::SequenceEnd | LazyDataToken::ItemEnd => depth = depth.saturating_sub(1),
            LazyDataToken::PixelSequenceStart => break,
            LazyDataToken::LazyValue { header, decoder } => {
                let behind = decoder.position() + u64::from(header.len.get().unwrap_or(u32::MAX));
                if behind > data.len() as u64 || header.tag == tags::PIXEL_DATA {
                    break;
                }
                if depth == 0 {
                    end = behind as usize;
                }
            }
            _ => {}
        }
        if token.skip().is_err() {
            break;
        }
    }
    end
}

/// Walks over all element headers, skipping the values: the reader proper allocates what a length says before it reads. Gives the
/// number of elements and items, of which none is too short to cost memory and time.
pub(super) fn check(data: &[u8], grammar: &TransferSyntax) -> Result<u64, DecodeError> {
    let unreadable = || malformed("the data set cannot be read");
    let mut reader = LazyDataSetReader::new_with_ts(Cursor::new(data), grammar).map_err(|_| unreadable())?;
    let (mut depth, mut elements) = (0_usize, 0);
    while let Some(token) = reader.advance() {
        let token = token.map_err(|_| unreadable())?;
        elements += 1;
        if elements > ELEMENTS_MAX {
            return Err(DecodeError::TooLarge { what: "elements", found: elements, limit: ELEMENTS_MAX });
        }
        depth = match &token {
            LazyDataToken::SequenceStart { .. } | LazyDataToken::PixelSequenceStart => depth + 1,
            LazyDataToken::SequenceEnd => depth.saturating_sub(1),
            _ => depth,
        };
        if depth > DEPTH_MAX {
            return Err(malformed(&format!("sequences are nested more than {DEPTH_MAX} deep")));
        }
        let claimed = match &token {
            LazyDataToken::LazyValue { header, .. } => header.len.get().unwrap_or(0),
            LazyDataToken::LazyItemValue { len, .. } => *len,
            _ => 0,
        };
        if u64::from(claimed) > data.len() as u64 {
            return Err(truncated(format!("an element claims {claimed} bytes, the file holds {}", data.len())));
        }
        token.skip().map_err(|_| unreadable())?;
    }
    Ok(elements)
}
