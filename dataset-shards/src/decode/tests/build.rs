//! DICOM files to test with: a data set of one image, written in any transfer syntax.

use std::io::Write;

use dicom_core::value::{DataSetSequence, PixelFragmentSequence};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_transfer_syntax_registry::{TransferSyntaxIndex, TransferSyntaxRegistry};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::super::{DecodeError, Decoded, decode_bytes};

/// A data set, or an item of a sequence in one.
#[derive(Clone)]
pub(super) struct Image(InMemDicomObject);

impl Image {
    pub(super) fn item() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    /// An image of unsigned grey values of so many bits, without pixels yet.
    pub(super) fn grey(columns: u16, rows: u16, bits: u16) -> Self {
        Self::item()
            .put(tags::SOP_CLASS_UID, VR::UI, uids::SECONDARY_CAPTURE_IMAGE_STORAGE)
            .put(tags::SOP_INSTANCE_UID, VR::UI, "2.25.1")
            .put(tags::MODALITY, VR::CS, "OT")
            .put(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
            .numbers(&[
                (tags::ROWS, rows),
                (tags::COLUMNS, columns),
                (tags::SAMPLES_PER_PIXEL, 1),
                (tags::BITS_ALLOCATED, if bits <= 8 { 8 } else { 16 }),
                (tags::BITS_STORED, bits),
                (tags::HIGH_BIT, bits - 1),
                (tags::PIXEL_REPRESENTATION, 0),
            ])
    }

    /// An image of three samples a pixel that mean what is said.
    pub(super) fn colour(columns: u16, rows: u16, bits: u16, photometric: &str) -> Self {
        Self::grey(columns, rows, bits)
            .put(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric)
            .numbers(&[(tags::SAMPLES_PER_PIXEL, 3), (tags::PLANAR_CONFIGURATION, 0)])
    }

    pub(super) fn put(mut self, tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) -> Self {
        self.0.put(DataElement::new(tag, vr, value.into()));
        self
    }

    pub(super) fn numbers(self, numbers: &[(Tag, u16)]) -> Self {
        numbers.iter().fold(self, |image, &(tag, number)| image.put(tag, VR::US, number))
    }

    pub(super) fn without(mut self, tag: Tag) -> Self {
        self.0.remove_element(tag);
        self
    }

    pub(super) fn sequence(mut self, tag: Tag, items: impl IntoIterator<Item = Self>) -> Self {
        let items: Vec<InMemDicomObject> = items.into_iter().map(|item| item.0).collect();
        self.0.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        self
    }

    pub(super) fn bytes(self, pixels: &[u8]) -> Self {
        self.put(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(pixels.into()))
    }

    pub(super) fn words(self, pixels: &[u16]) -> Self {
        self.put(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into()))
    }

    pub(super) fn fragments(mut self, fragments: &[&[u8]]) -> Self {
        let fragments: Vec<Vec<u8>> = fragments
            .iter()
            .map(|fragment| {
                // Of an even length.
                let mut fragment = fragment.to_vec();
                fragment.resize(fragment.len().next_multiple_of(2), 0);
                fragment
            })
            .collect();
        self.0.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new_fragments(fragments)));
        self
    }

    /// The bytes of a file of the transfer syntax.
    pub(super) fn write(&self, uid: &str) -> Vec<u8> {
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(uid)
            .media_storage_sop_class_uid(uids::SECONDARY_CAPTURE_IMAGE_STORAGE)
            .media_storage_sop_instance_uid("2.25.1");
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        meta.build().unwrap().write(&mut bytes).unwrap();
        let is_deflated = uid == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
        let grammar = if is_deflated { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { uid };
        let mut data = Vec::new();
        self.0.write_dataset_with_ts(&mut data, TransferSyntaxRegistry.get(grammar).unwrap()).unwrap();
        if is_deflated {
            let mut encoder = DeflateEncoder::new(bytes, Compression::fast());
            encoder.write_all(&data).unwrap();
            return encoder.finish().unwrap();
        }
        bytes.extend(data);
        bytes
    }

    /// What becomes of a file of the transfer syntax.
    pub(super) fn try_decode(&self, uid: &str) -> Result<Decoded, DecodeError> {
        decode_bytes("a.dcm".as_ref(), &self.write(uid))
    }

    pub(super) fn decode(&self, uid: &str) -> Decoded {
        self.try_decode(uid).unwrap()
    }

    /// What becomes of an uncompressed file.
    pub(super) fn voxels(&self) -> Vec<f32> {
        self.decode(uids::EXPLICIT_VR_LITTLE_ENDIAN).volume.voxels
    }
}
