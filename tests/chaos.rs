//! A minute of faults of every kind: `cargo xtask chaos` has longer ones, and the figures.

use std::time::Duration;

use tempfile::TempDir;
use vismae_tests::chaos::{Chaos, Fault, Ground, Storage, write_phantoms};

#[test]
fn whatever_happens_the_weights_have_seen_the_samples_of_the_plan_once() {
    let folder = TempDir::new().unwrap();
    let storage = Storage::Folder(folder.path().to_owned(), None);
    let families = [&Fault::ANYWHERE[..], Fault::of_stores(&storage)].concat();
    let chaos = Chaos { seed: 7, epochs: 200, gap: Duration::from_secs(4), families };
    write_phantoms(folder.path());
    let report = chaos.run(folder.path(), Ground { lab: None, storage: &storage, trainers: 4 });
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
    assert!(report.is_exact);
    assert!(report.faults.len() >= 3, "{:?}", report.faults);
    assert!(report.loss_distance <= 1e-3, "{}", report.loss_distance);
    assert!(report.weights_distance <= 1e-3, "{}", report.weights_distance);
}
