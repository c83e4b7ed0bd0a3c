//! Whole files of every modality, made by hand.

use vismae_core::ids::CorpusName;
use vismae_core::spec::{Fit, Window, XrayRange};

use super::*;
use crate::decode::Volume;

fn spec(image_size: u32) -> IngestSpec {
    IngestSpec {
        corpus: CorpusName::new("c").unwrap(),
        inputs: vec![],
        image_size,
        ct_windows: vec![Window { low: -1000.0, high: 1000.0 }],
        percentiles: Window { low: 0.0, high: 100.0 },
        xray_range: XrayRange::Voi,
        fit: Fit::Stretch,
        minimum_content: 0.1,
        workers: 1,
    }
}

fn decoded(scale: Scale, inverted: bool, width: u32, height: u32, voxels: Vec<f32>) -> Decoded {
    let volume = Volume { width, height, voxels, spacing_mm: None };
    Decoded {
        volume,
        modality: None,
        patient: None,
        study: None,
        scale,
        inverted,
        voi: Vec::new(),
        notes: Vec::new(),
        grid: None,
    }
}

fn one(
    decoded: &Decoded,
    modality: Modality,
    labels: Option<&LabelVolume>,
    spec: &IngestSpec,
) -> Result<Normalised, NormaliseError> {
    normalise(&[Part { decoded, labels }], modality, spec).map(|mut all| all.remove(0))
}

fn levels(decoded: &Decoded, modality: Modality) -> Vec<u8> {
    one(decoded, modality, None, &spec(2)).unwrap().frames.remove(0).levels
}

#[test]
fn each_modality_has_its_own_range() {
    let values = vec![-1000.0, 0.0, 100.0, 200.0];
    let measured = decoded(Scale::Measured, false, 2, 2, values.clone());
    assert_eq!(levels(&measured, Modality::Ct), [0, 128, 140, 153]);
    assert_eq!(levels(&measured, Modality::Mr), [0, 212, 234, 255]);
    assert_eq!(levels(&measured, Modality::XRay), [0, 212, 234, 255]);
    let display = decoded(Scale::Display, false, 2, 2, vec![0.0, 7.0, 100.0, 200.0]);
    for modality in [Modality::Ct, Modality::XRay, Modality::Ultrasound] {
        assert_eq!(levels(&display, modality), [0, 7, 100, 200]);
    }
    assert_eq!(levels(&display, Modality::Mr), [0, 9, 128, 255]);
}

#[test]
fn an_inverted_film_is_turned_over_and_hounsfield_units_never() {
    let inverted = decoded(Scale::Display, true, 2, 2, vec![0.0, 7.0, 100.0, 255.0]);
    assert_eq!(levels(&inverted, Modality::XRay), [255, 248, 155, 0]);
    let inverted = decoded(Scale::Measured, true, 2, 2, vec![-1000.0, 0.0, 500.0, 1000.0]);
    assert_eq!(levels(&inverted, Modality::Ct), [0, 128, 191, 255]);
}

#[test]
fn not_a_number_is_black_and_nothing_but_is_refused() {
    let some = decoded(Scale::Measured, false, 2, 2, vec![f32::NAN, 1.0, 2.0, f32::INFINITY]);
    assert_eq!(levels(&some, Modality::Pet), [0, 0, 255, 0]);
    let none = decoded(Scale::Measured, false, 2, 2, vec![f32::NAN; 4]);
    assert_eq!(one(&none, Modality::Pet, None, &spec(2)), Err(NormaliseError::NothingFinite));
}

#[test]
fn nearly_empty_slices_of_a_volume_are_dropped_unless_they_are_marked() {
    let mut voxels = vec![0.0; 3 * 16];
    voxels[..16].fill(9.0);
    let volume = decoded(Scale::Measured, false, 4, 4, voxels);
    let mut classes = vec![0; 3 * 16];
    classes[2 * 16] = 1;
    let kept = |labels: Option<&LabelVolume>| {
        let normalised = one(&volume, Modality::Mr, labels, &spec(4)).unwrap();
        (normalised.frames.len(), normalised.nearly_empty)
    };
    assert_eq!(kept(None), (1, 2));
    assert_eq!(kept(Some(&LabelVolume { classes })), (2, 1));
    let single = decoded(Scale::Measured, false, 4, 4, vec![0.0; 16]);
    assert_eq!(one(&single, Modality::Mr, None, &spec(4)).unwrap().frames.len(), 1);
}

#[test]
fn masks_follow_their_image_to_the_new_size() {
    let image = decoded(Scale::Display, false, 2, 2, vec![0.0, 255.0, 0.0, 255.0]);
    let labels = LabelVolume { classes: vec![0, 3, 0, 3] };
    let frame = one(&image, Modality::Ultrasound, Some(&labels), &spec(4)).unwrap().frames.remove(0);
    assert_eq!(frame.classes.unwrap(), [0, 0, 3, 3].repeat(4));
    assert_eq!(frame.levels.len(), 16);
}

fn windows(windows: &[[f64; 2]]) -> Vec<Window> {
    windows.iter().map(|&[low, high]| Window { low, high }).collect()
}

#[test]
fn each_ct_window_gives_a_frame_of_each_slice_and_single_frames_stay_what_they_were() {
    let slices = decoded(Scale::Measured, false, 2, 2, vec![-900.0, 0.0, 60.0, 900.0, -1000.0, 20.0, 40.0, 80.0]);
    let labels = LabelVolume { classes: vec![0, 1, 2, 0, 0, 0, 3, 0] };
    let of = |ct_windows: &[[f64; 2]]| {
        let spec = IngestSpec { ct_windows: windows(ct_windows), ..spec(2) };
        one(&slices, Modality::Ct, Some(&labels), &spec).unwrap().frames
    };
    let both = of(&[[-1000.0, 1000.0], [0.0, 80.0]]);
    let apart = [of(&[[-1000.0, 1000.0]]), of(&[[0.0, 80.0]])];
    assert_eq!(both, [&apart[0][0], &apart[1][0], &apart[0][1], &apart[1][1]].map(Clone::clone));
    assert_eq!(both[1].levels, [0, 0, 191, 255]);
    assert_eq!(both[0].classes, both[1].classes);
    let sources: std::collections::BTreeSet<_> = both.iter().map(|frame| frame.source).collect();
    assert_eq!(sources.len(), 4, "through another window the same values are another image");
}

#[test]
fn nearly_empty_is_a_frame_and_not_its_slice() {
    let slices = decoded(Scale::Measured, false, 2, 2, vec![-700.0; 8]);
    let spec = IngestSpec { ct_windows: windows(&[[-1000.0, 0.0], [0.0, 80.0]]), ..spec(2) };
    let normalised = one(&slices, Modality::Ct, None, &spec).unwrap();
    assert_eq!((normalised.frames.len(), normalised.nearly_empty), (2, 2));
}

#[test]
fn a_ct_picture_of_eight_bits_has_no_windows() {
    let picture = decoded(Scale::Display, false, 2, 2, vec![0.0, 7.0, 100.0, 200.0]);
    let spec = IngestSpec { ct_windows: windows(&[[-1000.0, 1000.0], [0.0, 80.0]]), ..spec(2) };
    let frames = one(&picture, Modality::Ct, None, &spec).unwrap().frames;
    assert_eq!(frames.iter().map(|frame| frame.levels.clone()).collect::<Vec<_>>(), [[0, 7, 100, 200]]);
}

#[test]
fn a_deep_film_is_shown_as_its_file_says_unless_percentiles_are_asked_for() {
    let mut film = decoded(Scale::Measured, true, 2, 2, vec![0.0, 1000.0, 2000.0, 4000.0]);
    film.voi = vec![Voi::Linear { low: 1000.0, high: 3000.0 }];
    let of = |xray_range, modality| {
        one(&film, modality, None, &IngestSpec { xray_range, ..spec(2) }).unwrap().frames.remove(0)
    };
    let [shown, scaled] = XrayRange::ALL.map(|range| of(range, Modality::XRay));
    // The file says that low values are bright.
    assert_eq!(shown.levels, [255, 255, 128, 0]);
    assert_eq!(scaled.levels, [255, 191, 128, 0]);
    assert_eq!(shown.source, scaled.source);
    assert_eq!(of(XrayRange::Voi, Modality::Ct).levels, [128, 255, 255, 255], "Hounsfield units have windows of ours");
    assert_eq!(of(XrayRange::Voi, Modality::Mr).levels, scaled.levels);
}
