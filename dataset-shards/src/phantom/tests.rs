//! A phantom corpus on disk: whole, repeatable, and refused where it would mix with other files.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SMALL: PhantomOptions = PhantomOptions { seed: 5, patients_per_modality: 10 };

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries =
        walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    entries
        .map(|entry| {
            let name = entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn every_modality_split_and_class_is_there_and_patients_keep_to_one_split() {
    let dir = tempfile::tempdir().unwrap();
    let summary = write(dir.path(), &SMALL).unwrap();
    let files = files(dir.path());
    let mut reader = csv::Reader::from_reader(files["MANIFEST.csv"].as_slice());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(summary.files, rows.len() as u64);
    assert_eq!(summary.patients, 50);
    assert_eq!(summary.bytes, files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    assert_eq!(files.len(), rows.len() * 2 + 1);
    let combinations: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row["modality"].as_str(), row["split"].as_str())).collect();
    assert_eq!(combinations.len(), 15);
    let classes: BTreeSet<&str> = rows.iter().map(|row| row["label"].as_str()).collect();
    assert_eq!(classes, BTreeSet::from(["", "none", "smooth", "spiculated"]));
    let patients: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row["patient_id"].as_str(), row["split"].as_str())).collect();
    assert_eq!(patients.len(), 50);
    for row in &rows {
        assert!(files.contains_key(&row["file"]), "{}", row["file"]);
        assert!(files.contains_key(&row["mask_file"]), "{}", row["mask_file"]);
    }
}

#[test]
fn equal_seeds_give_equal_bytes_and_others_do_not() {
    let [one, same, other] = [5, 5, 6].map(|seed| {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &PhantomOptions { seed, ..SMALL }).unwrap();
        files(dir.path())
    });
    assert!(one == same);
    assert_ne!(one["us/PH-US-0000/view-0.jpg"], other["us/PH-US-0000/view-0.jpg"]);
}

#[test]
fn a_folder_in_use_and_too_few_patients_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "x").unwrap();
    let error = write(dir.path(), &SMALL).unwrap_err();
    assert!(matches!(error, PhantomError::NotEmpty { .. }), "{error}");
    let error = write(dir.path(), &PhantomOptions { patients_per_modality: 9, ..SMALL }).unwrap_err();
    assert!(matches!(error, PhantomError::TooFewPatients { found: 9 }), "{error}");
}
