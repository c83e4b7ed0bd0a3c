//! Fine-tunes that are read side by side: the same task on the same frames, from different first weights.

use maud::{Markup, html};
use vismae_shards::runs::ClassifyResults;

use super::gather::Segmented;
use super::palette::Ink;

/// The word by which results say that nothing was loaded.
const RANDOM: &str = "random";

/// What every fine-tune says of itself.
pub(super) trait Finetuned {
    /// What it learned, for the names of tables.
    const TASK: &'static str;
    /// What it is judged by.
    const SCORE: &'static str;
    /// That score on test.
    fn score(&self) -> Option<f64>;
    /// What it was told, by key.
    fn settings(&self) -> &[(String, String)];
    /// Where its first weights came from.
    fn init(&self) -> &str;
    /// The sources and the modalities it was restricted to.
    fn selection(&self) -> (&[String], &[String]);
    /// The epoch whose weights were kept, from 0, and how many there were.
    fn best_epoch(&self) -> (u32, u32);
}

impl Finetuned for ClassifyResults {
    const TASK: &'static str = "classification";
    const SCORE: &'static str = "AUC";

    fn score(&self) -> Option<f64> {
        self.auc
    }

    fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    fn init(&self) -> &str {
        &self.init
    }

    fn selection(&self) -> (&[String], &[String]) {
        (&self.sources, &self.modalities)
    }

    fn best_epoch(&self) -> (u32, u32) {
        (self.best_epoch, self.epochs)
    }
}

impl Finetuned for Segmented {
    const TASK: &'static str = "segmentation";
    const SCORE: &'static str = "Dice";

    fn score(&self) -> Option<f64> {
        self.results.dice
    }

    fn settings(&self) -> &[(String, String)] {
        &self.results.settings
    }

    fn init(&self) -> &str {
        &self.results.init
    }

    fn selection(&self) -> (&[String], &[String]) {
        (&self.results.sources, &self.results.modalities)
    }

    fn best_epoch(&self) -> (u32, u32) {
        (self.results.best_epoch, self.results.epochs)
    }
}

/// One run of a comparison.
pub(super) struct Entry<'r, R> {
    pub(super) name: &'r str,
    pub(super) ink: Ink,
    pub(super) run: &'r R,
}

impl<R: Finetuned> Entry<'_, R> {
    /// Whether it starts from random weights.
    pub(super) fn is_baseline(&self) -> bool {
        self.run.init() == RANDOM
    }

    /// Its first weights in words.
    pub(super) fn start(&self) -> String {
        if self.is_baseline() { "random weights".to_owned() } else { format!("pre-trained ({})", self.run.init()) }
    }

    /// Whether it was best at its last epoch, so that more of them might have made it better.
    pub(super) fn was_still_learning(&self) -> bool {
        let (best, epochs) = self.run.best_epoch();
        best + 1 >= epochs
    }

    /// Its line in a legend.
    pub(super) fn label(&self) -> String {
        format!("{}: {}", self.name, if self.is_baseline() { "random weights" } else { "pre-trained" })
    }
}

/// A colour for each of some runs, by what they start from.
pub(super) fn inks<'r, R: Finetuned + 'r>(runs: impl Iterator<Item = &'r R>) -> Vec<Ink> {
    let (mut from_weights, mut from_nothing) =
        ([Ink::Blue, Ink::Green].into_iter().cycle(), [Ink::Orange, Ink::Purple].into_iter().cycle());
    let ink = |run: &R| {
        let inks = if run.init() == RANDOM { &mut from_nothing } else { &mut from_weights };
        inks.next().unwrap_or(Ink::Text)
    };
    runs.map(ink).collect()
}

/// Runs of the same task on the same frames.
pub(super) struct Comparison<'r, R> {
    pub(super) entries: Vec<Entry<'r, R>>,
}

impl<'r, R: Finetuned> Comparison<'r, R> {
    /// A word on runs that were cut off while they still got better: what they are worth is not known from this.
    pub(super) fn unfinished(&self) -> Markup {
        let names: Vec<&str> =
            self.entries.iter().filter(|entry| entry.was_still_learning()).map(|entry| entry.name).collect();
        html! {
            @if !names.is_empty() {
                p.note {
                    "Best at the last epoch: " (names.join(", ")) ". With more epochs the scores may rise, and the distance \
                     between pre-trained and random weights, which learn more slowly, may shrink."
                }
            }
        }
    }

    /// Groups runs by the frames they saw, in the order they come in.
    pub(super) fn group(runs: impl Iterator<Item = (&'r str, &'r R)>) -> Vec<Self> {
        let mut groups: Vec<Vec<(&str, &R)>> = Vec::new();
        for (name, run) in runs {
            match groups.iter_mut().find(|group| group[0].1.selection() == run.selection()) {
                Some(group) => group.push((name, run)),
                None => groups.push(vec![(name, run)]),
            }
        }
        groups.into_iter().map(Self::coloured).collect()
    }

    /// Runs in this order, each with a colour.
    pub(super) fn coloured(runs: Vec<(&'r str, &'r R)>) -> Self {
        let inks = inks(runs.iter().map(|(_, run)| *run));
        let entry = |((name, run), ink)| Entry { name, ink, run };
        Self { entries: runs.into_iter().zip(inks).map(entry).collect() }
    }

    /// The run that headlines: the first from pre-trained weights, or the first.
    pub(super) fn lead(&self) -> &Entry<'r, R> {
        self.entries.iter().find(|entry| !entry.is_baseline()).unwrap_or(&self.entries[0])
    }

    /// The frames in words.
    pub(super) fn frames(&self) -> String {
        let (sources, modalities) = self.entries[0].run.selection();
        match (sources, modalities) {
            ([], []) => "every frame of the corpus that has a target".to_owned(),
            (sources, []) => format!("frames of {}", sources.join(", ")),
            ([], modalities) => format!("{} frames", modalities.join(", ")),
            (sources, modalities) => format!("{} frames of {}", modalities.join(", "), sources.join(", ")),
        }
    }
}
