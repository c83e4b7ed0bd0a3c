//! A folder, or an archive, without a manifest: modality from folder names or from the files, classes of pictures from
//! `<modality>/<class>/file`.

use std::path::Path;
use std::sync::Arc;

use vismae_core::spec::Modality;
use walkdir::WalkDir;

use super::{Archive, Item, ListError, ModalityHint, Origin, Shelf, archive, shelf, source_name};

/// Every file below a folder, sorted by path. Links are not followed. An archive is listed as the folder that its name without
/// the ending names.
pub(super) fn walk(folder: &Path, shelf: &mut Shelf) -> Result<Vec<Item>, ListError> {
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
        let file = parts.join("/");
        if archive::kind_of(relative).is_none() {
            items.push(by_folders(Item::new(&source, file, Origin::Folder(Arc::clone(&root))), &parts));
            continue;
        }
        match shelf.open(entry.path()) {
            Ok(archive) => items.extend(members(&archive, &source, &file)),
            Err(fault) => items.push(Item { fault: Some(fault), ..Item::new(&source, file, Origin::Nowhere) }),
        }
    }
    Ok(items)
}

/// Every member of an archive at a path in the set, or that is the set where the path is empty.
pub(super) fn members(archive: &Arc<Archive>, source: &Arc<str>, path: &str) -> Vec<Item> {
    let mut items: Vec<Item> = (0..archive.members().len())
        .map(|at| {
            let name = &archive.members()[at].name;
            if path.is_empty() {
                let parts: Vec<&str> = name.split('/').collect();
                return by_folders(shelf::member(archive, at, source, name.to_string()), &parts);
            }
            let parts: Vec<&str> = archive::stem(path).split('/').chain(name.split('/')).collect();
            by_folders(shelf::member(archive, at, source, format!("{path}/{name}")), &parts)
        })
        .collect();
    items.extend(shelf::damage(archive, source, path));
    items
}

/// The item with what the parts of its path say.
fn by_folders(item: Item, parts: &[impl AsRef<str>]) -> Item {
    let (modality, class) = from_folders(&parts[..parts.len().saturating_sub(1)]);
    let label = class.filter(|_| is_picture(Path::new(&item.file)));
    Item { modality: modality.map_or(ModalityHint::None, ModalityHint::Folder), label, ..item }
}

/// Folders of classes are a habit of those who work with pictures; folders around DICOM and NIfTI are patients and series.
fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    ["png", "jpg", "jpeg", "tif", "tiff", "bmp"].contains(&ending.as_str())
}

/// The modality that the innermost folder of such a name names, and the class when exactly one folder lies between it and the file.
fn from_folders(folders: &[impl AsRef<str>]) -> (Option<Modality>, Option<String>) {
    let found = folders.iter().enumerate().rev().find_map(|(at, name)| Some((at, Modality::from_code(name.as_ref())?)));
    let Some((at, modality)) = found else { return (None, None) };
    let class = match &folders[at + 1..] {
        [class] => Some(class.as_ref().to_owned()),
        _ => None,
    };
    (Some(modality), class)
}
