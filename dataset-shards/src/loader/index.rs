//! Which rows of a shard match a selection.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;

use super::shard::OpenShard;
use super::{LoadError, Needs};

/// The matching rows of one row group; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupIndex {
    /// Index of the shard in the dataset.
    pub(super) shard: usize,
    /// Index of the row group in the shard.
    pub(super) row_group: usize,
    /// The matching rows, in order.
    pub(super) rows: Vec<u32>,
    /// The distinct labels of these rows, in order.
    pub(super) labels: Vec<i64>,
}

/// The matching rows of a shard, group by group; groups without one are left out.
pub(super) async fn index_shard(
    shard_index: usize,
    shard: &OpenShard,
    sources: &[String],
    needs: Needs,
) -> Result<Vec<GroupIndex>, LoadError> {
    let mut groups = Vec::new();
    for row_group in 0..shard.shard.row_groups.len() {
        let columns = shard.read_group(row_group, &["source", "label", "mask.path"]).await?;
        let (source, label, mask) =
            (columns.column_by_name("source"), columns.column_by_name("label"), columns.column_by_name("mask"));
        let (Some(source), Some(label), Some(mask)) = (
            source.and_then(|c| c.as_string_opt::<i32>()),
            label.and_then(|c| c.as_primitive_opt::<Int64Type>()),
            mask,
        ) else {
            return Err(LoadError::Changed {
                shard: shard.shard.path.clone(),
                found: format!(
                    "the columns {:?}",
                    columns.schema().fields().iter().map(|f| f.name()).collect::<Vec<_>>()
                ),
                expected: "`source`, `label` and `mask` among them".to_owned(),
            });
        };
        let matches = |row: &usize| {
            let of_source = sources.is_empty() || sources.iter().any(|wanted| wanted == source.value(*row));
            of_source
                && match needs {
                    Needs::Any => true,
                    Needs::Label => label.is_valid(*row),
                    Needs::Mask => mask.is_valid(*row),
                }
        };
        let rows: Vec<usize> = (0..columns.num_rows()).filter(matches).collect();
        let mut labels: Vec<i64> =
            rows.iter().filter(|&&row| label.is_valid(row)).map(|&row| label.value(row)).collect();
        labels.sort_unstable();
        labels.dedup();
        if !rows.is_empty() {
            let rows = rows.iter().map(|&row| row as u32).collect();
            groups.push(GroupIndex { shard: shard_index, row_group, rows, labels });
        }
    }
    Ok(groups)
}

/// The group and the stratum of every row of an index: its label, or its modality where it has none.
pub(super) async fn groups_and_strata(
    shard: &OpenShard,
    index: &GroupIndex,
) -> Result<Vec<(String, String)>, LoadError> {
    let columns = shard.read_group(index.row_group, &["group_id", "label"]).await?;
    let group = columns.column_by_name("group_id").and_then(|column| column.as_string_opt::<i32>());
    let label = columns.column_by_name("label").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let (Some(group), Some(label)) = (group, label) else {
        return Err(LoadError::Changed {
            shard: shard.shard.path.clone(),
            found: "no column of groups or of labels".to_owned(),
            expected: "`group_id` and `label`".to_owned(),
        });
    };
    let stratum = |row: usize| match label.is_valid(row) {
        true => label.value(row).to_string(),
        false => shard.shard.modality.to_string(),
    };
    Ok(index.rows.iter().map(|&row| (group.value(row as usize).to_owned(), stratum(row as usize))).collect())
}
