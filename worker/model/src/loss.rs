//! What fine-tuning makes small, and how ranks weigh their parts of it.

use tch::{Kind, Reduction, Tensor};

/// Share of cross entropy in the segmentation loss; the rest is Dice.
const CROSS_ENTROPY_SHARE: f64 = 0.4;

/// Added to both sides of the Dice fraction, so that a class that is nowhere counts as found.
const SMOOTH: f64 = 1e-5;

/// The factor for a rank's mean loss after which the mean of all ranks' gradients is that of the whole batch.
///
/// A reducer divides by the number of ranks, whatever they hold. Zero for an empty batch.
pub fn share_of_batch(own_samples: usize, all_samples: usize, world_size: u32) -> f64 {
    own_samples as f64 * f64::from(world_size) / all_samples.max(1) as f64
}

/// Mean cross entropy of scores `[N, classes]` or `[N, classes, H, W]` against class numbers `[N]` or `[N, H, W]`; zero
/// for an empty batch.
pub fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Tensor {
    let sum = scores.cross_entropy_loss::<Tensor>(labels, None, Reduction::Sum, -100, 0.0);
    sum / labels.numel().max(1) as f64
}

/// One minus the Dice overlap, averaged over the classes but the background, for scores `[N, classes, H, W]` against
/// class numbers `[N, H, W]`.
///
/// A class is counted over the whole batch, with squared probabilities in the denominator. The reference divides by the
/// number of classes although it sums one fewer; this is the true mean, which reaches 1.
pub fn dice_loss(scores: &Tensor, labels: &Tensor) -> Tensor {
    let classes = scores.size()[1];
    let foreground = |tensor: &Tensor| tensor.narrow(1, 1, classes - 1);
    let probabilities = foreground(&scores.softmax(1, Kind::Float));
    let truth = foreground(&labels.one_hot(classes).permute([0, 3, 1, 2])).to_kind(Kind::Float);
    let over_batch = |tensor: Tensor| tensor.sum_dim_intlist([0, 2, 3].as_slice(), false, Kind::Float);
    let common = over_batch(&probabilities * &truth);
    let total = over_batch(probabilities.square()) + over_batch(truth);
    let dice = (common * 2.0 + SMOOTH) / (total + SMOOTH);
    1.0 - dice.mean(Kind::Float)
}

/// The loss that segmentation is trained with: 0.4 cross entropy and 0.6 Dice.
pub fn segmentation_loss(scores: &Tensor, labels: &Tensor) -> Tensor {
    cross_entropy(scores, labels) * CROSS_ENTROPY_SHARE + dice_loss(scores, labels) * (1.0 - CROSS_ENTROPY_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Scores that are all but certain of `labels`.
    fn certain(labels: &Tensor, classes: i64) -> Tensor {
        labels.one_hot(classes).permute([0, 3, 1, 2]).to_kind(Kind::Float) * 50.0
    }

    #[test]
    fn a_perfect_segmentation_has_no_loss() {
        let labels = Tensor::from_slice(&[0_i64, 1, 2, 1]).view([1, 2, 2]);
        assert!(segmentation_loss(&certain(&labels, 3), &labels).double_value(&[]) < 1e-4);
    }

    #[test]
    fn a_segmentation_that_misses_every_class_has_a_dice_loss_of_one() {
        let labels = Tensor::from_slice(&[0_i64, 0, 1, 2]).view([1, 2, 2]);
        let wrong = Tensor::from_slice(&[1_i64, 2, 0, 0]).view([1, 2, 2]);
        let loss = dice_loss(&certain(&wrong, 3), &labels).double_value(&[]);
        assert!((loss - 1.0).abs() < 1e-3, "{loss}");
    }

    #[test]
    fn dice_counts_each_class_over_the_batch() {
        // Class 1: 1 of 2 pixels found, in all 1 + 2 squared; 2 * 1 / 3. The only foreground class.
        let labels = Tensor::from_slice(&[1_i64, 0, 1, 0]).view([2, 1, 2]);
        let guess = Tensor::from_slice(&[1_i64, 0, 0, 0]).view([2, 1, 2]);
        let loss = dice_loss(&certain(&guess, 2), &labels).double_value(&[]);
        assert!((loss - (1.0 - 2.0 / 3.0)).abs() < 1e-4, "{loss}");
    }

    #[test]
    fn cross_entropy_is_the_mean_and_zero_for_nobody() {
        let scores = Tensor::zeros([4, 3], (Kind::Float, Device::Cpu));
        let labels = Tensor::from_slice(&[0_i64, 1, 2, 0]);
        assert!((cross_entropy(&scores, &labels).double_value(&[]) - 3_f64.ln()).abs() < 1e-6);
        let nobody = cross_entropy(&scores.narrow(0, 0, 0), &labels.narrow(0, 0, 0));
        assert_eq!(nobody.double_value(&[]), 0.0);
    }

    #[test]
    fn weighted_parts_of_a_batch_average_to_the_whole() {
        let losses = [1.0, 2.0, 6.0];
        let whole = losses.iter().sum::<f64>() / 3.0;
        let ranks = [&losses[..2], &losses[2..]];
        let parts = ranks.map(|own| share_of_batch(own.len(), 3, 2) * own.iter().sum::<f64>() / own.len() as f64);
        assert!((parts.iter().sum::<f64>() / 2.0 - whole).abs() < 1e-12);
        assert_eq!(share_of_batch(0, 0, 2), 0.0);
    }
}
