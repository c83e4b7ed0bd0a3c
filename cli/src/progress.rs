//! How a pipeline's progress is shown: bars on a terminal, plain lines elsewhere, nothing to programs.

mod bars;
mod lines;
mod words;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

use vismae_proto::v1::Pipeline;

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
