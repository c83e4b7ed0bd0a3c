//! A CSV manifest: `file` and, where they are known, `modality, patient_id, group_id, label, mask_file, split`.

use std::path::{Component, Path};
use std::sync::Arc;

use vismae_core::spec::Modality;

use super::{Item, ListError, ModalityHint, Refusal, source_name};
use crate::split::Split;

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

/// The rows of a manifest, in order. A row that cannot be used is listed with its fault.
pub(super) fn read(manifest: &Path) -> Result<Vec<Item>, ListError> {
    let folder = match manifest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (root, source) = (Arc::from(folder), source_name(folder));
    let failed = |source| ListError::Manifest { manifest: manifest.display().to_string(), source };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(manifest).map_err(failed)?;
    let columns = columns(manifest, reader.byte_headers().map_err(failed)?)?;
    reader.byte_records().map(|row| row.map(|row| item(&row, &columns, &root, &source)).map_err(failed)).collect()
}

fn columns(manifest: &Path, header: &csv::ByteRecord) -> Result<Columns, ListError> {
    let names: Vec<String> = header.iter().map(text).collect();
    let find = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    let Some(file) = find("file") else {
        return Err(ListError::NoFileColumn { manifest: manifest.display().to_string(), columns: names.len() });
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

fn item(row: &csv::ByteRecord, columns: &Columns, root: &Arc<Path>, source: &Arc<str>) -> Item {
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
        root: Arc::clone(root),
        // A path that leads elsewhere is shown by its last part only: the rest may name this machine.
        file: if fault.is_some() { last_part(&file) } else { file },
        modality: match modality {
            Some(code) => Modality::from_code(&code).map_or(ModalityHint::Unknown, ModalityHint::Stated),
            None => ModalityHint::None,
        },
        patient,
        group,
        label: field(columns.label),
        mask,
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
