//! What a rank has come to, whatever group it is in: weights, moments, and the steps behind them.

use std::collections::BTreeMap;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use vismae_c10d::{Collective, CollectiveError, FusedAdamW};
use vismae_core::ids::Generation;
use vismae_core::spec::PretrainSpec;
use vismae_model::{SwinMae, WarmupCosine};
use vismae_shards::order::RowsDigest;
use vismae_shards::runs::StepRow;

use super::error::TaskError;
use super::{TaskContext, network};

/// Numbers of a [`StepRow`] as they travel.
const COLUMNS: usize = 10 + RowsDigest::PARTS;

/// One copy of everything that is trained. It outlives the groups that train it.
pub(super) struct Replica {
    pub(super) variables: VarStore,
    pub(super) model: SwinMae,
    pub(super) parameters: Vec<Tensor>,
    pub(super) optimiser: FusedAdamW,
    pub(super) schedule: WarmupCosine,
    pub(super) clip_norm: f64,
    pub(super) seed: u64,
    pub(super) device: Device,
    /// One for each step that the weights have seen.
    rows: Vec<StepRow>,
    /// The last group in which it was equal to all others.
    generation: Generation,
    /// The version of the corpus that its steps read.
    corpus_version: u64,
    /// Whether it is being overwritten: what it holds is neither its own nor another's.
    is_torn: bool,
}

impl Replica {
    /// Builds the network with its first weights.
    pub(super) fn new(
        context: &TaskContext,
        spec: &PretrainSpec,
        steps_per_epoch: u64,
        corpus_version: u64,
    ) -> Result<Self, TaskError> {
        let device = context.device.to_tch();
        network::seed(spec.seed);
        let variables = VarStore::new(device);
        let model = SwinMae::new(&variables.root(), &network::config(&spec.model))
            .map_err(|error| TaskError::input_from(&error))?;
        let parameters = network::trainable(&variables);
        Ok(Self {
            optimiser: network::optimiser(&parameters, &spec.optimiser),
            schedule: network::schedule(&spec.optimiser, steps_per_epoch, spec.epochs),
            clip_norm: spec.optimiser.clip_norm.unwrap_or(f64::INFINITY),
            seed: spec.seed,
            device,
            variables,
            model,
            parameters,
            rows: Vec::new(),
            generation: Generation(0),
            corpus_version,
            is_torn: false,
        })
    }

    /// How many steps the weights have seen.
    pub(super) fn step(&self) -> u64 {
        self.rows.len() as u64
    }

    /// What each of them came to.
    pub(super) fn rows(&self) -> &[StepRow] {
        &self.rows
    }

    /// Whether it has come to nothing yet, and has not met anybody who has.
    pub(super) fn is_fresh(&self) -> bool {
        self.rows.is_empty() && self.generation == Generation(0)
    }

    /// The last group in which it was equal to all others, if it has come to anything that is its own.
    pub(super) fn last_generation(&self) -> Option<Generation> {
        let is_worth_keeping = !self.is_torn && !self.rows.is_empty() && self.generation != Generation(0);
        is_worth_keeping.then_some(self.generation)
    }

    /// Its tensors are those behind these steps.
    pub(super) fn adopt(&mut self, rows: Vec<StepRow>) {
        self.rows = rows;
    }

    /// Everything that training changes, by name, in an order that is the same in every process.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let variables = BTreeMap::from_iter(self.variables.variables());
        let trained: Vec<&String> =
            variables.iter().filter(|(_, tensor)| tensor.requires_grad()).map(|(name, _)| name).collect();
        let moments = |kind: &str, moments: &[Tensor]| -> Vec<(String, Tensor)> {
            let named = trained.iter().zip(moments);
            named.map(|(name, moment)| (format!("{kind}.{name}"), moment.shallow_clone())).collect()
        };
        let first = moments("first_moment", self.optimiser.first_moments());
        let second = moments("second_moment", self.optimiser.second_moments());
        let weights = variables.iter().map(|(name, tensor)| (format!("model.{name}"), tensor.shallow_clone()));
        let counter = ("optimiser.steps".to_owned(), self.optimiser.step_counter().shallow_clone());
        weights.chain(first).chain(second).chain([counter]).collect()
    }

    /// The weights have seen one step more.
    pub(super) fn push(&mut self, row: StepRow) {
        self.rows.push(row);
    }

    /// Makes all ranks of a new group equal: those that are behind, or come from elsewhere, copy the most advanced of them. Says which
    /// rank that was, if anybody had to copy.
    ///
    /// Ranks that were equal in one group and have seen as many steps since are equal still: gradients are averages that all of them
    /// have got. Only where some have got the last one and others have not, or a newcomer has come, is anything copied.
    pub(super) fn level(&mut self, group: &impl Collective, generation: Generation) -> Result<Option<u32>, LevelError> {
        let standings = self.standings(group)?;
        let source = most_advanced(&standings).ok_or(LevelError::NobodyWhole)?;
        let (own, others) = (self.corpus_version, standings[source as usize].corpus_version);
        if own != others {
            return Err(LevelError::OtherCorpus { own, others });
        }
        let is_level = standings.iter().all(|standing| *standing == standings[0]) && self.generation != Generation(0);
        if !is_level {
            let is_source = source == group.rank();
            // Whoever is interrupted now has nothing to offer any more.
            self.is_torn = !is_source;
            self.copy(group, source, &standings)?;
            self.is_torn = false;
        }
        self.generation = generation;
        Ok((!is_level).then_some(source))
    }

    /// Where every rank stands, by rank.
    fn standings(&self, group: &impl Collective) -> Result<Vec<Standing>, CollectiveError> {
        let world = i64::from(group.world_size());
        let table = Tensor::zeros([world, 4], (Kind::Int64, self.device));
        let own =
            [i64::from(!self.is_torn), self.rows.len() as i64, self.generation.0 as i64, self.corpus_version as i64];
        table.get(group.rank().into()).copy_(&Tensor::from_slice(&own));
        group.all_reduce_sum(&table)?;
        let standing = |rank| {
            let number = |column| table.int64_value(&[rank, column]);
            Standing {
                is_whole: number(0) > 0,
                steps: number(1) as usize,
                generation: number(2),
                corpus_version: number(3) as u64,
            }
        };
        Ok((0..world).map(standing).collect())
    }

    fn copy(&mut self, group: &impl Collective, source: u32, standings: &[Standing]) -> Result<(), CollectiveError> {
        for (_, tensor) in &self.state() {
            tch::no_grad(|| group.broadcast(tensor, source))?;
        }
        let steps = standings[source as usize].steps;
        // All of them, though others may have taken as many steps: they may have taken them in other groups, and the record goes with the
        // weights.
        let mut rows = Tensor::zeros([steps as i64, COLUMNS as i64], (Kind::Double, self.device));
        if source == group.rank() {
            let numbers: Vec<f64> = self.rows.iter().flat_map(numbers).collect();
            rows.copy_(&Tensor::from_slice(&numbers).view([-1, COLUMNS as i64]));
        }
        group.broadcast(&rows, source)?;
        if source != group.rank() {
            self.rows.clear();
            let numbers = Vec::<f64>::try_from(rows.to_device(Device::Cpu).view([-1])).unwrap_or_default();
            self.rows.extend(numbers.chunks_exact(COLUMNS).map(row));
        }
        Ok(())
    }
}

/// Why ranks could not be made equal.
#[derive(Debug, thiserror::Error)]
pub(super) enum LevelError {
    /// Whoever was whole has been lost while the others copied it.
    #[error("no rank is left that has come to anything: the others were copying it when it was lost")]
    NobodyWhole,
    /// A version was committed between the starts of two ranks, before the run had begun.
    #[error("this rank has read version {own} of the corpus, and the others read version {others}")]
    OtherCorpus {
        /// The version read here.
        own: u64,
        /// That of the most advanced rank.
        others: u64,
    },
    /// The group broke.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
}

/// How far a rank is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    is_whole: bool,
    steps: usize,
    generation: i64,
    corpus_version: u64,
}

/// The rank with most steps, and the first of several.
fn most_advanced(standings: &[Standing]) -> Option<u32> {
    let whole = (0..).zip(standings).filter(|(_, standing)| standing.is_whole);
    let best = whole.max_by_key(|(rank, standing)| (standing.steps, std::cmp::Reverse(*rank)))?;
    Some(best.0)
}

fn numbers(row: &StepRow) -> [f64; COLUMNS] {
    let digest = row.digest.unwrap_or_default().parts();
    let numbers = [
        row.step as f64,
        f64::from(row.epoch),
        row.loss,
        row.learning_rate,
        row.gradient_norm,
        f64::from(row.samples),
        row.data_seconds,
        row.step_seconds,
        row.time,
        row.generation.unwrap_or(0) as f64,
    ];
    std::array::from_fn(|column| numbers.get(column).copied().unwrap_or_else(|| digest[column - numbers.len()]))
}

fn row(numbers: &[f64]) -> StepRow {
    StepRow {
        step: numbers[0] as u64,
        epoch: numbers[1] as u32,
        loss: numbers[2],
        learning_rate: numbers[3],
        gradient_norm: numbers[4],
        samples: numbers[5] as u32,
        data_seconds: numbers[6],
        step_seconds: numbers[7],
        time: numbers[8],
        generation: Some(numbers[9] as u64),
        digest: Some(RowsDigest::from_sums(std::array::from_fn(|part| numbers[10 + part]))),
    }
}

#[cfg(test)]
mod tests {
    use vismae_core::ids::Epoch;
    use vismae_shards::order::RowRef;

    use super::*;

    #[test]
    fn the_most_advanced_whole_rank_is_copied_and_of_equals_the_first() {
        let standing = |is_whole, steps| Standing { is_whole, steps, generation: 1, corpus_version: 1 };
        let best = |all: &[Standing]| most_advanced(all);
        assert_eq!(best(&[standing(true, 3), standing(true, 4), standing(true, 4)]), Some(1));
        assert_eq!(best(&[standing(true, 3), standing(false, 4), standing(true, 0)]), Some(0));
        assert_eq!(best(&[standing(false, 3)]), None);
    }

    #[test]
    fn a_row_reads_back_as_it_was() {
        let sent = StepRow {
            step: 7,
            epoch: 2,
            loss: 0.25,
            learning_rate: 1e-4,
            gradient_norm: 3.5,
            samples: 640,
            data_seconds: 0.001,
            step_seconds: 1.5,
            time: 1.7e9,
            generation: Some(5),
            digest: Some(RowsDigest::of(Epoch(2), 7, &[RowRef { group: 1, row: 2 }])),
        };
        assert_eq!(row(&numbers(&sent)), sent);
    }
}
