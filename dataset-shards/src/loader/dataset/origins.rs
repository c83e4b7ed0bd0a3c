//! Where the rows of a dataset come from.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use vismae_core::spec::Modality;

use super::super::LoadError;
use super::{CONCURRENT_INDICES, Dataset};
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
        let reading = self.groups.iter().map(|group| group.sources(&self.source));
        let read: Vec<Vec<String>> = stream::iter(reading).buffered(CONCURRENT_INDICES).try_collect().await?;
        let (mut sources, mut modalities) = (Vec::new(), Vec::new());
        let mut kinds = RowKinds::default();
        let mut numbers: HashMap<String, u32> = HashMap::new();
        for (group, of_rows) in self.groups.iter().zip(read) {
            let modality = group.located.shard.modality;
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
}
