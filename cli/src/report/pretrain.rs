//! The section on pre-training: what was run, its curves, and what the network makes of hidden patches.

use maud::{Markup, html};
use vismae_shards::runs::StepRow;

use super::ReportError;
use super::chart::{Axis, Chart, Mark, Shape, Stroke, figure};
use super::figure::data_uri;
use super::gather::{Example, Pretrained};
use super::number;
use super::palette::Ink;
use super::series::{Point, smooth, span};
use super::table::{Cell, Table, Tables};

/// A loss that falls by more than this factor is drawn by ratios.
const LOSS_RATIO: f64 = 4.0;
/// More epochs than this are not marked in charts.
const EPOCH_RULES_MAX: usize = 60;

/// Draws a pre-training.
pub(super) fn section(name: &str, run: &Pretrained, tables: &mut Tables) -> Result<Markup, ReportError> {
    let results = &run.results;
    tables.add(facts_table(name, run));
    Ok(html! {
        h3 { (name) }
        p.lead {
            (results.model) " learns to fill in hidden patches of "
            (number::count(results.samples_seen)) " images seen over "
            (number::counted(results.epochs.into(), "epoch")) "."
        }
        (facts(run))
        (charts(run)?)
        (grid(&run.examples)?)
    })
}

fn facts(run: &Pretrained) -> Markup {
    let results = &run.results;
    let loss = |value: Option<f64>| value.map_or_else(|| number::ABSENT.to_owned(), number::significant);
    let rows = [
        ("Trainable parameters", number::count(results.parameters)),
        ("Corpus", format!("{}, version {}", results.corpus, results.corpus_version)),
        ("Steps", number::count(results.steps)),
        ("Ranks", format!("{} on {}", results.world_size, results.device)),
        ("Time", number::duration(results.seconds)),
        ("Images per second", number::significant(results.images_per_second)),
        ("Waiting for data", waiting(&run.steps).map_or_else(|| number::ABSENT.to_owned(), number::per_cent)),
        ("Loss, first epoch", loss(results.first_epoch_loss)),
        ("Loss, last epoch", loss(results.last_epoch_loss)),
    ];
    html! {
        dl.facts { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
    }
}

fn facts_table(name: &str, run: &Pretrained) -> Table {
    let results = &run.results;
    let mut table = Table::new(
        "pretraining",
        &[
            "run",
            "model",
            "parameters",
            "corpus",
            "corpus version",
            "ranks",
            "device",
            "epochs",
            "steps",
            "samples seen",
            "seconds",
            "images per second",
            "first epoch loss",
            "last epoch loss",
        ],
    );
    table.push(vec![
        Cell::text(name),
        Cell::text(&results.model),
        Cell::count(results.parameters),
        Cell::text(&results.corpus),
        Cell::count(results.corpus_version),
        Cell::count(results.world_size.into()),
        Cell::text(&results.device),
        Cell::count(results.epochs.into()),
        Cell::count(results.steps),
        Cell::count(results.samples_seen),
        Cell::number(results.seconds, number::significant),
        Cell::number(results.images_per_second, number::significant),
        Cell::number(results.first_epoch_loss, number::significant),
        Cell::number(results.last_epoch_loss, number::significant),
    ]);
    table
}

/// Share of the steps' time that went by before their batch was there.
fn waiting(steps: &[StepRow]) -> Option<f64> {
    let (waited, whole) =
        steps.iter().fold((0.0, 0.0), |(waited, whole), row| (waited + row.data_seconds, whole + row.step_seconds));
    (whole > 0.0).then_some(waited / whole)
}

fn charts(run: &Pretrained) -> Result<Markup, ReportError> {
    let steps = &run.steps;
    let curve =
        |of: fn(&StepRow) -> f64| -> Vec<Point> { steps.iter().map(|row| (row.step as f64, of(row))).collect() };
    let loss = curve(|row| row.loss);
    let Some(loss_axis) = Axis::around(loss.iter().map(|point| point.1), LOSS_RATIO) else {
        return Ok(html! { p.note { "This run left no record of its steps, so there are no curves." } });
    };
    let by_ratio = if loss_axis.is_logarithmic() { ", logarithmic" } else { "" };
    let rate = curve(|row| f64::from(row.samples) / row.step_seconds);
    let norm = curve(|row| row.gradient_norm);
    let learning_rate = curve(|row| row.learning_rate);
    let rules = epoch_rules(steps);
    let epochs = if rules.is_empty() { "" } else { "; a vertical line begins an epoch" };
    let draw = |label: &str, y: Axis, marks: Vec<Mark>| {
        let marks = rules.iter().map(|&step| Mark::Rule(step)).chain(marks).collect();
        Chart { label: label.to_owned(), shape: Shape::Wide, x: step_axis(steps), y, marks }.draw()
    };
    Ok(html! {
        div.figures {
            (figure(
                "Loss",
                format!("Mean squared error over masked patches{by_ratio}{epochs}"),
                &raw_and_smooth(),
                &draw("loss over steps", loss_axis, raw_under_smooth(&loss))?,
            ))
            @if let Some(axis) = Axis::from_zero(smooth(&rate, span(rate.len())).iter().map(|point| point.1 * 1.1)) {
                (figure(
                    "Throughput",
                    "Images per second over all ranks, from the time of each step",
                    &raw_and_smooth(),
                    &draw("images per second over steps", axis.clone(), raw_under_smooth(&within(&rate, &axis)))?,
                ))
            }
            @if let Some(axis) = Axis::around(norm.iter().map(|point| point.1), LOSS_RATIO) {
                (figure(
                    "Gradient norm",
                    if axis.is_logarithmic() { "Before clipping, logarithmic" } else { "Before clipping" },
                    &raw_and_smooth(),
                    &draw("gradient norm over steps", axis.clone(), raw_under_smooth(&norm))?,
                ))
            }
            @if let Some(axis) = Axis::from_zero(learning_rate.iter().map(|point| point.1)) {
                (figure(
                    "Learning rate",
                    "As used by each step",
                    &[],
                    &draw(
                        "learning rate over steps",
                        axis,
                        vec![Mark::Line(learning_rate.clone(), Ink::Blue, Stroke::Strong)],
                    )?,
                ))
            }
        }
    })
}

fn step_axis(steps: &[StepRow]) -> Axis {
    let last = steps.last().map_or(1, |row| row.step.max(1));
    Axis::fixed(0.0, last as f64).whole().titled("step")
}

/// First steps of the epochs after the first.
fn epoch_rules(steps: &[StepRow]) -> Vec<f64> {
    let begins = steps.windows(2).filter(|pair| pair[0].epoch != pair[1].epoch);
    let rules: Vec<f64> = begins.map(|pair| pair[1].step as f64).collect();
    if rules.len() > EPOCH_RULES_MAX { Vec::new() } else { rules }
}

/// Without the parts of a curve that an axis does not reach.
fn within(points: &[Point], axis: &Axis) -> Vec<Point> {
    let reached = |value: f64| if axis.reaches(value) { value } else { f64::NAN };
    points.iter().map(|&(x, y)| (x, reached(y))).collect()
}

fn raw_under_smooth(points: &[Point]) -> Vec<Mark> {
    let smoothed = smooth(points, span(points.len()));
    vec![Mark::Line(points.to_vec(), Ink::Blue, Stroke::Faint), Mark::Line(smoothed, Ink::Blue, Stroke::Strong)]
}

fn raw_and_smooth() -> [(Ink, Stroke, String); 2] {
    [(Ink::Blue, Stroke::Strong, "smoothed".to_owned()), (Ink::Blue, Stroke::Faint, "each step".to_owned())]
}

fn grid(examples: &[Example]) -> Result<Markup, ReportError> {
    if examples.is_empty() {
        return Ok(html! { p.note { "This run left no reconstructions." } });
    }
    Ok(html! {
        h4 { "Reconstructions" }
        p.about {
            "Each strip shows an image that was not trained on, what the network saw of it, and what it made of the hidden \
             patches; the number is the mean squared error over those."
        }
        @for examples in examples.chunk_by(|one, other| one.modality == other.modality) {
            div.modality {
                h5 { (examples[0].modality) }
                div.strips { @for example in examples { (strip(example)?) } }
            }
        }
    })
}

fn strip(example: &Example) -> Result<Markup, ReportError> {
    let frames =
        [("original", &example.original), ("masked", &example.masked), ("reconstructed", &example.reconstructed)];
    Ok(html! {
        figure.strip {
            div {
                @for (what, frame) in frames {
                    span {
                        img src=(data_uri(frame)?) alt={ (example.modality) " " (what) }
                            width=(frame.width()) height=(frame.height());
                        small { (what) }
                    }
                }
            }
            @if let Some(loss) = example.loss { figcaption { "MSE " (number::brief(loss)) } }
        }
    })
}
