//! Decoding alone, on one thread, by format: from the path of a file to values in source units.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use vismae_shards::decode;

use crate::Outcome;
use crate::contender::serve;

/// Files of a format are read again until it has taken this long: a few small ones tell nothing.
const ENOUGH: Duration = Duration::from_millis(200);

/// Decodes what a list names, a line to a file: the format, a tab and the path.
pub(crate) fn run(list: &Path) -> Outcome<()> {
    let mut formats: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for line in fs::read_to_string(list)?.lines() {
        let (format, path) = line.split_once('\t').ok_or("a line of the list names no path")?;
        formats.entry(format.to_owned()).or_default().push(path.into());
    }
    serve(|| {
        let measured = formats.iter().map(|(format, files)| Ok((format.clone(), measure(files)?)));
        Ok(json!({ "formats": measured.collect::<Outcome<Map<String, Value>>>()? }))
    })
}

fn measure(files: &[PathBuf]) -> Outcome<Value> {
    let started = Instant::now();
    let (mut decoded, mut values, mut refused) = (0u64, 0usize, 0u64);
    while decoded + refused == 0 || started.elapsed() < ENOUGH {
        for file in files {
            match decode::decode(file) {
                Ok(file) => {
                    values += black_box(&file.volume.voxels).len();
                    decoded += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({ "rows": decoded, "values": values, "refused": refused, "seconds": seconds }))
}
