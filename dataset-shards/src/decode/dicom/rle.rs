//! RLE, by the codec of the registry of transfer syntaxes.

use std::borrow::Cow;

use dicom_dictionary_std::uids;
use dicom_encoding::adapters::{PixelDataObject, RawPixelData};
use dicom_encoding::transfer_syntax::Codec;
use dicom_transfer_syntax_registry::{TransferSyntaxIndex, TransferSyntaxRegistry};

use super::shape::Shape;

/// The stored bytes of a frame, in the order and width that the header says; none when the frame can't be decoded.
pub(super) fn decode(frame: &[u8], shape: &Shape) -> Option<Vec<u8>> {
    let Codec::EncapsulatedPixelData(Some(reader), _) = TransferSyntaxRegistry.get(uids::RLE_LOSSLESS)?.codec() else {
        return None;
    };
    let mut bytes = Vec::new();
    reader.decode(&OneFrame { frame, shape }, &mut bytes).ok()?;
    Some(bytes)
}

/// An image of one frame in one fragment, as the codec asks for it.
struct OneFrame<'a> {
    frame: &'a [u8],
    shape: &'a Shape,
}

impl PixelDataObject for OneFrame<'_> {
    fn transfer_syntax_uid(&self) -> &str {
        uids::RLE_LOSSLESS
    }

    fn rows(&self) -> Option<u16> {
        self.shape.rows.try_into().ok()
    }

    fn cols(&self) -> Option<u16> {
        self.shape.columns.try_into().ok()
    }

    fn samples_per_pixel(&self) -> Option<u16> {
        Some(self.shape.samples)
    }

    fn bits_allocated(&self) -> Option<u16> {
        Some(self.shape.bits_allocated)
    }

    fn bits_stored(&self) -> Option<u16> {
        Some(self.shape.bits_stored)
    }

    fn photometric_interpretation(&self) -> Option<&str> {
        None
    }

    fn number_of_frames(&self) -> Option<u32> {
        Some(1)
    }

    fn number_of_fragments(&self) -> Option<u32> {
        Some(1)
    }

    fn fragment(&self, fragment: usize) -> Option<Cow<'_, [u8]>> {
        (fragment == 0).then_some(Cow::Borrowed(self.frame))
    }

    fn offset_table(&self) -> Option<Cow<'_, [u32]>> {
        None
    }

    fn raw_pixel_data(&self) -> Option<RawPixelData> {
        Some(RawPixelData { fragments: vec![self.frame.to_vec()].into(), offset_table: Vec::new().into() })
    }
}
