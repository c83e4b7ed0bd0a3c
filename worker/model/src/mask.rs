//! Which parts of an image the autoencoder must guess.

use crate::{Key, SwinConfig};
use tch::{Device, Tensor};

/// Separates the choice of a mask from the other choices made with a sample's key.
const STREAM: u64 = 0x4D41_534B;

/// Draws a mask per sample: `[N, tokens]`, 1 where a token is masked and 0 where it is visible, in raster order.
///
/// Every image keeps exactly [`SwinConfig::kept_units`] of its mask units, each set of that size with equal chance. A
/// mask depends on its own key alone.
pub fn draw(keys: &[Key], config: &SwinConfig, device: Device) -> Tensor {
    let side = config.grid() / config.mask_unit;
    let units = usize::try_from(config.units()).unwrap_or(0);
    let kept = usize::try_from(config.kept_units()).unwrap_or(0);
    let mut hidden = vec![1.0_f32; keys.len() * units];
    let mut order: Vec<usize> = Vec::with_capacity(units);
    for (key, hidden) in keys.iter().zip(hidden.chunks_mut(units.max(1))) {
        let key = key.with(STREAM);
        order.clear();
        order.extend(0..units);
        // The first steps of a Fisher-Yates shuffle choose the visible units.
        for place in 0..kept {
            let chosen = place + key.below(place as u64, (units - place) as u64) as usize;
            order.swap(place, chosen);
            hidden[order[place]] = 0.0;
        }
    }
    let count = keys.len() as i64;
    let unit = config.mask_unit;
    Tensor::from_slice(&hidden)
        .to_device(device)
        .view([count, side, 1, side, 1])
        .expand([count, side, unit, side, unit], false)
        .reshape([count, config.tokens()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn keys(count: u64) -> Vec<Key> {
        (0..count).map(|sample| Key::root(3).with(sample)).collect()
    }

    #[test]
    fn every_image_hides_the_same_number_of_whole_units() {
        let config = SwinConfig::base();
        let mask = draw(&keys(6), &config, Device::Cpu);
        assert_eq!(mask.size(), [6, 3136]);
        let counts = mask.sum_dim_intlist(1, false, Kind::Float);
        assert_eq!(Vec::<f32>::try_from(counts).unwrap(), [2352.0; 6]);
        // Within a unit of 4 by 4 patches all values are the same.
        let units = mask.view([6, 14, 4, 14, 4]);
        let (low, high) = (units.amin([2, 4], false), units.amax([2, 4], false));
        assert!(low.equal(&high));
    }

    #[test]
    fn a_mask_depends_on_its_own_key_alone() {
        let config = SwinConfig::tiny();
        let all = draw(&keys(8), &config, Device::Cpu);
        let some = draw(&keys(8)[5..], &config, Device::Cpu);
        assert!(all.narrow(0, 5, 3).equal(&some));
        assert!(!all.get(0).equal(&all.get(1)));
    }

    #[test]
    fn every_unit_is_hidden_about_as_often() {
        let config = SwinConfig::tiny();
        let mean = draw(&keys(4000), &config, Device::Cpu).mean_dim(0, false, Kind::Float);
        // Three standard deviations of 4000 draws are 0.02; 256 tokens are looked at.
        assert!((mean.max().double_value(&[]) - 0.75).abs() < 0.035);
        assert!((mean.min().double_value(&[]) - 0.75).abs() < 0.035);
    }

    #[test]
    fn no_samples_give_an_empty_mask() {
        assert_eq!(draw(&[], &SwinConfig::tiny(), Device::Cpu).size(), [0, 256]);
    }
}
