//! The page as a whole.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use vismae_shards::runs::ClassifyResults;

use super::comparison::Comparison;
use super::gather::{Gathered, Outcome, Pretrained, Segmented};
use super::table::{Cell, Table, Tables};
use super::{ReportError, classify, corpus, efficiency, number, palette, pretrain, segment, tiles};

const STYLE: &str = include_str!("style.css");

/// One part of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

/// Draws the page, and gives the tables that belong beside it.
pub(super) fn render(gathered: &Gathered) -> Result<(String, Vec<Table>), ReportError> {
    let mut tables = Tables::default();
    let sections = sections(gathered, &mut tables)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (gathered.pipeline) " · vismae report" }
                style { (PreEscaped(palette::style_rules())) (PreEscaped(STYLE)) }
            }
            body {
                (header(gathered, &sections))
                main {
                    (tiles::render(&key_figures(gathered)))
                    @for section in &sections {
                        section id=(section.id) { h2 { (section.title) } (section.body) }
                    }
                }
                footer {
                    "Drawn by vismae " (env!("CARGO_PKG_VERSION"))
                    " from what the jobs left in the store. This page loads nothing and runs nothing."
                }
            }
        }
    };
    Ok((page.into_string(), tables.into_filled()))
}

fn header(gathered: &Gathered, sections: &[Section]) -> Markup {
    html! {
        header {
            p.kicker { "vismae report" }
            h1 { (gathered.pipeline) }
            p.meta {
                @for corpus in &gathered.corpora {
                    span { "corpus " b { (corpus.name) } ", version " (corpus.version) }
                }
                span { (number::counted(gathered.runs.len() as u64, "job")) }
                @if let Some(finished) = &gathered.finished { span { "results of " (finished) } }
            }
            nav { @for section in sections { a href={ "#" (section.id) } { (section.title) } } }
        }
    }
}

fn pretrained(gathered: &Gathered) -> impl Iterator<Item = (&str, &Pretrained)> {
    gathered.runs.iter().filter_map(|run| match &run.outcome {
        Outcome::Pretrained(pretrained) => Some((run.name.as_str(), &**pretrained)),
        _ => None,
    })
}

fn classified(gathered: &Gathered) -> Vec<Comparison<'_, ClassifyResults>> {
    Comparison::group(gathered.runs.iter().filter_map(|run| match &run.outcome {
        Outcome::Classified(classified) => Some((run.name.as_str(), &**classified)),
        _ => None,
    }))
}

fn segmented(gathered: &Gathered) -> Vec<Comparison<'_, Segmented>> {
    Comparison::group(gathered.runs.iter().filter_map(|run| match &run.outcome {
        Outcome::Segmented(segmented) => Some((run.name.as_str(), &**segmented)),
        _ => None,
    }))
}

fn key_figures(gathered: &Gathered) -> Vec<tiles::Tile> {
    let mut figures: Vec<_> = gathered.corpora.iter().filter_map(tiles::corpus).collect();
    figures.extend(pretrained(gathered).flat_map(|(_, run)| tiles::pretrained(run)));
    figures.extend(classified(gathered).iter().filter_map(tiles::finetuned));
    figures.extend(segmented(gathered).iter().filter_map(tiles::finetuned));
    figures
}

fn sections(gathered: &Gathered, tables: &mut Tables) -> Result<Vec<Section>, ReportError> {
    let all = |parts: Vec<Markup>, absent: &str| {
        html! { @if parts.is_empty() { p.note { (absent) } } @for part in parts { div.part { (part) } } }
    };
    let mut runs = Vec::new();
    for (name, run) in pretrained(gathered) {
        runs.push(pretrain::section(name, run, tables)?);
    }
    let pretraining = all(runs, "This pipeline has no pre-training with results.");
    let mut runs = Vec::new();
    for comparison in &classified(gathered) {
        let repeated = efficiency::part(comparison, tables)?;
        runs.push(html! { (repeated) (classify::section(&comparison.representatives(), tables)?) });
    }
    let classification = all(runs, "This pipeline has no classification with results.");
    let mut runs = Vec::new();
    for comparison in &segmented(gathered) {
        let repeated = efficiency::part(comparison, tables)?;
        runs.push(html! { (repeated) (segment::section(&comparison.representatives(), tables)?) });
    }
    let segmentation = all(runs, "This pipeline has no segmentation with results.");
    let corpora = gathered.corpora.iter().map(|corpus| corpus::section(corpus, tables)).collect();
    let corpora = all(corpora, "The results of this pipeline do not name the corpus that they come from.");
    tables.add(settings(gathered));
    Ok(vec![
        Section { id: "pretraining", title: "Pre-training", body: pretraining },
        Section { id: "classification", title: "Classification", body: classification },
        Section { id: "segmentation", title: "Segmentation", body: segmentation },
        Section { id: "corpus", title: "Corpus", body: corpora },
        Section { id: "jobs", title: "Jobs", body: jobs(gathered) },
        Section { id: "reading", title: "How to read this", body: reading() },
    ])
}

fn jobs(gathered: &Gathered) -> Markup {
    html! {
        ul.jobs {
            @for run in &gathered.runs {
                @let (state, words) = match &run.outcome {
                    Outcome::Pretrained(_) => ("done", "pre-trained"),
                    Outcome::Classified(_) => ("done", "fine-tuned for classification"),
                    Outcome::Segmented(_) => ("done", "fine-tuned for segmentation"),
                    Outcome::Ingested => ("done", "ingested; see the corpus"),
                    Outcome::Nothing => ("absent", "no results: it failed, was cancelled, or has not finished"),
                };
                li class=(state) {
                    b { (run.name) }
                    span { (words) }
                    @if !run.outcome.settings().is_empty() {
                        small { @for (key, value) in run.outcome.settings() { span { (key) " = " (value) } } }
                    }
                }
            }
        }
    }
}

/// What every run was told.
fn settings(gathered: &Gathered) -> Table {
    let mut table = Table::new("settings", &["run", "key", "value"]);
    for run in &gathered.runs {
        for (key, value) in run.outcome.settings() {
            table.push(vec![Cell::text(&run.name), Cell::text(key), Cell::text(value)]);
        }
    }
    table
}

fn reading() -> Markup {
    html! {
        dl.reading {
            dt { "Splits" }
            dd {
                "Weights are learned on train, the best epoch is chosen on val, and every score is of test, which neither saw. \
                 A patient is in one split only."
            }
            dt { "Masked-patch loss" }
            dd { "The mean squared error of predicted pixels over the patches that were hidden from the network. Lower is better." }
            dt { "AUC" }
            dd {
                "The chance that a frame of the class scores higher than one of another class: 0.5 is guessing, 1 is perfect. \
                 With more than two classes it is the mean of each class against the rest."
            }
            dt { "Dice" }
            dd {
                "Twice the common area of two masks over the sum of their areas: 0 is apart, 1 is equal. Means are over test \
                 frames whose true mask is not empty."
            }
            dt { "s.e." }
            dd {
                "The standard error that comes from the number of test frames, taken as independent; frames of one patient are \
                 alike, so the true one is larger."
            }
        }
    }
}
