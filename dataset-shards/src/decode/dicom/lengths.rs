//! Whether a data set claims more than its file holds, before anything is allocated for it.

use std::io::Cursor;

use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_transfer_syntax_registry::TransferSyntax;

use super::{malformed, truncated};
use crate::decode::DecodeError;

/// Walks over all element headers, skipping the values: the reader proper allocates what a length says before it reads.
pub(super) fn check(data: &[u8], grammar: &TransferSyntax) -> Result<(), DecodeError> {
    let unreadable = || malformed("the data set cannot be read");
    let mut reader = LazyDataSetReader::new_with_ts(Cursor::new(data), grammar).map_err(|_| unreadable())?;
    while let Some(token) = reader.advance() {
        let token = token.map_err(|_| unreadable())?;
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
    Ok(())
}
