//! How a pipeline's progress is shown: bars on a terminal, plain lines elsewhere, nothing to programs.

mod bars;
mod lines;
mod words;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

use vismae_proto::v1::{self, Pipeline};

use crate::output::Format;
use bars::Bars;
use lines::Lines;
pub(crate) use words::span;

/// A display that is told of every change. It writes to standard error, which leaves standard output to results.
#[derive(Debug)]
pub(crate) enum Display {
    /// For people at a terminal.
    Bars(Bars),
    /// For logs and pipes.
    Lines(Lines, Instant),
    /// For programs, which read the result alone.
    Silent,
}

impl Display {
    /// The display that suits the output's form and where standard error goes.
    pub(crate) fn new(format: Format) -> Self {
        match format {
            Format::Json => Self::Silent,
            Format::Text if io::stderr().is_terminal() => Self::Bars(Bars::new()),
            Format::Text => Self::Lines(Lines::default(), Instant::now()),
        }
    }

    /// Shows a pipeline as it is now.
    pub(crate) fn update(&mut self, pipeline: &Pipeline) {
        match self {
            Self::Bars(bars) => bars.update(pipeline),
            Self::Lines(lines, start) => {
                for line in lines.update(pipeline, start.elapsed()) {
                    // A display that nobody can see is no reason to stop the work.
                    let _ = writeln!(io::stderr(), "{line}");
                }
            }
            Self::Silent => {}
        }
    }

    /// Says something between the updates.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Bars(bars) => bars.say(text),
            Self::Lines(..) => {
                let _ = writeln!(io::stderr(), "{text}");
            }
            Self::Silent => {}
        }
    }
}

/// Work of this process in the form in which displays take progress.
pub(crate) fn work_in_progress(name: &str, phase: &str, (done, total): (u64, u64), start: Instant) -> Pipeline {
    let progress = v1::Progress {
        phase: phase.to_owned(),
        done,
        total,
        step_seconds: start.elapsed().as_secs_f64() / done.max(1) as f64,
        ..v1::Progress::default()
    };
    let job = v1::Job {
        name: name.to_owned(),
        state: v1::State::Running.into(),
        progress: Some(progress),
        ..v1::Job::default()
    };
    Pipeline { jobs: vec![job], ..Pipeline::default() }
}
