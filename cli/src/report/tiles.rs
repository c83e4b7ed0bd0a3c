//! The key figures at the top of the page.

use maud::{Markup, html};

use super::comparison::{Comparison, Finetuned};
use super::gather::{Corpus, Pretrained, Segmented};
use super::number;
use vismae_shards::runs::ClassifyResults;

/// One key figure.
pub(super) struct Tile {
    title: String,
    value: String,
    note: String,
}

/// What a corpus holds.
pub(super) fn corpus(corpus: &Corpus) -> Option<Tile> {
    let (manifest, _) = corpus.content.as_ref()?;
    let counts = &manifest.counts;
    Some(Tile {
        title: "Frames".to_owned(),
        value: number::count(counts.frames),
        note: format!("{} labelled, {} with a mask", number::count(counts.labels), number::count(counts.masks)),
    })
}

/// How fast and how far a pre-training went.
pub(super) fn pretrained(run: &Pretrained) -> Vec<Tile> {
    let results = &run.results;
    let mut tiles = Vec::new();
    if let (Some(first), Some(last)) = (results.first_epoch_loss, results.last_epoch_loss) {
        tiles.push(Tile {
            title: "Masked-patch loss".to_owned(),
            value: format!("{} → {}", number::brief(first), number::brief(last)),
            note: format!("first and last of {}; {} left", epochs(results.epochs), number::per_cent(last / first)),
        });
    }
    tiles.push(Tile {
        title: "Images per second".to_owned(),
        value: number::significant(results.images_per_second),
        note: format!("pre-training, {} on {}", number::counted(results.world_size.into(), "rank"), results.device),
    });
    tiles
}

/// How well classes are told apart.
pub(super) fn classified(comparison: &Comparison<'_, ClassifyResults>) -> Option<Tile> {
    versus("AUC", comparison, |run| run.auc)
}

/// How well masks overlap.
pub(super) fn segmented(comparison: &Comparison<'_, Segmented>) -> Option<Tile> {
    versus("Dice", comparison, |run| run.results.dice)
}

fn versus<R: Finetuned>(score: &str, comparison: &Comparison<'_, R>, of: fn(&R) -> Option<f64>) -> Option<Tile> {
    let lead = comparison.lead();
    let value = of(lead.run)?;
    let note = match comparison.baseline().map(|baseline| of(baseline.run)) {
        Some(Some(baseline)) => {
            format!("pre-trained; {} from random weights ({})", number::score(baseline), number::gain(value - baseline))
        }
        _ if lead.is_baseline() => "random weights; no pre-trained run beside it".to_owned(),
        _ => "pre-trained; no run from random weights beside it".to_owned(),
    };
    Some(Tile { title: format!("{score}, {}", lead.name), value: number::score(value), note })
}

fn epochs(count: u32) -> String {
    number::counted(count.into(), "epoch")
}

/// The tiles side by side.
pub(super) fn render(tiles: &[Tile]) -> Markup {
    html! {
        dl.tiles {
            @for tile in tiles {
                div {
                    dt { (tile.title) }
                    dd { strong { (tile.value) } span { (tile.note) } }
                }
            }
        }
    }
}
