//! The record of every step of a run, as CSV.

use serde::{Deserialize, Serialize};

use crate::order::RowsDigest;

/// One optimiser step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// Counts from 0 since the run's start.
    pub step: u64,
    /// Counts from 0.
    pub epoch: u32,
    /// Mean over the global batch.
    pub loss: f64,
    /// As used by this step.
    pub learning_rate: f64,
    /// Before clipping.
    pub gradient_norm: f64,
    /// Over all ranks.
    pub samples: u32,
    /// Seconds waited for the batch.
    pub data_seconds: f64,
    /// Seconds of the whole step, the wait included.
    pub step_seconds: f64,
    /// When it was over, in seconds since 1970, by the clock of the rank whose record this is.
    #[serde(default)]
    pub time: f64,
    /// The group of ranks that took it; none outside a pre-training.
    #[serde(default)]
    pub generation: Option<u64>,
    /// The rows that they took, by their places in row groups, whose bytes were checked against the manifest; none outside a pre-training.
    #[serde(default)]
    pub digest: Option<RowsDigest>,
}

/// Mean loss over the samples of one epoch; none where it has no step.
pub fn epoch_loss(rows: &[StepRow], epoch: u32) -> Option<f64> {
    mean_loss(rows.iter().filter(|row| row.epoch == epoch))
}

/// Mean loss over the samples of some steps; none where there is no step.
pub fn mean_loss<'a>(rows: impl IntoIterator<Item = &'a StepRow>) -> Option<f64> {
    let (sum, samples) = rows.into_iter().fold((0.0, 0.0), |(sum, samples), row| {
        (sum + row.loss * f64::from(row.samples), samples + f64::from(row.samples))
    });
    (samples > 0.0).then(|| sum / samples)
}

/// Writes rows under one header line.
///
/// # Errors
/// [`csv::Error`]; rows of numbers do not fail.
pub fn write_steps(rows: &[StepRow]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

/// Reads what [`write_steps`] wrote.
///
/// # Errors
/// [`csv::Error`], naming the line.
pub fn read_steps(bytes: &[u8]) -> Result<Vec<StepRow>, csv::Error> {
    csv::Reader::from_reader(bytes).deserialize().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64) -> StepRow {
        StepRow {
            step,
            epoch: 1,
            loss: 0.1 + 0.2,
            learning_rate: 1e-9,
            gradient_norm: f64::NAN,
            samples: 64,
            data_seconds: 0.0,
            step_seconds: 1.5,
            time: 1.7e9,
            generation: Some(3),
            digest: Some(RowsDigest::default()),
        }
    }

    #[test]
    fn steps_read_back_exactly_even_without_a_number() {
        let bare = StepRow { generation: None, digest: None, ..row(1) };
        let bytes = write_steps(&[row(0), bare]).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with("step,epoch,loss,learning_rate,"), "{text}");
        let read = read_steps(&bytes).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[1].step, read[1].loss, read[1].learning_rate), (1, 0.1 + 0.2, 1e-9));
        assert!(read[0].gradient_norm.is_nan());
        assert_eq!((read[0].generation, read[0].digest), (Some(3), Some(RowsDigest::default())));
        assert_eq!((read[1].generation, read[1].digest), (None, None));
    }

    #[test]
    fn the_loss_of_an_epoch_counts_samples_and_not_steps() {
        let rows = [(0, 9.0, 10), (1, 1.0, 30), (1, 4.0, 10)];
        let rows = rows.map(|(epoch, loss, samples)| StepRow { epoch, loss, samples, ..row(0) });
        assert_eq!(epoch_loss(&rows, 1), Some(1.75));
        assert_eq!(epoch_loss(&rows, 2), None);
    }

    #[test]
    fn a_cut_line_is_an_error_and_no_line_is_none() {
        assert!(read_steps(b"step,epoch\n1,2\n").is_err());
        assert_eq!(read_steps(b"").unwrap(), []);
    }
}
