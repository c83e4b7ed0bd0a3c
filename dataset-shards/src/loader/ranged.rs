//! A range of an object and the hash of what came.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetResultPayload, ObjectStore, Result};
use tokio::task::spawn_blocking;

use crate::manifest::{ContentHash, ContentHasher};

/// Bytes of a file that are read and then hashed: few enough to be in the cache of the core still.
const PIECE_BYTES: u64 = 256 << 10;

/// Reads a range, which may come short, and hashes it on a thread that may block. A file of this machine goes straight into
/// memory that nobody has cleared first.
pub(super) async fn read(store: &dyn ObjectStore, path: &Path, range: Range<u64>) -> Result<(Bytes, ContentHash)> {
    let found = store.get_opts(path, GetOptions::new().with_range(Some(range))).await?;
    let range = found.range.clone();
    let read = match found.payload {
        GetResultPayload::File(file, _) => spawn_blocking(move || read_file(file, range)).await,
        GetResultPayload::Stream(_) => {
            let bytes = found.bytes().await?;
            spawn_blocking(move || Ok((bytes.clone(), ContentHash::of(&bytes)))).await
        }
    };
    read.map_err(io::Error::from).flatten().map_err(|error| Error::Generic { store: "file", source: error.into() })
}

fn read_file(mut file: File, range: Range<u64>) -> io::Result<(Bytes, ContentHash)> {
    file.seek(SeekFrom::Start(range.start))?;
    let length = range.end - range.start;
    let mut bytes = Vec::with_capacity(length as usize);
    let (mut rest, mut hasher) = (file.take(length), ContentHasher::default());
    loop {
        let hashed = bytes.len();
        if rest.by_ref().take(PIECE_BYTES).read_to_end(&mut bytes)? == 0 {
            return Ok((bytes.into(), hasher.finish()));
        }
        hasher.update(&bytes[hashed..]);
    }
}
