//! Fingerprints of a pipeline or a worker as it is shown.
//!
//! They are made of the view alone: nothing has to be counted or kept, and a coordinator that follows another gives the same ones.

use crate::v1;

/// Hexadecimal digits of a fingerprint, 64 bits: two views of one thing that differ have the same one by no chance that matters.
const DIGITS: usize = 16;

/// Adds the etag and the cursor of a view that has neither.
pub fn sealed(mut view: v1::Pipeline) -> v1::Pipeline {
    let cursor = fingerprint(&view);
    // Who decides by what was seen does not mean how many steps were done.
    let progress: Vec<_> = view.jobs.iter_mut().map(|job| job.progress.take()).collect();
    let etag = fingerprint(&view);
    for (job, progress) in view.jobs.iter_mut().zip(progress) {
        job.progress = progress;
    }
    v1::Pipeline { etag, cursor, ..view }
}

/// What is known again by its digits; maps in it must be ordered.
pub(super) fn fingerprint(view: &impl prost::Message) -> String {
    blake3::hash(&view.encode_to_vec()).to_hex().chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_moves_the_cursor_and_a_change_of_state_the_etag_too() {
        let figures = (0..9).map(|number| (format!("f{number}"), 0.5)).collect();
        let job =
            v1::Job { name: "demo.a".into(), progress: Some(v1::Progress::default()), figures, ..v1::Job::default() };
        let mut view = v1::Pipeline { name: "demo".into(), jobs: vec![job], ..v1::Pipeline::default() };
        let first = sealed(view.clone());
        assert_eq!(sealed(view.clone()), first, "the same again");
        assert_eq!(first.jobs, view.jobs);
        view.jobs[0].progress = Some(v1::Progress { done: 1, ..v1::Progress::default() });
        let second = sealed(view.clone());
        assert_eq!(second.etag, first.etag);
        assert_ne!(second.cursor, first.cursor);
        view.jobs[0].state = v1::State::Failed.into();
        let third = sealed(view);
        assert!(third.etag != second.etag && third.cursor != second.cursor);
    }
}
