//! What a command says: text for people, or JSON for programs.

use std::io::{self, ErrorKind, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::{Exit, Failure};

/// In what form results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    Text,
    /// One JSON value; one on each line where results come one after another.
    Json,
}

impl Format {
    /// Writes a result to standard output.
    pub(crate) fn result<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let written = match self {
            Self::Text => text(value),
            Self::Json => serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::WorkFailed, error))?,
        };
        write_line(&written)
    }

    /// Writes one of many results that come one after another.
    pub(crate) fn item<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let written = match self {
            Self::Text => text(value),
            Self::Json => serde_json::to_string(value).map_err(|error| Failure::new(Exit::WorkFailed, error))?,
        };
        write_line(&written)
    }

    /// Says what goes on, on standard error, to people only.
    pub(crate) fn remark(self, text: &str) {
        if self == Self::Text {
            // A remark that nobody can read is no reason to stop.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// A reader that closed the pipe, such as `head`, has what it wanted: the command ends, and well.
fn write_line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::silent(Exit::Success)),
        outcome => outcome.map_err(|error| Failure::new(Exit::WorkFailed, error)),
    }
}

/// Lays rows out below their headers.
pub(crate) fn table<const N: usize>(headers: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headers);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A number as people read it: whole numbers plainly, others with four digits that matter.
pub(crate) fn figure(value: f64) -> String {
    if value.fract() == 0.0 {
        return value.to_string();
    }
    let digits = value.abs().log10().floor();
    let decimals = (3.0 - digits).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.98765, "0.9877"),
            (12.3456, "12.35"),
            (1234.56, "1235"),
            (98765.0, "98765"),
            (98765.4, "98765"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!(figure(0.000_012_3), "0.000012");
    }

    #[test]
    fn a_table_lines_up_without_trailing_blanks() {
        let text = table(["NAME", "N"], [["a".to_owned(), "1".to_owned()], ["longer".to_owned(), "2".to_owned()]]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("NAME"), "{lines:?}");
        assert!(lines.iter().all(|line| *line == line.trim_end()), "{lines:?}");
        assert_eq!(lines[1].find('1'), lines[2].find('2'));
    }
}
