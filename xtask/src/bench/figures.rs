//! What a few rounds came to.

use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::table::Table;

/// The middle of some figures, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Result<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (Some(&least), Some(&most)) = (figures.first(), figures.last()) else {
            anyhow::bail!("nothing was measured: expected at least one round");
        };
        let middle = figures.len() / 2;
        let median =
            if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) };
        Ok(Self { median, least, most })
    }

    pub(crate) fn json(self) -> Value {
        json!({ "median": self.median, "min": self.least, "max": self.most })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, least, most] = [self.median, self.least, self.most].map(short);
        write!(f, "{median} ({least}..{most})")
    }
}

/// Three significant digits, and every digit before the point.
pub(crate) fn short(figure: f64) -> String {
    if figure != 0.0 && figure.abs() < 0.01 {
        return format!("{figure:.1e}");
    }
    let digits = match figure.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{figure:.digits$}")
}

/// A number of an answer.
pub(crate) fn number(answer: &Value, name: &str) -> Result<f64> {
    answer.get(name).and_then(Value::as_f64).with_context(|| format!("an answer has no number `{name}`: {answer}"))
}

/// Numbers of some answers.
pub(crate) fn numbers(answers: &[Value], name: &str) -> Result<Vec<f64>> {
    answers.iter().map(|answer| number(answer, name)).collect()
}

/// The rate of each pass: one number of its answer over another.
pub(crate) fn rates(answers: &[Value], of: &str, over: &str) -> Result<Vec<f64>> {
    Ok(numbers(answers, of)?.into_iter().zip(numbers(answers, over)?).map(|(of, over)| of / over).collect())
}

/// The verdict of a bar that is not kept.
const MISSED: &str = "missed";

/// A bound that is to be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Bar {
    /// The words that a table and a reader of JSON get.
    pub(crate) fn verdict(self, figure: f64) -> &'static str {
        let met = match self {
            Self::AtLeast(bar) => figure >= bar,
            Self::AtMost(bar) => figure <= bar,
            Self::Below(bar) => figure < bar,
        };
        if met { "met" } else { MISSED }
    }
}

/// A figure by its name, and the bar that it is held against, if it is.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) bar: Option<Bar>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, bar: Option<Bar>) -> Self {
        Self { name: name.into(), value, bar }
    }

    /// What was not measured, and is no number, meets no bar.
    pub(crate) fn verdict(&self) -> Option<&'static str> {
        self.bar.map(|bar| bar.verdict(self.value))
    }

    fn json(&self) -> Value {
        let bar = self.bar.map(|bar| bar.to_string());
        json!({ "figure": self.name, "value": self.value, "bar": bar, "verdict": self.verdict() })
    }

    /// As programs read them.
    pub(crate) fn list(figures: &[Self]) -> Value {
        figures.iter().map(Self::json).collect()
    }

    /// As people read them.
    pub(crate) fn table(figures: &[Self]) -> Table {
        let mut table = Table::new(&["", "figure", "bar", ""]);
        for figure in figures {
            let bar = figure.bar.map(|bar| bar.to_string()).unwrap_or_default();
            let verdict = figure.verdict().unwrap_or_default().to_owned();
            table.row(vec![figure.name.clone(), short(figure.value), bar, verdict]);
        }
        table
    }
}

/// Fails where a bar was missed: whoever runs this in a script must not have to read the table. What is looked through is the JSON of
/// the figures, in which every bar has a `verdict` beside the name of its `figure` or `contender`.
///
/// # Errors
/// The names of all of them.
pub(crate) fn all_met(figures: &Value) -> Result<()> {
    let missed = missed(figures);
    if !missed.is_empty() {
        anyhow::bail!("{} of the bars missed: {}", missed.len(), missed.join("; "));
    }
    Ok(())
}

fn missed(figures: &Value) -> Vec<String> {
    let within: Vec<String> = match figures {
        Value::Array(all) => all.iter().flat_map(missed).collect(),
        Value::Object(all) => all.values().flat_map(missed).collect(),
        _ => Vec::new(),
    };
    let name = ["figure", "contender"].iter().find_map(|name| figures[*name].as_str());
    let own = name.filter(|_| figures["verdict"] == MISSED);
    own.map(|name| format!("{name}, expected {}", figures["bar"].as_str().unwrap_or_default()))
        .into_iter()
        .chain(within)
        .collect()
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bar) => write!(f, ">= {bar}"),
            Self::AtMost(bar) => write!(f, "<= {bar}"),
            Self::Below(bar) => write!(f, "< {bar}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_of_odd_and_of_even_rounds() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).unwrap(), Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 8.0]).unwrap().median, 3.0);
        assert!(Spread::of([]).is_err());
    }

    #[test]
    fn figures_keep_three_digits() {
        let spread = Spread { median: 12_345.6, least: 9.876, most: 0.012_34 };
        assert_eq!(spread.to_string(), "12346 (9.88..0.012)");
        assert_eq!([0.0, 0.000_059].map(short), ["0.000", "5.9e-5"]);
    }

    #[test]
    fn a_missed_bar_is_named_wherever_it_is() {
        let row = |figure: &str, verdict: Value| json!({ "figure": figure, "bar": "< 3", "verdict": verdict });
        let fine = json!({ "a": [row("memory", "met".into()), row("disk", Value::Null)], "rounds": 5 });
        all_met(&fine).unwrap();
        let wrong = json!({ "fine": fine, "b": { "c": [row("seconds", "missed".into())] } });
        assert_eq!(all_met(&wrong).unwrap_err().to_string(), "1 of the bars missed: seconds, expected < 3");
    }

    #[test]
    fn a_bar_is_met_from_its_own_side() {
        assert_eq!(Bar::AtLeast(2.0).verdict(2.0), "met");
        assert_eq!(Bar::AtLeast(2.0).verdict(1.99), "missed");
        assert_eq!(Bar::Below(15.0).verdict(15.0), "missed");
        assert_eq!(Bar::AtMost(15.0).verdict(15.0), "met");
        let bars = [Bar::AtLeast(0.0), Bar::AtMost(1.0), Bar::Below(1.0)];
        assert_eq!(bars.map(|bar| bar.verdict(f64::NAN)), ["missed"; 3], "what was not measured");
    }
}
