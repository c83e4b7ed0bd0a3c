//! Where the rows of a dataset come from.

use std::collections::HashMap;

use arrow::array::AsArray;
use futures::{StreamExt, TryStreamExt, stream};
use vismae_core::spec::Modality;

use super::super::LoadError;
use super::super::index::GroupIndex;
use super::{CONCURRENT_READS, Dataset};
use crate::order::quality::RowKinds;

/// The source and the modality of every row of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// Names of the sources, as they first occur.
    pub sources: Vec<String>,
    /// The modalities, as they first occur.
    pub modalities: Vec<Modality>,
    /// Indices into these lists, row by row.
    pub kinds: RowKinds,
}

impl Dataset {
    /// Reads the sources of its rows, which are one small column; modalities are known.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn origins(&self) -> Result<Origins, LoadError> {
        let reading = self.groups.iter().map(|group| self.sources_of(group));
        let read: Vec<Vec<String>> = stream::iter(reading).buffered(CONCURRENT_READS).try_collect().await?;
        let (mut sources, mut modalities) = (Vec::new(), Vec::new());
        let mut kinds = RowKinds::default();
        let mut numbers: HashMap<String, u32> = HashMap::new();
        for (group, of_rows) in self.groups.iter().zip(read) {
            let modality = self.shards[group.shard].shard.modality;
            let number = modalities.iter().position(|known| *known == modality).unwrap_or_else(|| {
                modalities.push(modality);
                modalities.len() - 1
            });
            kinds.modalities.extend(std::iter::repeat_n(number as u32, of_rows.len()));
            kinds.sources.extend(of_rows.into_iter().map(|source| {
                *numbers.entry(source).or_insert_with_key(|source| {
                    sources.push(source.clone());
                    (sources.len() - 1) as u32
                })
            }));
        }
        Ok(Origins { sources, modalities, kinds })
    }

    async fn sources_of(&self, group: &GroupIndex) -> Result<Vec<String>, LoadError> {
        let shard = &self.shards[group.shard];
        let columns = shard.read_group(group.row_group, &["source"]).await?;
        let source = columns.column_by_name("source").and_then(|column| column.as_string_opt::<i32>());
        let source = source.ok_or_else(|| LoadError::Changed {
            shard: shard.shard.path.clone(),
            found: "no column of sources".to_owned(),
            expected: "`source`".to_owned(),
        })?;
        Ok(group.rows.iter().map(|&row| source.value(row as usize).to_owned()).collect())
    }
}
