//! Which files are read together: the slices of a volume that lie in files of their own.
//!
//! Slices belong together by series, direction and size, and are ordered by where they lie, never by name or number. They are
//! normalised as one volume, so that the same tissue is equally bright in each; very long stacks in parts, which is noted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::IngestError;
use super::input::Item;
use crate::decode::{self, Note, Slice, Stack};

/// Most pixels of slices that are read together: what is held in memory at once. A longer stack is read in parts.
const PIXELS_MAX: u64 = 32 << 20;
/// Files whose places are looked up in one go on a thread.
const BATCH: usize = 64;
/// Distances of neighbouring slices that differ by a smaller share than this are taken for equal.
const GAP_TOLERANCE: f64 = 0.1;
/// Slices closer than this lie at one place, in millimetres.
const SAME_PLACE_MM: f64 = 1e-3;

/// Files that are read together, in the order of their places.
#[derive(Debug)]
pub(super) struct Unit {
    /// At least one.
    pub(super) items: Vec<Arc<Item>>,
    /// What is unusual about the stack.
    pub(super) notes: Vec<Note>,
}

/// Puts slices of one volume together; anything else stays alone. Units come in the order of their first files.
pub(super) async fn assemble(items: &[Arc<Item>], threads: usize) -> Result<Vec<Unit>, IngestError> {
    let batches = items
        .chunks(BATCH)
        .map(<[_]>::to_vec)
        .map(|batch| tokio::task::spawn_blocking(move || batch.iter().map(|item| locate(item)).collect::<Vec<_>>()));
    let places: Vec<Vec<Option<Slice>>> =
        stream::iter(batches).buffered(threads).try_collect().await.map_err(IngestError::Thread)?;
    let mut stacks: HashMap<(Arc<str>, Stack), usize> = HashMap::new();
    // By the number of its first file.
    let mut units: BTreeMap<usize, Vec<(f64, Arc<Item>)>> = BTreeMap::new();
    for (at, (item, place)) in items.iter().zip(places.into_iter().flatten()).enumerate() {
        let (first, position) = match place {
            Some(Slice { stack, position_mm }) => {
                (*stacks.entry((Arc::clone(&item.source), stack)).or_insert(at), position_mm)
            }
            None => (at, 0.0),
        };
        units.entry(first).or_default().push((position, Arc::clone(item)));
    }
    let pixels: HashMap<usize, u64> = stacks
        .into_iter()
        .map(|((_, stack), first)| (first, u64::from(stack.rows) * u64::from(stack.columns)))
        .collect();
    let units = units.into_iter().flat_map(|(first, mut members)| {
        members.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut notes = irregularities(&members);
        let most = pixels.get(&first).map_or(1, |&pixels| (PIXELS_MAX / pixels.max(1)).max(1));
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        // Parts of about equal length: a last one of a slice or two would be scaled by next to nothing.
        let count = members.len().div_ceil(most);
        if count > 1 {
            notes.push(Note::SeriesInParts);
        }
        members
            .chunks(members.len().div_ceil(count))
            .enumerate()
            .map(|(part, members)| Unit {
                items: members.iter().map(|(_, item)| Arc::clone(item)).collect(),
                notes: if part == 0 { notes.clone() } else { Vec::new() },
            })
            .collect::<Vec<_>>()
    });
    Ok(units.collect())
}

fn locate(item: &Item) -> Option<Slice> {
    item.fault.is_none().then(|| decode::locate(&item.place())).flatten()
}

/// What is unusual about the places of sorted slices.
fn irregularities(members: &[(f64, Arc<Item>)]) -> Vec<Note> {
    let mut distances: Vec<f64> = members.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let mut notes = Vec::new();
    if distances.iter().any(|&distance| distance < SAME_PLACE_MM) {
        notes.push(Note::SeriesOverlap);
    }
    distances.retain(|&distance| distance >= SAME_PLACE_MM);
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    if distances.iter().any(|&distance| distance > least * (1.0 + GAP_TOLERANCE)) {
        notes.push(Note::SeriesGap);
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::input;
    use super::*;
    use crate::fixture::hard_cases;

    /// The units of a folder, as names of files, with their notes.
    async fn units(folder: &Path) -> Vec<(Vec<String>, Vec<Note>)> {
        let items = input::list(&[folder.to_string_lossy().into_owned()]).unwrap();
        let items: Vec<Arc<Item>> = items.into_iter().map(Arc::new).collect();
        let units = assemble(&items, 2).await.unwrap();
        let names = |unit: &Unit| unit.items.iter().map(|item| item.file.clone()).collect();
        units.iter().map(|unit| (names(unit), unit.notes.clone())).collect()
    }

    #[tokio::test]
    async fn slices_are_ordered_by_place_and_what_is_no_slice_of_theirs_stays_apart() {
        let Some(folder) = hard_cases("hard_dicom") else { return };
        // Without the manifest of all of them, which would be read in its stead.
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(folder.join("series0")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        let units = units(copy.path()).await;
        let (stack, notes) = units.iter().find(|(names, _)| names.len() > 1).unwrap();
        // By the ranks of the manifest; the copy lies where one of them lies.
        let ranked: Vec<&str> = stack.iter().map(String::as_str).filter(|&name| name != "copy_of_one").collect();
        assert_eq!(ranked, ["q", "i", "t", "w", "o", "y", "p", "u", "r"]);
        assert_eq!(stack.len(), ranked.len() + 1);
        assert_eq!(*notes, [Note::SeriesOverlap, Note::SeriesGap]);
        assert_eq!(units.iter().filter(|(names, _)| names.len() == 1).count(), 1);
    }

    #[tokio::test]
    async fn other_files_stay_alone_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a.dcm", "c.nii"] {
            std::fs::write(folder.path().join(name), "no image").unwrap();
        }
        let names: Vec<Vec<String>> = units(folder.path()).await.into_iter().map(|(names, _)| names).collect();
        assert_eq!(names, [["a.dcm"], ["b.png"], ["c.nii"]]);
    }
}
