//! A folder without a manifest: modality from folder names or from the files, classes of pictures from
//! `<modality>/<class>/file`.

use std::path::Path;
use std::sync::Arc;

use vismae_core::spec::Modality;
use walkdir::WalkDir;

use super::{Item, ListError, ModalityHint, source_name};

/// Every file below a folder, sorted by path. Links are not followed.
pub(super) fn walk(folder: &Path) -> Result<Vec<Item>, ListError> {
    let (root, source): (Arc<Path>, _) = (Arc::from(folder), source_name(folder));
    let mut items = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        // Without the path that could not be read, which may name a patient.
        let entry = entry.map_err(|error| ListError::Folder {
            input: folder.display().to_string(),
            source: error.io_error().map_or(std::io::ErrorKind::Other, std::io::Error::kind).into(),
        })?;
        if !entry.file_type().is_file() {
            continue;
        }
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let (modality, class) = from_folders(&parts[..parts.len().saturating_sub(1)]);
        items.push(Item {
            source: Arc::clone(&source),
            root: Arc::clone(&root),
            file: parts.join("/"),
            modality: modality.map_or(ModalityHint::None, ModalityHint::Folder),
            patient: None,
            group: None,
            label: class.filter(|_| is_picture(relative)),
            mask: None,
            split: None,
            fault: None,
        });
    }
    Ok(items)
}

/// Folders of classes are a habit of those who work with pictures; folders around DICOM and NIfTI are patients and series.
fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    ["png", "jpg", "jpeg", "tif", "tiff", "bmp"].contains(&ending.as_str())
}

/// The modality that the innermost folder of such a name names, and the class when exactly one folder lies between it and the file.
fn from_folders(folders: &[String]) -> (Option<Modality>, Option<String>) {
    let found = folders.iter().enumerate().rev().find_map(|(at, name)| Some((at, Modality::from_code(name)?)));
    let Some((at, modality)) = found else { return (None, None) };
    let class = match &folders[at + 1..] {
        [class] => Some(class.clone()),
        _ => None,
    };
    (Some(modality), class)
}
