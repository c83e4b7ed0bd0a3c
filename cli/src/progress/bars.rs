//! Progress as bars: one for each running job, and a line above them for each that is over.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use vismae_proto::v1::{Job, Pipeline, State};

use super::words::{measures, outcome};
use crate::views::{short_name, state_word};

/// How often the spinner of a bar turns while nothing is reported.
const TICK: Duration = Duration::from_millis(120);

/// A bar for each job that runs.
#[derive(Debug)]
pub(crate) struct Bars {
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    ended: BTreeMap<String, State>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self { all: MultiProgress::new(), bars: BTreeMap::new(), ended: BTreeMap::new() }
    }

    pub(super) fn update(&mut self, pipeline: &Pipeline) {
        for job in &pipeline.jobs {
            match job.state() {
                State::Running | State::Cancelling | State::Stopping | State::Suspending => self.running(job),
                State::Succeeded | State::Failed | State::Cancelled => self.ended(job),
                // A job that is tried again waits without its old bar.
                State::Pending | State::Suspended | State::Unspecified => self.remove(&job.name),
            }
        }
    }

    pub(super) fn say(&self, text: &str) {
        // A terminal that cannot be written to is no reason to stop the work.
        let _ = self.all.println(text);
    }

    fn running(&mut self, job: &Job) {
        let bar = self.bars.entry(job.name.clone()).or_insert_with(|| {
            let bar =
                self.all.add(ProgressBar::no_length().with_style(style()).with_prefix(short_name(job).to_owned()));
            bar.enable_steady_tick(TICK);
            bar
        });
        match &job.progress {
            Some(progress) if job.state() == State::Running && progress.total > 0 => {
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                let measures = measures(progress);
                bar.set_message(format!("{}  {measures}", progress.phase));
            }
            _ => bar.set_message(format!("{} {}", state_word(job.state()), job.reason)),
        }
    }

    fn ended(&mut self, job: &Job) {
        self.remove(&job.name);
        if self.ended.insert(job.name.clone(), job.state()) != Some(job.state()) {
            let mark = if job.state() == State::Succeeded { "✓" } else { "✗" };
            self.say(&format!("{mark} {}", outcome(job)));
        }
    }

    fn remove(&mut self, job: &str) {
        if let Some(bar) = self.bars.remove(job) {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    // The template is a constant: if it were wrong, the plain style would still show the position.
    ProgressStyle::with_template("{spinner} {prefix:<18} {bar:24} {pos:>6}/{len:<6} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}
