//! Progress as plain lines: one for each change of state, and few between.

use std::collections::BTreeMap;
use std::time::Duration;

use vismae_proto::v1::{Job, Pipeline, Progress, State};

use super::words::{measures, outcome, span};
use crate::views::{short_name, state_word};

/// A running job gets a new line when it has done another tenth, ...
const PARTS: u64 = 10;
/// ... or when this much time has passed and it has gone on at all, ...
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// ... but never sooner than this.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// Remembers what was said last about each job.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    said: BTreeMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    state: State,
    reason: String,
    phase: String,
    done: u64,
    part: u64,
    at: Duration,
}

impl Lines {
    /// The lines that a snapshot is worth, `at` so long after the start.
    pub(super) fn update(&mut self, pipeline: &Pipeline, at: Duration) -> Vec<String> {
        pipeline
            .jobs
            .iter()
            .filter_map(|job| self.line(job, at))
            .map(|line| format!("[{:>7}] {line}", span(at)))
            .collect()
    }

    fn line(&mut self, job: &Job, at: Duration) -> Option<String> {
        let idle = Progress::default();
        let progress = job.progress.as_ref().unwrap_or(&idle);
        let now = Said {
            state: job.state(),
            reason: job.reason.clone(),
            phase: progress.phase.clone(),
            done: progress.done,
            part: (progress.done * PARTS).checked_div(progress.total).unwrap_or(0),
            at,
        };
        let worth_saying = match self.said.get(&job.name) {
            None => true,
            Some(said) if said.state != now.state => true,
            Some(said) if now.state == State::Running => is_due(said, &now),
            Some(said) => said.reason != now.reason,
        };
        if !worth_saying {
            return None;
        }
        self.said.insert(job.name.clone(), now);
        Some(describe(job, progress))
    }
}

fn is_due(said: &Said, now: &Said) -> bool {
    let silence = now.at.saturating_sub(said.at);
    let next_part = said.phase != now.phase || said.part != now.part;
    let moved_at_all = said.done != now.done;
    silence >= SHORTEST_SILENCE && (next_part || moved_at_all && silence >= LONGEST_SILENCE)
}

fn describe(job: &Job, progress: &Progress) -> String {
    let name = short_name(job);
    match job.state() {
        State::Succeeded | State::Failed | State::Cancelled => outcome(job),
        State::Running if progress.total > 0 => {
            let percent = progress.done * 100 / progress.total;
            let measures = measures(progress);
            let separator = if measures.is_empty() { "" } else { ", " };
            let phase = &progress.phase;
            format!("{name} {phase} {}/{} ({percent} %){separator}{measures}", progress.done, progress.total)
        }
        state if job.reason.is_empty() => format!("{name} {}", state_word(state)),
        state => format!("{name} {}: {}", state_word(state), job.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(state: State, done: u64) -> Pipeline {
        let progress = Progress { phase: "training".into(), done, total: 100, loss: Some(0.5), ..Progress::default() };
        let job = Job { name: "demo.pretrain".into(), progress: Some(progress), ..Job::default() };
        Pipeline { jobs: vec![Job { state: state.into(), ..job }], ..Pipeline::default() }
    }

    #[test]
    fn lines_come_with_changes_of_state_with_tenths_and_after_silence() {
        let mut lines = Lines::default();
        let mut said = Vec::new();
        for (seconds, state, done) in [
            (0, State::Pending, 0),
            (1, State::Pending, 0),
            (2, State::Running, 0),
            (4, State::Running, 5),   // neither a tenth nor ten seconds
            (5, State::Running, 10),  // a tenth
            (14, State::Running, 11), // nine seconds
            (15, State::Running, 12), // ten seconds
            (40, State::Running, 12), // nothing new
            (41, State::Succeeded, 100),
            (42, State::Succeeded, 100),
        ] {
            said.extend(lines.update(&pipeline(state, done), Duration::from_secs(seconds)));
        }
        assert_eq!(
            said,
            [
                "[     0s] pretrain pending",
                "[     2s] pretrain training 0/100 (0 %), epoch 0, loss 0.5000",
                "[     5s] pretrain training 10/100 (10 %), epoch 0, loss 0.5000",
                "[    15s] pretrain training 12/100 (12 %), epoch 0, loss 0.5000",
                "[    41s] pretrain succeeded",
            ]
        );
    }

    #[test]
    fn a_fast_job_does_not_flood() {
        let mut lines = Lines::default();
        let said: usize = (0..100)
            .map(|done| lines.update(&pipeline(State::Running, done), Duration::from_millis(done * 20)).len())
            .sum();
        assert_eq!(said, 2, "one at the start and one after a second");
    }

    #[test]
    fn a_job_that_waits_says_why_when_the_reason_changes() {
        let mut lines = Lines::default();
        let mut waiting = pipeline(State::Pending, 0);
        waiting.jobs[0].reason = "waiting for `ingest`".into();
        assert_eq!(lines.update(&waiting, Duration::ZERO), ["[     0s] pretrain pending: waiting for `ingest`"]);
        assert!(lines.update(&waiting, Duration::from_secs(60)).is_empty());
        waiting.jobs[0].reason = "waiting for 1 more slot".into();
        assert_eq!(lines.update(&waiting, Duration::from_secs(61)).len(), 1);
    }
}
