//! What a run says of itself.

use std::path::Path;

/// One step that was kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) loss: f64,
    /// When it was over, in seconds since 1970.
    pub(super) time: f64,
    pub(super) generation: u64,
}

/// Every step of a run.
pub(super) fn steps(folder: &Path, name: &str) -> Vec<Step> {
    let path = folder.join(name).join(format!("runs/{name}.pretrain/metrics/steps.csv"));
    let text = std::fs::read_to_string(path).expect("the record of steps");
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let column = |name| columns.iter().position(|column| *column == name).expect("a column");
    let (loss, time, generation) = (column("loss"), column("time"), column("generation"));
    let step = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |column: usize| cells[column].parse().expect("a number");
        Step { loss: number(loss), time: number(time), generation: number(generation) as u64 }
    };
    lines.map(step).collect()
}

/// Seconds from a moment to the next step of a group other than the one that took the last before it.
pub(super) fn next_of_another_group(steps: &[Step], moment: f64) -> Option<f64> {
    let before = steps.iter().rev().find(|step| step.time <= moment)?.generation;
    let next = steps.iter().find(|step| step.time > moment && step.generation > before)?;
    Some(next.time - moment)
}

/// The longest time between two steps of which the later one was between two moments.
pub(super) fn gap_after(steps: &[Step], moment: f64, until: f64) -> Option<f64> {
    let ends = |pair: &&[Step]| pair[1].time > moment && pair[1].time <= until;
    steps.windows(2).filter(ends).map(|pair| pair[1].time - pair[0].time).reduce(f64::max)
}

/// Norm of the difference of the weights of two runs, over that of the weights of the second.
pub(super) fn distance(folder: &Path, one: &str, other: &str) -> f64 {
    let read = |name: &str| {
        let path = folder.join(name).join(format!("runs/{name}.pretrain/model/model.safetensors"));
        std::fs::read(path).expect("the weights")
    };
    let (one, other) = (read(one), read(other));
    let (one, other) = (safetensors::SafeTensors::deserialize(&one), safetensors::SafeTensors::deserialize(&other));
    let (one, other) = (one.expect("safetensors"), other.expect("safetensors"));
    let numbers = |bytes: &[u8]| -> Vec<f64> {
        bytes.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
    };
    let (mut difference, mut norm) = (0.0, 0.0);
    for (name, tensor) in other.tensors() {
        if tensor.dtype() != safetensors::Dtype::F32 {
            continue;
        }
        let found = one.tensor(&name).expect("the same tensors");
        for (one, other) in numbers(found.data()).into_iter().zip(numbers(tensor.data())) {
            difference += (one - other).powi(2);
            norm += other.powi(2);
        }
    }
    (difference / norm).sqrt()
}
