//! What a run says of itself.

use std::collections::BTreeSet;

use super::storage::Storage;

/// How long a step may take that was under way already, in seconds.
const UNDER_WAY: f64 = 1.0;

/// One step that was kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) loss: f64,
    /// When it was over, in seconds since 1970.
    pub(super) time: f64,
    pub(super) generation: u64,
}

/// Every step of a run.
pub(super) fn steps(storage: &Storage, name: &str) -> Vec<Step> {
    let bytes = storage.read(name, &format!("runs/{name}.pretrain/metrics/steps.csv"));
    let text = String::from_utf8(bytes).expect("the record of steps");
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

/// What became of the group of ranks that took the last step before a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aftermath {
    /// It went on: none of its ranks was hit.
    Spared,
    /// Another one took the next step, so many seconds after that moment.
    Replaced(f64),
}

/// What became of the group at a moment; none where there was no step after it.
pub(super) fn aftermath(steps: &[Step], moment: f64) -> Option<Aftermath> {
    let group = steps.iter().rev().find(|step| step.time <= moment)?.generation;
    let last = steps.iter().rev().find(|step| step.generation == group)?;
    if last.time > moment + UNDER_WAY {
        return Some(Aftermath::Spared);
    }
    let next = steps.iter().find(|step| step.time > moment && step.generation > group)?;
    Some(Aftermath::Replaced(next.time - moment))
}

/// The longest time between two steps of which the later one was between two moments.
pub(super) fn gap_after(steps: &[Step], moment: f64, until: f64) -> Option<f64> {
    let ends = |pair: &&[Step]| pair[1].time > moment && pair[1].time <= until;
    steps.windows(2).filter(ends).map(|pair| pair[1].time - pair[0].time).reduce(f64::max)
}

/// Steps that were begun and not kept, each of which the next group takes again: one of every group that broke. Read from what the
/// trainers log.
pub(super) fn aborted(logs: &str) -> u64 {
    let broken = logs.lines().filter(|line| line.contains("the group is broken"));
    let generation = |line: &str| Some(line.split("generation=").nth(1)?.split(' ').next()?.to_owned());
    broken.filter_map(generation).collect::<BTreeSet<_>>().len() as u64
}

/// Steps that a run was taken back by, to a checkpoint, read in the same way: to be done again from where it went on.
pub(super) fn restored(logs: &str) -> u64 {
    logs.lines().filter(|line| line.contains("goes on from a checkpoint")).count() as u64
}

/// Norm of the difference of the weights of two runs, over that of the weights of the second.
pub(super) fn distance(storage: &Storage, one: &str, other: &str) -> f64 {
    let read = |name: &str| storage.read(name, &format!("runs/{name}.pretrain/model/model.safetensors"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(times: &[(f64, u64)]) -> Vec<Step> {
        times.iter().map(|&(time, generation)| Step { loss: 1.0, time, generation }).collect()
    }

    #[test]
    fn a_group_that_breaks_is_told_from_one_that_goes_on_and_grows() {
        let broken = steps(&[(1.0, 1), (2.0, 1), (2.3, 1), (7.5, 2), (8.0, 3)]);
        assert_eq!(aftermath(&broken, 2.0), Some(Aftermath::Replaced(5.5)), "with the step that was under way");
        let grown = steps(&[(1.0, 1), (2.0, 1), (3.5, 1), (5.0, 2)]);
        assert_eq!(aftermath(&grown, 2.0), Some(Aftermath::Spared));
        assert_eq!(aftermath(&grown, 5.0), None, "behind the last step");
        assert_eq!(gap_after(&broken, 2.1, 10.0), Some(5.2));
    }

    #[test]
    fn a_step_is_aborted_once_however_many_ranks_say_so() {
        let line = |rank: u32, generation: u32| {
            format!("rank {rank} WARN the group is broken generation={generation} reason=\"x\"\n")
        };
        assert_eq!(aborted(&[line(0, 3), line(1, 3), line(1, 7), "generation=9\n".to_owned()].concat()), 2);
    }
}
