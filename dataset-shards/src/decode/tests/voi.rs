//! What DICOM files say of their display, and what is made of it.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::super::{Decoded, Note, Voi, decode};
use super::Files;
use super::dicom::{file, set};
use crate::fixture::hard_cases;

/// A film of 3 x 2 values -1028, -1026, ..., -1018, as changed.
fn film(change: impl FnOnce(&mut InMemDicomObject)) -> Decoded {
    let bytes = file(|object| set(object, tags::MODALITY, VR::CS, "DX"));
    let mut object = dicom_object::from_reader(bytes.as_slice()).unwrap();
    change(&mut object);
    let mut changed = Vec::new();
    object.write_all(&mut changed).unwrap();
    Files::new().decode("a.dcm", &changed).unwrap()
}

fn window(object: &mut InMemDicomObject, centre: &str, width: &str) {
    set(object, tags::WINDOW_CENTER, VR::DS, centre);
    set(object, tags::WINDOW_WIDTH, VR::DS, width);
}

fn items(object: &mut InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) {
    object.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}

fn table(descriptor: [u16; 3], entries: &[u16]) -> InMemDicomObject {
    let mut table = InMemDicomObject::new_empty();
    set(&mut table, tags::LUT_DESCRIPTOR, VR::US, PrimitiveValue::U16(descriptor.into_iter().collect()));
    set(&mut table, tags::LUT_DATA, VR::OW, PrimitiveValue::U16(entries.iter().copied().collect()));
    table
}

#[test]
fn a_file_without_display_settings_states_none() {
    let plain = film(|_| {});
    assert!(plain.voi.is_empty() && plain.notes.is_empty());
}

#[test]
fn of_several_windows_the_first_counts_by_the_function_that_is_named() {
    let linear = film(|object| window(object, "-1022\\40", "5\\400"));
    assert_eq!(linear.voi, [Voi::Linear { low: -1024.5, high: -1020.5 }]);
    let of = |function: &str| {
        film(|object| {
            window(object, "-1022", "4");
            set(object, tags::VOILUT_FUNCTION, VR::CS, function);
        })
    };
    assert_eq!(of("LINEAR_EXACT").voi, [Voi::Linear { low: -1024.0, high: -1020.0 }]);
    assert_eq!(of("SIGMOID").voi, [Voi::Sigmoid { centre: -1022.0, width: 4.0 }]);
    let step = film(|object| window(object, "-1022", "1")).voi.remove(0);
    assert_eq!([-1024.0, -1022.5, -1022.0].map(|value| step.share(value)), [0.0, 0.0, 1.0]);
}

#[test]
fn what_no_image_can_be_shown_by_is_left_and_noted() {
    for (centre, width, function) in [
        ("-1022", "0", "LINEAR"),
        ("-1022", "-5", "LINEAR"),
        ("-1022", "0.5", "LINEAR"),
        ("-1022", "0", "SIGMOID"),
        ("-1022", "5", "LOGARITHMIC"),
        ("wide", "5", "LINEAR"),
        ("", "5", "LINEAR"),
        // All values lie below.
        ("2048", "400", "LINEAR"),
        ("-1.7e308", "1.7e308", "LINEAR"),
    ] {
        let film = film(|object| {
            window(object, centre, width);
            set(object, tags::VOILUT_FUNCTION, VR::CS, function);
        });
        assert_eq!((film.voi.len(), &film.notes[..]), (0, &[Note::VoiUnusable][..]), "{centre} {width} {function}");
    }
    let ct = Files::new().decode("a.dcm", &file(|object| window(object, "40", "0"))).unwrap();
    assert!(ct.voi.is_empty() && ct.notes.is_empty(), "of CT no window is used");
}

#[test]
fn a_table_counts_before_a_window_and_a_broken_one_not() {
    let of = |table: InMemDicomObject| {
        film(|object| {
            items(object, tags::VOILUT_SEQUENCE, vec![table]);
            window(object, "-1022", "5");
        })
        .voi
        .remove(0)
    };
    let first = (-1025_i16).cast_unsigned();
    let Voi::Table { first: start, shares } = of(table([4, first, 12], &[0, 1365, 2730, 4095])) else { panic!() };
    assert_eq!((start, shares.len()), (-1025.0, 4));
    assert!((shares[1] - 1.0 / 3.0).abs() < 1e-6 && shares[3] == 1.0);
    for broken in [table([4, first, 12], &[0, 1]), table([4, first, 3], &[0; 4]), InMemDicomObject::new_empty()] {
        assert_eq!(of(broken), Voi::Linear { low: -1024.5, high: -1020.5 });
    }
}

#[test]
fn frames_have_windows_of_their_own_or_share_one() {
    let group = |centre: &str| {
        let (mut voi, mut group) = (InMemDicomObject::new_empty(), InMemDicomObject::new_empty());
        window(&mut voi, centre, "5");
        items(&mut group, tags::FRAME_VOILUT_SEQUENCE, vec![voi]);
        group
    };
    let film = film(|object| {
        set(object, tags::NUMBER_OF_FRAMES, VR::IS, "2");
        set(object, tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16((0..12).collect()));
        items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![group("-1020")]);
        let own = vec![InMemDicomObject::new_empty(), group("-1010")];
        items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, own);
        // The image's own counts where the groups say nothing.
        window(object, "0", "0");
    });
    assert_eq!(film.voi, [-1020.0, -1010.0].map(|c: f64| Voi::Linear { low: c - 2.5, high: c + 1.5 }));
}

#[test]
fn overlay_planes_and_burned_in_texts_are_noted() {
    let film = film(|object| {
        set(object, Tag(0x6002, 0x0010), VR::US, 2_u16);
        set(object, tags::BURNED_IN_ANNOTATION, VR::CS, "YES");
    });
    assert_eq!(film.notes, [Note::BurnedIn, Note::OverlayPlanes]);
}

#[test]
fn the_windows_of_the_hard_cases_are_the_first_or_none() {
    let Some(folder) = hard_cases("hard_dicom") else { return };
    let of = |name: &str| decode(&folder.join("derived").join(name)).unwrap().voi;
    for number in [0, 1] {
        assert!(matches!(of(&format!("ct{number}_two_windows.dcm"))[..], [Voi::Linear { low, high }] if low < high));
        assert_eq!(of(&format!("ct{number}_window_width_zero.dcm")), []);
    }
    let chest = decode(&folder.join("public/CR-MONO1-10-chest")).unwrap();
    assert_eq!((chest.voi, chest.inverted), (vec![Voi::Linear { low: 38.0, high: 1061.0 }], true));
}
