//! What becomes of each file of the collections of odd and broken files, where they are at hand: their manifests say what must.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::nifti::{self, directions};
use super::super::*;
use crate::fixture::hard_cases;

/// One row of a manifest.
struct Row(BTreeMap<String, String>);

impl Row {
    fn text(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    fn number(&self, column: &str) -> Option<f64> {
        self.text(column).parse().ok()
    }
}

/// A collection and its rows.
fn collection(name: &str) -> Option<(PathBuf, Vec<Row>)> {
    let folder = hard_cases(name)?;
    let mut reader = csv::Reader::from_path(folder.join("MANIFEST.csv")).unwrap();
    let rows = reader.deserialize().map(|row| Row(row.unwrap())).collect();
    Some((folder, rows))
}

/// Every row whose file was not treated as the manifest demands, with what happened.
fn failures(name: &str, judge: impl Fn(&Row, &Path, &Decoded) -> Result<(), String>) -> Vec<String> {
    let Some((folder, rows)) = collection(name) else { return Vec::new() };
    let mut failures = Vec::new();
    for row in &rows {
        let file = row.text("file");
        let path = folder.join(file);
        let outcome = match (decode(&path), row.text("expect")) {
            (Ok(decoded), "ingest" | "ingest_or_reject") => judge(row, &path, &decoded),
            (Ok(_), expected) => Err(format!("decoded, expected {expected}")),
            (Err(DecodeError::NotAnImage { .. }), "skip_not_image") => Ok(()),
            (Err(DecodeError::NotAnImage { kind }), expected) => Err(format!("skipped as {kind}, expected {expected}")),
            (Err(_), "reject" | "ingest_or_reject") => Ok(()),
            (Err(error), expected) => Err(format!("refused: {error}, expected {expected}")),
        };
        if let Err(failure) = outcome {
            failures.push(format!("{file} ({}): {failure}", row.text("why")));
        }
    }
    failures
}

/// Smallest, largest and mean of the finite values.
fn figures(decoded: &Decoded) -> [f64; 3] {
    let values: Vec<f64> = decoded.volume.voxels.iter().map(|&v| f64::from(v)).filter(|v| v.is_finite()).collect();
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    [low, high, values.iter().sum::<f64>() / values.len() as f64]
}

/// Within a thousandth, which is what the collections ask for.
fn check_near(found: f64, expected: f64, what: &str) -> Result<(), String> {
    if (found - expected).abs() <= 1e-3 * expected.abs() + 1e-4 {
        return Ok(());
    }
    Err(format!("{what} is {found}, expected {expected}"))
}

fn check_figures(row: &Row, decoded: &Decoded) -> Result<(), String> {
    let columns = ["value_min", "value_max", "value_mean"];
    columns.iter().zip(figures(decoded)).try_for_each(|(column, found)| match row.number(column) {
        Some(expected) => check_near(found, expected, column),
        None => Ok(()),
    })
}

fn judge_dicom(row: &Row, path: &Path, decoded: &Decoded) -> Result<(), String> {
    let volume = &decoded.volume;
    let size = [volume.height, volume.width, volume.planes().len() as u32].map(f64::from);
    for (column, found) in ["rows", "cols", "frames"].iter().zip(size) {
        if row.number(column).is_some_and(|expected| expected != found) {
            return Err(format!("{column} is {found}, expected {}", row.text(column)));
        }
    }
    let [low, high, mean] = figures(decoded);
    let note = row.text("expect_note");
    if let Some(expected) = note.strip_prefix("SUVbw max ") {
        let words: Vec<&str> = expected.split(' ').collect();
        check_near(high, words[0].parse().unwrap(), "largest SUV")?;
        return check_near(mean, words[2].parse().unwrap(), "mean SUV");
    }
    check_stored(row, path)?;
    let is_uptake = decoded.modality == Some(Modality::Pet) && !decoded.notes.contains(&Note::PetWithoutSuv);
    let is_colour = row.text("samples") == "3" || is_palette(row);
    if is_uptake || is_colour || decoded.notes.contains(&Note::OutsideRegionsBlanked) {
        // The manifest has activity, colours or indices, and the blanked parts. The luma of a colour lies between its parts.
        let [least, most] = match (is_colour && !is_palette(row), row.number("value_min"), row.number("value_max")) {
            (true, Some(least), Some(most)) if !decoded.notes.contains(&Note::OutsideRegionsBlanked) => [least, most],
            _ => [0.0, 65535.0],
        };
        // Differences of colour are rounded on their way to red, green and blue.
        return if low >= least - 1.0 && high <= most + 1.0 { Ok(()) } else { Err(format!("levels {low} to {high}")) };
    }
    check_figures(row, decoded)
}

fn is_palette(row: &Row) -> bool {
    row.text("photometric") == "PALETTE COLOR"
}

/// The stored samples to the last bit, colours and indices too, where the manifest has a hash of them and no decoder may round.
fn check_stored(row: &Row, path: &Path) -> Result<(), String> {
    let syntax = row.text("transfer_syntax").rsplit('.').next();
    let is_jpeg_ls = matches!(syntax, Some("80" | "81"));
    let is_lossy = matches!(syntax, Some("50" | "51" | "91" | "203"));
    // The hash is of the bits as they lie there, those above the stored ones included.
    let is_dirty = row.text("why").contains("above HighBit");
    // The reference turned these into red, green and blue.
    let is_turned = row.text("photometric").starts_with("YBR");
    let expected = row.text("pixel_sha256");
    // What is lossy or broken in JPEG-LS is so in one way for all decoders.
    let is_settled = row.text("expect") == "ingest" || is_jpeg_ls;
    if is_lossy || is_dirty || is_turned || expected.is_empty() || !is_settled {
        return Ok(());
    }
    let (values, bits) = dicom::stored(&std::fs::read(path).unwrap()).map_err(|error| error.to_string())?;
    let mut hash = Sha256::new();
    for value in values {
        match bits {
            8 => hash.update([value as u8]),
            _ => hash.update((value as u16).to_le_bytes()),
        }
    }
    let found = format!("{:x}", hash.finalize());
    // Some of the hashes are given by their first digits.
    if found.starts_with(expected) { Ok(()) } else { Err("the stored pixels have another hash".to_owned()) }
}

fn judge_nifti(row: &Row, path: &Path, decoded: &Decoded) -> Result<(), String> {
    // Of a series of volumes the first is taken, and the figures are of all.
    let is_series = row.text("shape").split('x').nth(3).is_some_and(|volumes| volumes != "1");
    if !is_series {
        check_figures(row, decoded)?;
    }
    if let Some(expected) = row.text("expect_note").split("have sha256 ").nth(1) {
        let raw = nifti::in_file_order(&std::fs::read(path).unwrap()).map_err(|error| error.to_string())?;
        let mut hash = Sha256::new();
        right_front_up(&raw).iter().for_each(|value| hash.update(value.to_le_bytes()));
        if format!("{:x}", hash.finalize()) != expected {
            return Err("the volume turned to right, front and up has another hash".to_owned());
        }
    }
    Ok(())
}

/// The voxels with the axes to the right, to the front and up, the first fastest.
fn right_front_up((grid, voxels): &(Grid, Vec<f32>)) -> Vec<f32> {
    let shape = grid.shape.map(|side| side as usize);
    let strides = [1, shape[0], shape[0] * shape[1]];
    let found = directions(&grid.affine.unwrap());
    let places = |world: usize| {
        let axis = (0..3).find(|&axis| found[axis].world == world).unwrap();
        let (side, stride, along) = (shape[axis], strides[axis], found[axis].positive);
        (0..side).map(move |at| stride * if along { at } else { side - 1 - at })
    };
    let mut turned = Vec::with_capacity(voxels.len());
    for up in places(2) {
        for front in places(1) {
            turned.extend(places(0).map(|right| voxels[right + front + up]));
        }
    }
    turned
}

fn judge_raster(row: &Row, _: &Path, decoded: &Decoded) -> Result<(), String> {
    let volume = &decoded.volume;
    let found = [volume.width, volume.height].map(f64::from);
    let expected = [row.number("width"), row.number("height")].map(Option::unwrap);
    if found == expected { Ok(()) } else { Err(format!("{found:?} pixels, expected {expected:?}")) }
}

#[test]
fn every_dicom_file_is_treated_as_it_must() {
    assert_eq!(failures("hard_dicom", judge_dicom), [""; 0]);
}

#[test]
fn every_nifti_file_is_treated_as_it_must() {
    // As an image of its own, a mask of another shape is whole.
    let others = |failure: &String| !failure.contains("_wrong_shape");
    assert_eq!(failures("hard_nifti", judge_nifti).into_iter().filter(others).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_raster_file_is_treated_as_it_must() {
    assert_eq!(failures("hard_raster", judge_raster), [""; 0]);
}

#[test]
fn files_that_hold_the_same_image_decode_to_the_same_bits() {
    let Some((folder, rows)) = collection("hard_dicom") else { return };
    let mut groups: BTreeMap<&str, Vec<(&str, Decoded)>> = BTreeMap::new();
    let lossless = |row: &&Row| row.text("why").starts_with("same HU array");
    for row in rows.iter().filter(lossless) {
        let decoded = decode(&folder.join(row.text("file"))).unwrap();
        groups.entry(row.text("group")).or_default().push((row.text("file"), decoded));
    }
    for members in groups.values() {
        assert!(members.len() > 5);
        for (file, decoded) in members {
            assert!(decoded.volume.voxels == members[0].1.volume.voxels, "{file} differs from {}", members[0].0);
        }
    }
}

#[test]
fn every_mask_is_treated_as_it_must() {
    let Some((folder, rows)) = collection("hard_nifti") else { return };
    for row in rows.iter().filter(|row| row.text("file").starts_with("masks/")) {
        let file = row.text("file");
        let image = decode(&folder.join(format!("derived/{}_int16.nii.gz", &file[6..8]))).unwrap();
        let labels = decode_labels(&folder.join(file), &image);
        let marked = labels.map(|labels| labels.classes.iter().filter(|&&class| class != 0).count());
        match row.text("expect_note").strip_suffix(" foreground voxels") {
            Some(expected) => assert_eq!(marked.unwrap().to_string(), expected, "{file}"),
            None if row.text("expect") == "ingest" => assert!(marked.is_ok(), "{file}"),
            None => assert!(marked.is_err(), "{file}"),
        }
    }
}
