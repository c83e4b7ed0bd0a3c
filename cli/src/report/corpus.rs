//! The section on the corpus: which frames there are, and which files were refused.

use std::collections::BTreeMap;

use maud::{Markup, html};
use vismae_core::spec::Modality;
use vismae_shards::manifest::Manifest;
use vismae_shards::split::Split;

use super::gather::Corpus;
use super::gather::Refused;
use super::number;
use super::table::{Cell, Table, Tables};

/// Shows a corpus version.
pub(super) fn section(corpus: &Corpus, tables: &mut Tables) -> Markup {
    let Some((manifest, refused)) = &corpus.content else {
        return html! {
            h3 { (corpus.name) ", version " (corpus.version) }
            p.note { "This version is not in the store any more, so there is nothing to say about its frames." }
        };
    };
    let (frames, refusals) = (frames(manifest), refusals(manifest, refused));
    let recipe = &manifest.recipe;
    let body = html! {
        h3 { (manifest.corpus) ", version " (manifest.version) }
        p.lead {
            (number::counted(manifest.counts.frames, "frame")) " of "
            (recipe.image_size) "\u{202f}×\u{202f}" (recipe.image_size) " pixels in "
            (number::counted(manifest.shards.len() as u64, "shard")) "; CT windowed "
            (windows(&recipe.ct_windows)) " HU, MR and PET scaled between the percentiles "
            (recipe.percentiles[0]) " and " (recipe.percentiles[1]) ". Patients never straddle splits."
        }
        @if !manifest.classes.is_empty() { p.about { "Classes: " (manifest.classes.join(", ")) "." } }
        (bars(manifest))
        (frames.to_html())
        @if refused.is_empty() {
            p.note { "No file was refused." }
        } @else {
            h4 { "Refused files" }
            p.about { "Files that are not in the corpus; the store's quarantine list names each with its reason." }
            (refusals.to_html())
        }
    };
    tables.add(frames);
    tables.add(refusals);
    body
}

fn windows(windows: &[[f64; 2]]) -> String {
    let one = |&[low, high]: &[f64; 2]| format!("from {} to {}", signed(low), signed(high));
    windows.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn signed(value: f64) -> String {
    value.to_string().replace('-', "−")
}

type Sums = BTreeMap<(Modality, Split), u64>;

fn sums(manifest: &Manifest) -> Sums {
    let mut sums = Sums::new();
    for shard in &manifest.shards {
        *sums.entry((shard.modality, shard.split)).or_default() += shard.rows;
    }
    sums
}

fn present(sums: &Sums) -> impl Iterator<Item = (Modality, [u64; 3])> {
    let row = |modality| Split::ALL.map(|split| sums.get(&(modality, split)).copied().unwrap_or(0));
    Modality::ALL
        .into_iter()
        .map(move |modality| (modality, row(modality)))
        .filter(|(_, row)| row.iter().sum::<u64>() > 0)
}

fn frames(manifest: &Manifest) -> Table {
    let mut table = Table::new("corpus", &["modality", "train", "val", "test", "all"]);
    let mut all = [0; 3];
    for (modality, row) in present(&sums(manifest)) {
        all = [0, 1, 2].map(|split: usize| all[split] + row[split]);
        table.push(cells(modality.word(), row));
    }
    table.push(cells("all", all));
    table
}

fn cells(name: &str, row: [u64; 3]) -> Vec<Cell> {
    let counts = row.into_iter().chain([row.iter().sum()]).map(Cell::count);
    std::iter::once(Cell::text(name)).chain(counts).collect()
}

/// A bar for each modality, as long as it has frames, cut by split.
fn bars(manifest: &Manifest) -> Markup {
    let sums = sums(manifest);
    let longest = present(&sums).map(|(_, row)| row.iter().sum::<u64>()).max().unwrap_or(1);
    html! {
        div.bars role="img" aria-label="frames by modality and split" {
            @for (modality, row) in present(&sums) {
                span { (modality.word()) }
                div {
                    @for (split, frames) in Split::ALL.into_iter().zip(row) {
                        @if frames > 0 {
                            i class=(split.word()) style=(format!("width:{:.3}%", frames as f64 / longest as f64 * 100.0)) {}
                        }
                    }
                }
            }
        }
        ul.legend.splits { @for split in Split::ALL { li { i class=(split.word()) {} (split.word()) } } }
    }
}

fn refusals(manifest: &Manifest, refused: &Refused) -> Table {
    let mut table = Table::new("quarantine", &["source", "stage", "reason", "files"]);
    for ((source, stage, reason), files) in refused {
        let source = if source.is_empty() { &manifest.corpus } else { source };
        table.push(vec![Cell::text(source), Cell::text(stage), Cell::text(reason), Cell::count(*files)]);
    }
    table
}
