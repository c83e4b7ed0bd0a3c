//! Progress in words, the same in bars and in lines.

use std::time::Duration;

use vismae_proto::v1::{Job, Progress};

use crate::output::figure;
use crate::views::{seconds, short_name, state_word};

/// Epoch, loss and speed: what a job measures while it runs.
pub(super) fn measures(progress: &Progress) -> String {
    let mut parts = Vec::new();
    if progress.loss.is_some() {
        parts.push(format!("epoch {}", progress.epoch));
    }
    parts.extend(progress.loss.map(|loss| format!("loss {}", figure(loss))));
    if progress.images_per_second > 0.0 {
        parts.push(format!("{:.0} images/s", progress.images_per_second));
    }
    parts.extend(time_left(progress).map(|left| format!("{} left", span(left))));
    parts.join(", ")
}

/// What is left at the pace of the last steps; none while the pace or the end is unknown.
pub(super) fn time_left(progress: &Progress) -> Option<Duration> {
    let steps = progress.total.checked_sub(progress.done).filter(|steps| *steps > 0)?;
    let seconds = steps as f64 * progress.step_seconds;
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// How a job ended, with its figures or the reason.
pub(super) fn outcome(job: &Job) -> String {
    let took = seconds(job).and_then(|took| Duration::try_from_secs_f64(took).ok());
    let took = took.map(|took| format!(" after {}", span(took))).unwrap_or_default();
    let mut names: Vec<_> = job.figures.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    let figures: Vec<String> = names.into_iter().map(|(name, value)| format!("{name} {}", figure(*value))).collect();
    let figures = if figures.is_empty() { String::new() } else { format!(": {}", figures.join(", ")) };
    let reason = if job.reason.is_empty() { String::new() } else { format!(": {}", job.reason) };
    let tail = if figures.is_empty() { reason } else { figures };
    format!("{} {}{took}{tail}", short_name(job), state_word(job.state()))
}

/// A duration as people say it, to the second.
pub(crate) fn span(duration: Duration) -> String {
    let total = duration.as_secs_f64().round() as u64;
    match (total / 3600, total / 60 % 60, total % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_naturally() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m 01s"), (3600, "1h 00m"), (7325, "2h 02m")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn measures_leave_out_what_is_unknown() {
        let reading = Progress { phase: "reading".into(), done: 3, total: 9, ..Progress::default() };
        assert_eq!(measures(&reading), "");
        let training = Progress {
            done: 40,
            total: 100,
            loss: Some(0.123_456),
            images_per_second: 812.4,
            step_seconds: 1.5,
            epoch: 2,
            ..Progress::default()
        };
        assert_eq!(measures(&training), "epoch 2, loss 0.1235, 812 images/s, 1m 30s left");
    }
}
