//! How many files an ingest refused, and why.

use std::collections::BTreeMap;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use parquet::schema::types::Type;
use vismae_shards::manifest::Manifest;
use vismae_shards::store::Store;

use super::ReportError;

/// Files refused, by the set they came with, the stage and the reason.
pub(super) type Refused = BTreeMap<(String, String, String), u64>;

/// Counts the list of refused files of a corpus version; empty when the version has none.
pub(super) async fn load(store: &Store, manifest: &Manifest) -> Result<Refused, ReportError> {
    let path = format!("corpora/{}/quarantine/{:06}.parquet", manifest.corpus, manifest.version);
    if !store.exists(&path).await? {
        return Ok(Refused::new());
    }
    let bytes = store.get(&path).await?;
    count(bytes).map_err(|source| ReportError::Quarantine { path, source })
}

fn count(bytes: bytes::Bytes) -> Result<Refused, ParquetError> {
    let reader = SerializedFileReader::new(bytes)?;
    let schema = reader.metadata().file_metadata().schema();
    let wanted = ["source", "stage", "reason"];
    let fields = wanted.map(|name| schema.get_fields().iter().find(|field| field.name() == name).cloned());
    let [Some(source), Some(stage), Some(reason)] = fields else {
        return Err(ParquetError::General(format!("a column is missing, expected `{}`", wanted.join("`, `"))));
    };
    let projection = Type::group_type_builder(schema.name()).with_fields(vec![source, stage, reason]).build()?;
    let mut refused = Refused::new();
    for row in reader.get_row_iter(Some(projection))? {
        let row = row?;
        // Columns come in the order of the projection.
        let text = |column| row.get_string(column).cloned();
        *refused.entry((text(0)?, text(1)?, text(2)?)).or_default() += 1;
    }
    Ok(refused)
}
