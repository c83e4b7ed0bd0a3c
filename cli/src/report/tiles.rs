//! The key figures at the top of the page.

use maud::{Markup, html};

use super::comparison::{Comparison, Finetuned};
use super::efficiency::Headline;
use super::gather::{Corpus, Pretrained};
use super::number;

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

/// How well a task was learned; none without a score.
pub(super) fn finetuned<R: Finetuned>(comparison: &Comparison<'_, R>) -> Option<Tile> {
    let Headline { name, score, runs, is_baseline, baseline } = comparison.headline()?;
    let mean = if runs > 1 { format!("mean of {runs} seeds, ") } else { String::new() };
    let note = match baseline {
        Some(baseline) => {
            format!("pre-trained; {} from random weights ({})", number::score(baseline), number::gain(score - baseline))
        }
        None if is_baseline => "random weights; no pre-trained run beside it".to_owned(),
        None => "pre-trained; no run from random weights beside it".to_owned(),
    };
    Some(Tile { title: format!("{}, {name}", R::SCORE), value: number::score(score), note: mean + &note })
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
