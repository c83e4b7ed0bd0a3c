//! The row groups that a node keeps on its own disk.

use std::ffi::OsString;
use std::path::PathBuf;

use vismae_shards::loader::NodeCache;

/// Where the cache of this node lies: told to an agent, and passed on to each of its tasks.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CacheOptions {
    /// Folder on a disk of this node where tasks keep what they read of corpora, all of them in the same; nothing is kept when
    /// absent. Of no use where the store is a local folder.
    #[arg(long, env = "VISMAE_CACHE_DIR", requires = "cache_bytes")]
    cache_dir: Option<PathBuf>,
    /// Bytes that the files in it may take together.
    #[arg(long, env = "VISMAE_CACHE_BYTES", requires = "cache_dir")]
    cache_bytes: Option<u64>,
}

impl CacheOptions {
    /// The same, as a command line.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let Some((folder, bytes)) = self.given() else { return Vec::new() };
        vec!["--cache-dir".into(), folder.into(), "--cache-bytes".into(), bytes.to_string().into()]
    }

    /// The cache, if there is to be one. A folder that can't hold it is told and done without: reading only takes longer.
    pub(crate) fn open(&self) -> Option<NodeCache> {
        let (folder, bytes) = self.given()?;
        match NodeCache::open(folder, bytes) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(reason = %error.source, "{error}: going on without a cache");
                None
            }
        }
    }

    fn given(&self) -> Option<(&PathBuf, u64)> {
        Some((self.cache_dir.as_ref()?, self.cache_bytes?))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        cache: CacheOptions,
    }

    fn parse(arguments: &[OsString]) -> Result<CacheOptions, clap::Error> {
        Line::try_parse_from([OsString::from("worker")].iter().chain(arguments)).map(|line| line.cache)
    }

    #[test]
    fn a_task_is_told_the_cache_of_its_agent() {
        let told = parse(&["--cache-dir".into(), "/a b".into(), "--cache-bytes".into(), "7".into()]).unwrap();
        let passed_on = parse(&told.arguments()).unwrap();
        assert_eq!(passed_on.given(), Some((&PathBuf::from("/a b"), 7)));
        assert!(parse(&[]).unwrap().arguments().is_empty());
        assert!(parse(&["--cache-dir".into(), "/x".into()]).is_err(), "a cache without a bound");
    }

    #[test]
    fn a_folder_that_holds_no_cache_is_done_without() {
        let told = parse(&["--cache-dir".into(), "/dev/null/x".into(), "--cache-bytes".into(), "7".into()]).unwrap();
        assert!(told.open().is_none());
    }
}
