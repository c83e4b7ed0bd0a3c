//! Charts, drawn by plotters as SVG that the page's style sheet colours.

mod axis;

use std::borrow::Cow;

use maud::{Markup, PreEscaped, html};
use plotters::chart::ChartBuilder;

use plotters::coord::ranged1d::Ranged as _;
use plotters::drawing::IntoDrawingArea as _;
use plotters::element::{PathElement, Rectangle};
use plotters::prelude::SVGBackend;
use plotters::style::{Color as _, IntoFont as _, ShapeStyle};

pub(super) use axis::Axis;

use super::ReportError;
use super::palette::Ink;
use super::series::{Point, thin};

/// Drawn larger than shown, because the library rounds to whole pixels.
const OVERSAMPLING: u32 = 4;
/// Height of letters in pixels, as shown.
const LETTERS: f64 = 12.5;
/// The library divides the height it is given by this.
const LETTERS_FACTOR: f64 = 1.24;

/// Width and height in pixels, as shown at full size.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// For courses over time.
    Wide,
    /// For two quantities of the same kind, and what stands beside them.
    Square,
    /// For one of many alike.
    Small,
}

impl Shape {
    fn size(self) -> (u32, u32) {
        match self {
            Self::Wide => (560, 270),
            Self::Square => (400, 372),
            Self::Small => (290, 272),
        }
    }
}

/// How strong a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// What is to be read.
    Strong,
    /// What stands behind it.
    Faint,
}

/// One thing drawn between the axes.
pub(super) enum Mark {
    /// A curve; it is broken where a value is not finite.
    Line(Vec<Point>, Ink, Stroke),
    /// Bars that stand on the axis: left end, right end, height.
    Bars(Vec<(f64, f64, f64)>, Ink),
    /// A line over the whole height.
    Rule(f64),
}

/// Two axes and what is drawn between them.
pub(super) struct Chart {
    /// What is shown, for readers who do not see it.
    pub(super) label: String,
    pub(super) shape: Shape,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// From the back to the front.
    pub(super) marks: Vec<Mark>,
}

impl Chart {
    /// Draws the chart.
    ///
    /// # Errors
    /// [`ReportError::Chart`].
    pub(super) fn draw(&self) -> Result<Markup, ReportError> {
        let svg = self.draw_svg().map_err(|source| ReportError::Chart { chart: self.label.clone(), source })?;
        Ok(html! { div.chart role="img" aria-label=(self.label) { (PreEscaped(svg)) } })
    }

    fn draw_svg(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let mut svg = String::new();
        {
            let (width, height) = self.shape.size();
            let root =
                SVGBackend::with_string(&mut svg, (width * OVERSAMPLING, height * OVERSAMPLING)).into_drawing_area();
            let text = ("sans-serif", LETTERS * LETTERS_FACTOR * f64::from(OVERSAMPLING)).into_font();
            let text = text.color(&Ink::Text.rgb());
            let below = if self.x.title().is_some() { 40 } else { 24 };
            let mut area = ChartBuilder::on(&root)
                .margin_top(pixels(10))
                .margin_right(pixels(14))
                .x_label_area_size(pixels(below))
                .y_label_area_size(pixels(46))
                .build_cartesian_2d(self.x.clone(), self.y.clone())?;
            let mut mesh = area.configure_mesh();
            mesh.disable_x_mesh()
                .bold_line_style(line(Ink::Grid, 1.0, 1.0))
                .axis_style(line(Ink::Guide, 1.0, 1.0))
                .set_all_tick_mark_size(pixels(5))
                .label_style(text.clone())
                .axis_desc_style(text);
            if let Some(title) = self.x.title() {
                mesh.x_desc(title);
            }
            mesh.draw()?;
            for mark in &self.marks {
                match mark {
                    Mark::Line(points, ink, stroke) => {
                        let style = match stroke {
                            Stroke::Strong => line(*ink, 2.0, 1.0),
                            Stroke::Faint => line(*ink, 1.2, 0.45),
                        };
                        area.draw_series(pieces(points).into_iter().map(|piece| PathElement::new(piece, style)))?;
                    }
                    Mark::Bars(bars, ink) => {
                        let style = ink.rgb().mix(0.85).filled();
                        area.draw_series(bars.iter().filter(|bar| bar.2 > 0.0).map(|&(left, right, height)| {
                            Rectangle::new([(left, self.y.range().start), (right, height)], style)
                        }))?;
                    }
                    Mark::Rule(x) => {
                        let height = self.y.range();
                        let path = vec![(*x, height.start), (*x, height.end)];
                        area.draw_series([PathElement::new(path, line(Ink::Grid, 1.0, 1.0))])?;
                    }
                }
            }
            root.present()?;
        }
        Ok(svg)
    }
}

/// The parts of a curve without holes.
fn pieces(points: &[Point]) -> Vec<Vec<Point>> {
    let parts = points.split(|(x, y)| !x.is_finite() || !y.is_finite());
    parts.filter(|part| !part.is_empty()).map(thin).collect()
}

fn pixels(shown: u32) -> u32 {
    shown * OVERSAMPLING
}

fn line(ink: Ink, width: f64, opacity: f64) -> ShapeStyle {
    ShapeStyle {
        color: ink.rgb().mix(opacity),
        filled: false,
        stroke_width: (width * f64::from(OVERSAMPLING)).round() as u32,
    }
}

/// A chart with a heading, what it shows, and a legend when it holds more than one thing.
pub(super) fn figure(
    title: &str,
    about: impl Into<Cow<'static, str>>,
    legend: &[(Ink, Stroke, String)],
    chart: &Markup,
) -> Markup {
    html! {
        figure {
            figcaption {
                h4 { (title) }
                p { (about.into()) }
                @if !legend.is_empty() {
                    ul.legend {
                        @for (ink, stroke, label) in legend {
                            li {
                                i.faint[*stroke == Stroke::Faint] style={ "background:" (ink.variable()) } {}
                                (label)
                            }
                        }
                    }
                }
            }
            (chart)
        }
    }
}
