//! Which rows of a row group match a selection.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;

use super::located::Located;
use super::row_set::RowSet;
use super::source::GroupSource;
use super::{LoadError, Needs};

/// The matching rows of one row group; never empty.
#[derive(Debug, Clone)]
pub(super) struct GroupIndex {
    pub(super) located: Located,
    pub(super) rows: RowSet,
    /// The distinct labels of these rows, in order; none where labels were not looked at.
    pub(super) labels: Vec<i64>,
}

impl GroupIndex {
    /// Every row, without a look at any.
    pub(super) fn whole(located: Located) -> Self {
        let rows = RowSet::All(located.entry().rows);
        Self { located, rows, labels: Vec::new() }
    }

    /// The rows of these sources that have what is needed; without sources, of any.
    pub(super) async fn matching(
        source: &GroupSource,
        located: Located,
        sources: &[String],
        needs: Needs,
    ) -> Result<Self, LoadError> {
        let columns = read(source, &located, &["source", "label", "mask.path"]).await?;
        let origin = text(&columns, "source").ok_or_else(|| located.unlike("source"))?;
        let label = label(&columns).ok_or_else(|| located.unlike("label"))?;
        let mask = columns.column_by_name("mask").ok_or_else(|| located.unlike("mask"))?;
        let matches = |row: usize| {
            let of_source = sources.is_empty() || sources.iter().any(|wanted| wanted == origin.value(row));
            of_source
                && match needs {
                    Needs::Any => true,
                    Needs::Label => label.is_valid(row),
                    Needs::Mask => mask.is_valid(row),
                }
        };
        let rows: Vec<u32> = (0..columns.num_rows()).filter(|&row| matches(row)).map(|row| row as u32).collect();
        let mut labels: Vec<i64> = rows
            .iter()
            .map(|&row| row as usize)
            .filter(|&row| label.is_valid(row))
            .map(|row| label.value(row))
            .collect();
        labels.sort_unstable();
        labels.dedup();
        let all = rows.len() == located.entry().rows as usize;
        let rows = if all { RowSet::All(located.entry().rows) } else { RowSet::Of(rows.into()) };
        Ok(Self { located, rows, labels })
    }

    /// The group and the stratum of every row: its label, or its modality where it has none.
    pub(super) async fn groups_and_strata(&self, source: &GroupSource) -> Result<Vec<(String, String)>, LoadError> {
        let located = &self.located;
        let columns = read(source, located, &["group_id", "label"]).await?;
        let group = text(&columns, "group_id").ok_or_else(|| located.unlike("group_id"))?;
        let label = label(&columns).ok_or_else(|| located.unlike("label"))?;
        let stratum = |row: usize| match label.is_valid(row) {
            true => label.value(row).to_string(),
            false => located.shard.modality.to_string(),
        };
        Ok(self.rows.iter().map(|row| row as usize).map(|row| (group.value(row).to_owned(), stratum(row))).collect())
    }

    /// The source of every row.
    pub(super) async fn sources(&self, source: &GroupSource) -> Result<Vec<String>, LoadError> {
        let columns = read(source, &self.located, &["source"]).await?;
        let origin = text(&columns, "source").ok_or_else(|| self.located.unlike("source"))?;
        Ok(self.rows.iter().map(|row| origin.value(row as usize).to_owned()).collect())
    }
}

async fn read(source: &GroupSource, located: &Located, names: &[&str]) -> Result<RecordBatch, LoadError> {
    let piece = source.index(located).await?;
    source.columns.read(located.entry(), piece, names).map_err(|error| located.undecodable(error))
}

fn text<'a>(columns: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    columns.column_by_name(name)?.as_string_opt()
}

fn label(columns: &RecordBatch) -> Option<&Int64Array> {
    columns.column_by_name("label")?.as_primitive_opt::<Int64Type>()
}
