//! Images with the outlines of their true and their predicted mask.

use maud::{Markup, html};

use super::super::ReportError;
use super::super::comparison::Entry;
use super::super::figure::data_uri;
use super::super::gather::{Masked, Segmented};
use super::super::number;
use super::super::outline;

/// The examples of a run, from the best to the worst.
pub(super) fn gallery(entry: &Entry<'_, Segmented>) -> Result<Markup, ReportError> {
    let all = &entry.run.results.dice_per_image;
    let overlays = &entry.run.overlays;
    Ok(html! {
        @if !overlays.is_empty() {
            h4 { "Overlays, " (entry.name) }
            p.about { "Examples among the test frames, from the best to the worst" }
            p.keys { span.key.truth { "true outline" } " " span.key.predicted { "predicted outline" } }
            div.gallery {
                @for overlay in overlays {
                    figure.overlay {
                        (drawing(overlay)?)
                        figcaption {
                            strong { "Dice " (number::score(overlay.dice)) }
                            small { (overlay.modality) @if let Some(place) = place(overlay.dice, all) { ", " (place) } }
                        }
                    }
                }
            }
        }
    })
}

fn drawing(overlay: &Masked) -> Result<Markup, ReportError> {
    let (width, height) = (overlay.image.width(), overlay.image.height());
    Ok(html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="img"
            aria-label={ (overlay.modality) " frame with true and predicted outline" } {
            image href=(data_uri(&overlay.image)?) width=(width) height=(height) {}
            path.truth d=(outline::path(&overlay.truth)) {}
            path.predicted d=(outline::path(&overlay.predicted)) {}
        }
    })
}

/// Where a frame stands among all test frames, in words.
fn place(dice: f64, all: &[f64]) -> Option<String> {
    if all.len() < 2 {
        return None;
    }
    let better = all.iter().filter(|other| **other > dice).count();
    let worse = all.iter().filter(|other| **other < dice).count();
    Some(match (better, worse) {
        (0, _) => "best of all".to_owned(),
        (_, 0) => "worst of all".to_owned(),
        _ => format!("better than {}", number::per_cent(worse as f64 / all.len() as f64)),
    })
}
