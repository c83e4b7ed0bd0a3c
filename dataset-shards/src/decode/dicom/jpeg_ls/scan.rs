//! The lines of a scan.

use super::Fault;
use super::coder::{Coder, RunIndex};
use super::parameters::Parameters;

/// Bytes of a scan that may stay unread: what fills the last one up.
const UNREAD_MAX: usize = 1;

/// In which order the samples of components come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interleave {
    /// One component alone, or a line of each in turn.
    Line,
    /// A sample of each in turn.
    Sample,
}

/// A component's line and the one above it, each with a sample more on both sides.
struct Lines {
    above: Vec<u16>,
    line: Vec<u16>,
    run: RunIndex,
}

impl Lines {
    fn new(columns: usize) -> Self {
        Self { above: vec![0; columns + 2], line: vec![0; columns + 2], run: RunIndex::default() }
    }

    /// Makes the line the one above, and gives both the samples beside them (A.2).
    fn advance(&mut self, columns: usize) {
        std::mem::swap(&mut self.above, &mut self.line);
        self.above[columns + 1] = self.above[columns];
        self.line[0] = self.above[1];
    }
}

/// Decodes the lines of one restart interval, and hands each on with the number of its component in the scan.
pub(super) fn decode_lines(
    (columns, rows): (usize, usize),
    components: usize,
    interleave: Interleave,
    (parameters, data): (&Parameters, &[u8]),
    mut store: impl FnMut(usize, usize, &[u16]),
) -> Result<(), Fault> {
    let mut coder = Coder::new(parameters, data);
    let mut lines: Vec<Lines> = (0..components).map(|_| Lines::new(columns)).collect();
    for row in 0..rows {
        lines.iter_mut().for_each(|lines| lines.advance(columns));
        match interleave {
            Interleave::Line => lines.iter_mut().for_each(|lines| line(&mut coder, parameters, columns, lines)),
            Interleave::Sample => pixels(&mut coder, parameters, columns, &mut lines),
        }
        // At the end of a line at the latest, so that no time is spent on what is broken.
        if coder.is_over() {
            return Err(Fault::Truncated);
        }
        if coder.is_malformed() {
            return Err(Fault::Malformed);
        }
        for (component, lines) in lines.iter().enumerate() {
            store(component, row, &lines.line[1..=columns]);
        }
    }
    if coder.unread_bytes() > UNREAD_MAX { Err(Fault::Malformed) } else { Ok(()) }
}

/// A line of one component.
fn line(coder: &mut Coder<'_>, parameters: &Parameters, columns: usize, lines: &mut Lines) {
    let above = &lines.above[..columns + 2];
    let line = &mut lines.line[..columns + 2];
    let mut at = 1;
    let (mut left, mut left_above, mut over) = (line[0].into(), above[0].into(), above[1].into());
    while at <= columns {
        let right_above = above[at + 1].into();
        let context = parameters.context(left, over, left_above, right_above);
        if context != 0 {
            left = coder.sample(context, left, over, left_above);
            line[at] = left as u16;
            (left_above, over) = (over, right_above);
            at += 1;
            continue;
        }
        let end = at + coder.run(&mut lines.run, columns + 1 - at);
        line[at..end].fill(left as u16);
        at = end;
        if at <= columns {
            left = coder.run_end(lines.run, left, above[at].into());
            lines.run.lower();
            line[at] = left as u16;
            (left_above, over) = (above[at].into(), above[at + 1].into());
            at += 1;
        }
    }
}

/// A line of pixels, each of a sample of every component. A run is one of all of them; the first component keeps its index.
fn pixels(coder: &mut Coder<'_>, parameters: &Parameters, columns: usize, components: &mut [Lines]) {
    let mut at = 1;
    while at <= columns {
        let beside = |lines: &Lines| {
            [lines.line[at - 1], lines.above[at], lines.above[at - 1], lines.above[at + 1]].map(i32::from)
        };
        let is_flat = components.iter().all(|lines| {
            let [left, above, left_above, right_above] = beside(lines);
            parameters.context(left, above, left_above, right_above) == 0
        });
        if !is_flat {
            for lines in components.iter_mut() {
                let [left, above, left_above, right_above] = beside(lines);
                let context = parameters.context(left, above, left_above, right_above);
                lines.line[at] = coder.sample(context, left, above, left_above) as u16;
            }
            at += 1;
            continue;
        }
        let Some(mut run) = components.first().map(|lines| lines.run) else { return };
        let end = at + coder.run(&mut run, columns + 1 - at);
        for lines in components.iter_mut() {
            let left = lines.line[at - 1];
            lines.line[at..end].fill(left);
        }
        at = end;
        if at <= columns {
            for lines in components.iter_mut() {
                let (left, above) = (lines.line[at - 1].into(), lines.above[at].into());
                lines.line[at] = coder.run_end_by_above(run, left, above) as u16;
            }
            run.lower();
            at += 1;
        }
        components[0].run = run;
    }
}
