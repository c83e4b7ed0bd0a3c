//! Tables, shown with few digits in the page and with all of them in CSV.

use maud::{Markup, html};

use super::ReportError;
use super::number;

/// One value of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// Words.
    Text(String),
    /// A number, as the page shows it and as CSV holds it.
    Number {
        /// In the page.
        shown: String,
        /// In CSV.
        exact: String,
    },
    /// Nothing is known.
    Absent,
}

impl Cell {
    /// Words.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A whole number.
    pub(super) fn count(value: u64) -> Self {
        Self::Number { shown: number::count(value), exact: value.to_string() }
    }

    /// A number shown by one of the functions of [`number`].
    pub(super) fn number(value: impl Into<Option<f64>>, show: fn(f64) -> String) -> Self {
        match value.into().filter(|value| value.is_finite()) {
            Some(value) => Self::Number { shown: show(value), exact: value.to_string() },
            None => Self::Absent,
        }
    }

    fn shown(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number { shown, .. } => shown,
            Self::Absent => number::ABSENT,
        }
    }

    fn exact(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number { exact, .. } => exact,
            Self::Absent => "",
        }
    }
}

/// A table with one heading for each column; the first column names the row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table; the name becomes that of its CSV file.
    pub(super) fn new(name: impl Into<String>, columns: &[&str]) -> Self {
        Self { name: name.into(), columns: columns.iter().map(|&column| column.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub(super) fn push(&mut self, row: Vec<Cell>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a row of table `{}`", self.name);
        self.rows.push(row);
    }

    /// The stem of the CSV file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// All digits, under one header line.
    pub(super) fn to_csv(&self) -> Result<Vec<u8>, ReportError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.columns)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(Cell::exact))?;
        }
        writer.into_inner().map_err(|error| ReportError::Table(error.into_error().into()))
    }

    fn holds_words(&self, column: usize) -> bool {
        self.rows.iter().all(|row| matches!(row[column], Cell::Text(_)))
    }

    /// For the page.
    pub(super) fn to_html(&self) -> Markup {
        html! {
            div.scroll {
                table {
                    thead {
                        tr {
                            @for (index, column) in self.columns.iter().enumerate() {
                                th.words[self.holds_words(index)] scope="col" { (column) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (index, cell) in row.iter().enumerate() {
                                    @if index == 0 { th scope="row" { (cell.shown()) } }
                                    @else if matches!(cell, Cell::Text(_)) { td.words { (cell.shown()) } }
                                    @else { td { (cell.shown()) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The tables of a report, each name once.
#[derive(Debug, Default)]
pub(super) struct Tables {
    all: Vec<Table>,
}

impl Tables {
    /// Adds a table, or its rows to the table of that name.
    pub(super) fn add(&mut self, table: Table) {
        match self.all.iter_mut().find(|known| known.name == table.name) {
            Some(known) => known.rows.extend(table.rows),
            None => self.all.push(table),
        }
    }

    /// Those that have rows.
    pub(super) fn into_filled(self) -> Vec<Table> {
        self.all.into_iter().filter(|table| !table.rows.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_rounds_and_csv_does_not() {
        let mut table = Table::new("t", &["run", "auc", "frames"]);
        table.push(vec![Cell::text("a, b"), Cell::number(0.123_456, number::score), Cell::count(1234)]);
        table.push(vec![Cell::text("<c>"), Cell::number(None, number::score), Cell::number(f64::NAN, number::score)]);
        let csv = String::from_utf8(table.to_csv().unwrap()).unwrap();
        assert_eq!(csv, "run,auc,frames\n\"a, b\",0.123456,1234\n<c>,,\n");
        let html = table.to_html().into_string();
        assert!(html.contains("<td>0.123</td>") && html.contains("&lt;c&gt;"), "{html}");
    }
}
