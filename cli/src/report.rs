//! The report of a pipeline: one HTML page that needs nothing but itself, and its tables as CSV beside it.
//!
//! Everything is read from the store: what jobs left under `runs/`, and the manifest of the corpus they read. The page has no
//! script and loads nothing, so it can be mailed, archived and printed; it follows the reader's light or dark setting.

mod chart;
mod classify;
mod comparison;
mod corpus;
mod efficiency;
mod error;
mod figure;
mod gather;
mod learning;
mod number;
mod outline;
mod page;
mod palette;
mod pretrain;
mod segment;
mod series;
mod table;
mod tiles;

use std::fmt;

pub use error::ReportError;
use vismae_shards::store::Store;

/// Where a report lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportLocation {
    /// URL of the store.
    pub store: String,
    /// Path of the page in the store.
    pub page: String,
    /// Paths of the tables in the store.
    pub tables: Vec<String>,
}

impl fmt::Display for ReportLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store.trim_end_matches('/'), self.page)
    }
}

/// Writes `runs/<pipeline>/report.html` and `runs/<pipeline>/tables/*.csv` from what the jobs left, in the order given; what
/// was there before is replaced. Jobs are named as [`vismae_core::ids::JobId`] shows them. A job that left no results is
/// shown as such.
///
/// # Errors
/// [`ReportError`], naming the object that cannot be used; [`ReportError::NoResults`] when no job left any. Nothing is
/// written unless everything could be read.
pub async fn write(store: &Store, pipeline: &str, jobs: &[String]) -> Result<ReportLocation, ReportError> {
    let gathered = gather::gather(store, pipeline, jobs).await?;
    let (html, tables) = page::render(&gathered)?;
    let folder = format!("runs/{pipeline}");
    let mut written = Vec::new();
    for table in &tables {
        let path = format!("{folder}/tables/{}.csv", table.name());
        store.put(&path, table.to_csv()?).await?;
        written.push(path);
    }
    let page = format!("{folder}/report.html");
    store.put(&page, html).await?;
    Ok(ReportLocation { store: store.url().to_owned(), page, tables: written })
}

#[cfg(test)]
mod tests;
