//! Stochastic depth (Huang et al. 2016): in training, a sample skips a branch of a block now and then.

use crate::Key;
use tch::{Device, Tensor};

/// Separates the choices of drop path from the other choices made with a key.
const STREAM: u64 = 0x4452_4F50;

/// The branches of a block: attention, and the hidden layers.
const BRANCHES: usize = 2;

/// What a network is run for.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// To use or measure it: nothing is random.
    Evaluate,
    /// To train it.
    Train {
        /// A key per sample of the batch, made of (seed, step, sample): it decides which branches the sample skips.
        keys: &'a [Key],
    },
}

/// Which branch of a block a factor is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Branch {
    Attention,
    Mlp,
}

/// The factors of every branch and sample for one pass, drawn together: one upload for the whole network.
#[derive(Debug)]
pub(crate) struct DropPath {
    /// `[blocks * 2, N, 1, 1, 1]`: 0 where a branch is skipped, `1 / (1 - rate)` where it is not.
    factors: Option<Tensor>,
    rates: Vec<f64>,
}

impl DropPath {
    /// Draws for blocks with the given drop rates; a block's place in the list is its number.
    pub(crate) fn draw(rates: &[f64], mode: Mode<'_>, device: Device) -> Self {
        let factors = match mode {
            Mode::Train { keys } if rates.iter().any(|&rate| rate > 0.0) => {
                Some(factors(rates, keys).to_device(device))
            }
            Mode::Train { .. } | Mode::Evaluate => None,
        };
        DropPath { factors, rates: rates.to_vec() }
    }

    /// Adds the branch of a block to its input, both `[N, H, W, C]`, scaled or dropped for each sample.
    pub(crate) fn add(&self, tokens: &Tensor, branch: &Tensor, block: usize, which: Branch) -> Tensor {
        match &self.factors {
            Some(factors) if self.rates[block] > 0.0 => {
                tokens.addcmul(branch, &factors.select(0, (block * BRANCHES + which as usize) as i64))
            }
            Some(_) | None => tokens + branch,
        }
    }
}

fn factors(rates: &[f64], keys: &[Key]) -> Tensor {
    let mut factors = Vec::with_capacity(rates.len() * BRANCHES * keys.len());
    for (block, &rate) in rates.iter().enumerate() {
        for branch in 0..BRANCHES {
            let number = (block * BRANCHES + branch) as u64;
            let kept = |key: &Key| key.with(STREAM).unit(number) >= rate;
            factors.extend(keys.iter().map(|key| if kept(key) { (1.0 / (1.0 - rate)) as f32 } else { 0.0 }));
        }
    }
    Tensor::from_slice(&factors).view([(rates.len() * BRANCHES) as i64, keys.len() as i64, 1, 1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn keys(count: u64) -> Vec<Key> {
        (0..count).map(|sample| Key::root(9).with(sample)).collect()
    }

    #[test]
    fn a_choice_does_not_depend_on_how_the_batch_is_split() {
        let (rates, keys) = ([0.0, 0.3, 0.6], keys(10));
        let all = factors(&rates, &keys);
        let parts = [factors(&rates, &keys[..3]), factors(&rates, &keys[3..])];
        assert!(all.equal(&Tensor::cat(&parts, 1)));
    }

    #[test]
    fn branches_are_dropped_at_their_rate_and_the_mean_is_kept() {
        let factors = factors(&[0.25], &keys(4000));
        let dropped = factors.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        assert!((dropped - 0.25).abs() < 0.02, "{dropped}");
        let mean = factors.mean(Kind::Float).double_value(&[]);
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert!(!factors.get(0).equal(&factors.get(1)), "the two branches of a block choose apart");
    }

    #[test]
    fn a_dropped_branch_leaves_a_sample_as_it_was() {
        let keys = keys(200);
        let ones = Tensor::ones([200, 1, 1, 1], (Kind::Float, Device::Cpu));
        let drop_path = DropPath::draw(&[0.0, 0.5], Mode::Train { keys: &keys }, Device::Cpu);
        let sums = drop_path.add(&ones, &ones, 1, Branch::Attention);
        let dropped = sums.eq(1.0).sum(Kind::Int64).int64_value(&[]);
        let doubled = sums.eq(3.0).sum(Kind::Int64).int64_value(&[]);
        assert_eq!(dropped + doubled, 200);
        assert!((60..140).contains(&dropped), "{dropped}");
    }

    #[test]
    fn evaluation_and_a_rate_of_zero_add_the_whole_branch() {
        let ones = Tensor::ones([10, 2, 2, 3], (Kind::Float, Device::Cpu));
        let keys = keys(10);
        for (rate, mode) in [(0.5, Mode::Evaluate), (0.0, Mode::Train { keys: &keys })] {
            let drop_path = DropPath::draw(&[rate], mode, Device::Cpu);
            assert!(drop_path.add(&ones, &ones, 0, Branch::Mlp).equal(&(&ones * 2.0)));
        }
    }
}
