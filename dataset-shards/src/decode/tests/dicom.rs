//! DICOM files with the faults that decoders pass over.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use vismae_core::spec::Modality;

use super::super::{DecodeError, Scale};
use super::Files;

type Change = fn(&mut InMemDicomObject);

pub(super) fn set(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) {
    object.put(DataElement::new(tag, vr, value.into()));
}

/// A CT slice of 3 x 2 signed values -2 to 3, as changed.
pub(super) fn file(change: fn(&mut InMemDicomObject)) -> Vec<u8> {
    let mut object = InMemDicomObject::new_empty();
    let pixels: Vec<u16> = (-2i16..=3).map(i16::cast_unsigned).collect();
    for (tag, vr, text) in [
        (tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
        (tags::SOP_INSTANCE_UID, VR::UI, "2.25.1"),
        (tags::MODALITY, VR::CS, "CT"),
        (tags::PATIENT_ID, VR::LO, "CANARY-1 "),
        (tags::PATIENT_NAME, VR::PN, "Canary^Yellow"),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        (tags::PIXEL_SPACING, VR::DS, "0.5\\0.75"),
        (tags::RESCALE_SLOPE, VR::DS, "2"),
        (tags::RESCALE_INTERCEPT, VR::DS, "-1024"),
    ] {
        set(&mut object, tag, vr, text);
    }
    for (tag, number) in [
        (tags::ROWS, 2u16),
        (tags::COLUMNS, 3),
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 16),
        (tags::HIGH_BIT, 15),
        (tags::PIXEL_REPRESENTATION, 1),
    ] {
        set(&mut object, tag, VR::US, number);
    }
    set(&mut object, tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into()));
    change(&mut object);
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(uids::CT_IMAGE_STORAGE);
    let mut bytes = Vec::new();
    object.with_meta(meta).unwrap().write_all(&mut bytes).unwrap();
    bytes
}

#[test]
fn values_are_rescaled_and_the_header_is_read() {
    let decoded = Files::new().decode("a.dcm", &file(|_| {})).unwrap();
    assert_eq!((decoded.volume.width, decoded.volume.height), (3, 2));
    assert_eq!(decoded.volume.voxels, [-1028.0, -1026.0, -1024.0, -1022.0, -1020.0, -1018.0]);
    assert_eq!(decoded.volume.spacing_mm, Some([0.5, 0.75]));
    assert_eq!((decoded.modality, decoded.scale, decoded.inverted), (Some(Modality::Ct), Scale::Measured, false));
    assert_eq!(decoded.patient.as_deref(), Some("CANARY-1"));
}

#[test]
fn an_inverted_image_keeps_its_values_and_says_so() {
    let change: Change = |object| set(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    let decoded = Files::new().decode("a.dcm", &file(change)).unwrap();
    assert!(decoded.inverted);
    assert_eq!(decoded.volume.voxels[0], -1028.0);
}

#[test]
fn frames_are_planes_and_a_missing_one_is_noticed() {
    let two: Change = |object| {
        set(object, tags::NUMBER_OF_FRAMES, VR::IS, "2");
        set(object, tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16((0..12).collect()));
    };
    let decoded = Files::new().decode("a.dcm", &file(two)).unwrap();
    assert_eq!(decoded.volume.planes().len(), 2);
    assert_eq!(decoded.volume.voxels[6], -1024.0 + 12.0);
    let claimed: Change = |object| set(object, tags::NUMBER_OF_FRAMES, VR::IS, "140");
    assert_eq!(Files::new().refused("a.dcm", &file(claimed)), "truncated");
}

#[test]
fn colour_becomes_luma() {
    let change: Change = |object| {
        for (tag, number) in [(tags::SAMPLES_PER_PIXEL, 3u16), (tags::BITS_ALLOCATED, 8), (tags::BITS_STORED, 8)] {
            set(object, tag, VR::US, number);
        }
        set(object, tags::HIGH_BIT, VR::US, 7u16);
        set(object, tags::PIXEL_REPRESENTATION, VR::US, 0u16);
        set(object, tags::PLANAR_CONFIGURATION, VR::US, 0u16);
        set(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB");
        set(object, tags::MODALITY, VR::CS, "US");
        object.remove_element(tags::RESCALE_SLOPE);
        object.remove_element(tags::RESCALE_INTERCEPT);
        let pixels: Vec<u8> =
            [[255, 255, 255], [255, 0, 0], [0, 0, 255], [10, 10, 10], [0, 0, 0], [0, 255, 0]].concat();
        set(object, tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(pixels.into()));
    };
    let decoded = Files::new().decode("a.dcm", &file(change)).unwrap();
    let levels: Vec<u8> = decoded.volume.voxels.iter().map(|value| value.round() as u8).collect();
    assert_eq!(levels, [255, 76, 29, 10, 0, 150]);
    assert_eq!(decoded.scale, Scale::Display);
}

#[test]
fn what_would_be_wrong_without_a_word_is_refused() {
    let cases: [(&str, Change); 12] = [
        ("malformed", |object| set(object, tags::ROWS, VR::US, 0u16)),
        ("malformed", |object| set(object, tags::RESCALE_SLOPE, VR::DS, "0")),
        ("malformed", |object| set(object, tags::RESCALE_INTERCEPT, VR::DS, "nan")),
        ("malformed", |object| {
            object.remove_element(tags::COLUMNS);
        }),
        ("malformed", |object| {
            object.remove_element(tags::PIXEL_DATA);
        }),
        ("truncated", |object| set(object, tags::COLUMNS, VR::US, 300u16)),
        ("truncated", |object| set(object, tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16((0..3).collect()))),
        ("too_large", |object| {
            set(object, tags::ROWS, VR::US, u16::MAX);
            set(object, tags::COLUMNS, VR::US, u16::MAX);
        }),
        ("too_large", |object| set(object, tags::NUMBER_OF_FRAMES, VR::IS, "2147483647")),
        // Without its table.
        ("malformed", |object| set(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR")),
        ("unsupported", |object| set(object, tags::BITS_ALLOCATED, VR::US, 32u16)),
        ("malformed", |object| {
            let lut = DataSetSequence::from(vec![InMemDicomObject::new_empty()]);
            object.put(DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, lut));
        }),
    ];
    let files = Files::new();
    for (index, (expected, change)) in cases.into_iter().enumerate() {
        assert_eq!(files.refused("a.dcm", &file(change)), expected, "case {index}");
    }
}

#[test]
fn an_object_without_pixels_is_no_image() {
    let report: Change = |object| {
        for tag in [tags::ROWS, tags::COLUMNS, tags::PIXEL_DATA] {
            object.remove_element(tag);
        }
        set(object, tags::MODALITY, VR::CS, "SR");
    };
    assert_eq!(Files::new().refused("a.dcm", &file(report)), "not_an_image");
}

#[test]
fn a_file_cut_anywhere_is_an_error_and_never_names_the_patient() {
    let (files, whole) = (Files::new(), file(|_| {}));
    for length in 140..whole.len() {
        let Err(error) = files.decode("a.dcm", &whole[..length]) else { panic!("decoded {length} bytes") };
        assert!(!matches!(error, DecodeError::Panicked { .. }), "{length}");
        assert!(!error.to_string().to_ascii_uppercase().contains("CANARY"), "{error}");
    }
}

#[test]
fn a_length_beyond_the_file_is_refused_before_it_is_allocated() {
    let mut bytes = file(|_| {});
    // Explicit representation `OW`, two reserved bytes, then the length of the pixel data.
    let at = bytes.windows(8).position(|window| window == b"\xe0\x7f\x10\x00OW\0\0").unwrap() + 8;
    bytes[at..at + 4].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    let error = Files::new().decode("a.dcm", &bytes).err().unwrap();
    assert_eq!(error.code(), "truncated");
    assert!(error.to_string().contains("claims 4294967280 bytes"), "{error}");
}

#[test]
fn an_unknown_transfer_syntax_is_refused() {
    let bytes = file(|_| {});
    let uid = b"1.2.840.10008.1.2.1\0";
    let at = bytes.windows(uid.len()).position(|window| window == uid).unwrap();
    let mut bytes = bytes;
    bytes[at..at + uid.len()].copy_from_slice(b"1.2.840.10008.1.2.9\0");
    let error = Files::new().decode("a.dcm", &bytes).err().unwrap();
    assert_eq!(error.to_string(), "an unknown transfer syntax is not supported, expected one of the standard");
}
