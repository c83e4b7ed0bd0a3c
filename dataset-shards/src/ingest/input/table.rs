//! A CSV manifest: `file` and, where they are known, `modality, patient_id, group_id, label, mask_file, split`. Paths may lead into
//! archives, as `set.zip/img/1.png`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};
use std::sync::Arc;

use vismae_core::spec::Modality;

use super::{Archive, Item, ListError, Mask, ModalityHint, Origin, Refusal, Shelf, archive, shelf, source_name};
use crate::split::Split;

/// Where the paths of a manifest begin.
pub(super) enum Base {
    /// In a folder; a path may lead on into an archive.
    Folder(Arc<Path>),
    /// In an archive, in the folder below it of this path, with a `/` at its end.
    Archive { archive: Arc<Archive>, below: String },
}

/// What a path of a manifest leads to.
enum Found {
    File(Origin),
    /// An archive as a whole.
    Archive(Arc<Archive>),
}

impl Base {
    fn find(&self, file: &str, shelf: &mut Shelf) -> Result<Found, Refusal> {
        let folder = match self {
            Self::Archive { archive, below } => {
                let name = format!("{below}{}", normal(file));
                let at = archive.find(&name);
                return Ok(Found::File(at.map_or(Origin::Nowhere, |at| Origin::Member(Arc::clone(archive), at))));
            }
            Self::Folder(folder) => folder,
        };
        let mut parts = file.split('/');
        let mut path = folder.to_path_buf();
        while let Some(part) = parts.next() {
            path.push(part);
            // A folder may be named like an archive.
            if archive::kind_of(&path).is_some() && path.is_file() {
                let archive = shelf.open(&path)?;
                let rest = normal(&parts.collect::<Vec<_>>().join("/"));
                if rest.is_empty() {
                    return Ok(Found::Archive(archive));
                }
                let at = archive.find(&rest);
                return Ok(Found::File(at.map_or(Origin::Nowhere, |at| Origin::Member(archive, at))));
            }
        }
        Ok(Found::File(Origin::Folder(Arc::clone(folder))))
    }
}

/// A path as members of archives are named.
fn normal(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// Where the known columns are; others are ignored.
struct Columns {
    /// Fields of every row.
    count: usize,
    file: usize,
    modality: Option<usize>,
    patient_id: Option<usize>,
    group_id: Option<usize>,
    label: Option<usize>,
    mask_file: Option<usize>,
    split: Option<usize>,
}

/// The rows of a manifest, in order. A row that cannot be used is listed with its fault; one that names an archive stands for
/// every file in it.
pub(super) fn read(manifest: &Path, shelf: &mut Shelf) -> Result<Vec<Item>, ListError> {
    let folder = match manifest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = manifest.display().to_string();
    let file = File::open(manifest).map_err(|error| unreadable(&name, error))?;
    read_from(file, &name, &Base::Folder(Arc::from(folder)), &source_name(folder), shelf)
}

/// The rows of a manifest of a name, from its bytes.
pub(super) fn read_from(
    bytes: impl Read,
    manifest: &str,
    base: &Base,
    source: &Arc<str>,
    shelf: &mut Shelf,
) -> Result<Vec<Item>, ListError> {
    let failed = |source| ListError::Manifest { manifest: manifest.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let columns = columns(manifest, reader.byte_headers().map_err(failed)?)?;
    let mut items = Vec::new();
    for row in reader.byte_records() {
        items.extend(resolve(item(&row.map_err(failed)?, &columns, source), base, shelf));
    }
    Ok(items)
}

fn unreadable(manifest: &str, error: io::Error) -> ListError {
    ListError::Manifest { manifest: manifest.to_owned(), source: error.into() }
}

/// Finds what a row names.
fn resolve(mut item: Item, base: &Base, shelf: &mut Shelf) -> Vec<Item> {
    if item.fault.is_some() {
        return vec![item];
    }
    if let Some(mask) = &mut item.mask {
        // What is wrong with the archive of a mask is said of its image.
        match base.find(&mask.file, shelf) {
            Ok(Found::File(origin)) => mask.origin = origin,
            Ok(Found::Archive(_)) => {
                let message = "column `mask_file` names an archive, expected a file, as in `masks.zip/1.png`";
                item.fault = Some(Refusal::new("list", "mask_is_archive", message));
            }
            Err(fault) => item.fault = Some(fault),
        }
    }
    match base.find(&item.file, shelf) {
        Ok(Found::File(origin)) => {
            if let (Origin::Member(archive, at), None) = (&origin, &item.fault) {
                item.fault = shelf::member(archive, *at, &item.source, String::new()).fault;
            }
            item.origin = origin;
            vec![item]
        }
        Ok(Found::Archive(archive)) => whole(&item, &archive),
        Err(fault) => vec![Item { fault: Some(fault), ..item }],
    }
}

/// A row that names an archive, for each file in it.
fn whole(row: &Item, archive: &Arc<Archive>) -> Vec<Item> {
    if row.mask.is_some() && row.fault.is_none() {
        let message = "the row names an archive and one mask, expected a row for each image that has a mask";
        return vec![Item { fault: Some(Refusal::new("list", "mask_of_archive", message)), ..row.clone() }];
    }
    let path = normal(&row.file);
    let member = |at: usize| {
        let found = shelf::member(archive, at, &row.source, format!("{path}/{}", archive.members()[at].name));
        Item { origin: found.origin, file: found.file, fault: row.fault.clone().or(found.fault), ..row.clone() }
    };
    (0..archive.members().len()).map(member).chain(shelf::damage(archive, &row.source, &path)).collect()
}

fn columns(manifest: &str, header: &csv::ByteRecord) -> Result<Columns, ListError> {
    let names: Vec<String> = header.iter().map(text).collect();
    let find = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    let Some(file) = find("file") else {
        return Err(ListError::NoFileColumn { manifest: manifest.to_owned(), columns: names.len() });
    };
    Ok(Columns {
        count: names.len(),
        file,
        modality: find("modality"),
        patient_id: find("patient_id"),
        group_id: find("group_id"),
        label: find("label"),
        mask_file: find("mask_file"),
        split: find("split"),
    })
}

/// A row by itself; where its files lie is not looked up yet.
fn item(row: &csv::ByteRecord, columns: &Columns, source: &Arc<str>) -> Item {
    let field = |column: Option<usize>| column.and_then(|at| row.get(at)).map(text).filter(|value| !value.is_empty());
    let file = field(Some(columns.file)).unwrap_or_default();
    let (patient, group) = (field(columns.patient_id), field(columns.group_id));
    let (modality, split, mask) = (field(columns.modality), field(columns.split), field(columns.mask_file));
    let fault = path_fault(&file, "file")
        .or_else(|| mask.as_deref().and_then(|mask| path_fault(mask, "mask_file")))
        .or_else(|| {
            // What stands there is not repeated: in a row that is out of step it may be anything.
            split.as_deref().filter(|word| Split::from_word(word).is_none())?;
            Some(Refusal::new("list", "split_unknown", "the split is unknown, expected train, val or test"))
        });
    let fields = row.len();
    let fault = if fields <= columns.count {
        fault
    } else {
        let message = format!(
            "the row has {fields} fields, expected at most {} as the header: see to its quotes and commas",
            columns.count
        );
        Some(Refusal::new("list", "row_length", message))
    };
    Item {
        source: Arc::clone(source),
        origin: Origin::Nowhere,
        // A path that leads elsewhere is shown by its last part only: the rest may name this machine.
        file: if fault.is_some() { last_part(&file) } else { file },
        modality: match modality {
            Some(code) => Modality::from_code(&code).map_or(ModalityHint::Unknown, ModalityHint::Stated),
            None => ModalityHint::None,
        },
        patient,
        group,
        label: field(columns.label),
        mask: mask.map(|file| Mask { file, origin: Origin::Nowhere }),
        split: split.as_deref().and_then(Split::from_word),
        fault,
    }
}

/// A path must stay in the folder of its manifest.
fn path_fault(path: &str, column: &str) -> Option<Refusal> {
    if path.is_empty() {
        return Some(Refusal::new("list", "no_file", format!("column `{column}` is empty, expected a path")));
    }
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let message =
        || format!("column `{column}` leaves the folder of its manifest, expected a relative path without `..`");
    (!inside).then(|| Refusal::new("list", "outside_folder", message()))
}

fn last_part(path: &str) -> String {
    Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().to_owned()
}
