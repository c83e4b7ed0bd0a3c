//! A sound file after accidents.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use vismae_proto::convert::{checked_pipeline_from_wire, pipeline_to_wire};

use super::*;

/// What is put into a sound file to spoil it, or to say more.
const PIECES: [&str; 20] = [
    "",
    "=",
    "[",
    "]]",
    "\"",
    "\n",
    "é",
    "0",
    "-1",
    "1e400",
    "nan",
    "99999999999999999999",
    "{ a = 1 }",
    "\n[corpus]\n",
    "\n[[finetune]]\n",
    "\nseed = [1, 2]\n",
    "\nlabel_fraction = [0.1, 1]\n",
    "\nmodalities = [[\"CT\"], []]\n",
    "\ninit = [\"random\", \"pretrain\"]\n",
    "\nct_windows = [[0, 1], 3]\n",
];

proptest! {
    #[test]
    fn a_file_that_was_tampered_with_is_refused_with_a_fault_or_is_a_pipeline_like_any_other(
        changes in prop::collection::vec((any::<Index>(), 0..30_usize, select(&PIECES[..])), 1..5),
    ) {
        let mut text = SOUND.to_owned();
        for (at, length, piece) in changes {
            let from = text.floor_char_boundary(at.index(text.len() + 1));
            let to = text.floor_char_boundary((from + length).min(text.len()));
            text.replace_range(from..to.max(from), piece);
        }
        match parse(&text, Path::new("/jobs"), &Overrides::default()) {
            Ok(spec) => prop_assert_eq!(checked_pipeline_from_wire(&pipeline_to_wire(&spec)), Ok(spec)),
            Err(faults) => prop_assert!(!faults.is_empty()),
        }
    }
}
