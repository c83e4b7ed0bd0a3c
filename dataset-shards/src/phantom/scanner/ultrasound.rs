//! B-mode ultrasound of a breast: speckle, attenuation and shadow, log-compressed to 0 to 1.

use super::super::lesion::Lesion;
use super::super::plane::Plane;
use super::super::random::Random;
use super::super::shape::Texture;
use super::Scanner;

const SIZE: usize = 128;
/// Echo amplitudes.
const SKIN: f32 = 2.5;
const FAT: f32 = 0.55;
const GLAND: f32 = 1.3;
const MUSCLE: f32 = 0.8;
const LESION: f32 = 0.2;
/// Loss of amplitude over the depth of the image that the gain does not make up for.
const ATTENUATION: f32 = 0.7;
/// Range of amplitudes shown, in decibel.
const DYNAMIC_RANGE: f32 = 45.0;
/// Amplitude that is white.
const FULL_SCALE: f32 = 5.0;

/// Layers of a breast under the transducer.
pub(super) struct Breast {
    fat_ends: f32,
    muscle_begins: f32,
    waves: Texture,
    gland: Texture,
}

impl Breast {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            fat_ends: random.between(-0.6, -0.45),
            muscle_begins: random.between(0.65, 0.8),
            waves: Texture::new(0.6, random),
            gland: Texture::new(2.0, random),
        }
    }

    fn echo(&self, x: f32, y: f32, z: f32) -> f32 {
        let wave = 0.07 * self.waves.at(x, 0.0, z);
        match y {
            y if y < -0.88 => SKIN,
            y if y < self.fat_ends + wave => FAT,
            y if y < self.muscle_begins + wave => GLAND * (1.0 + 0.25 * self.gland.at(x, y, z)).max(0.3),
            _ => MUSCLE * (1.0 + 0.4 * (y * 60.0).sin()),
        }
    }

    /// What the lesion does to the echoes behind it: smooth ones let the beam through better than tissue does, so that the
    /// gain brightens what follows; spiculated ones cast a shadow.
    fn behind(lesion: &Lesion, x: f32, y: f32) -> f32 {
        use super::super::lesion::Class;
        let aside = ((x - lesion.x) / (0.75 * lesion.radius)).abs();
        if y < lesion.y || aside > 1.0 {
            return 1.0;
        }
        if lesion.class == Class::Spiculated { 0.4 } else { 1.5 }
    }
}

impl Scanner for Breast {
    fn site(&self, random: &mut Random) -> (f32, f32) {
        (random.between(-0.45, 0.45), random.between(-0.15, 0.25))
    }

    fn scan(&self, lesion: Option<&Lesion>, z: f32, random: &mut Random) -> Plane {
        let mut echoes = Plane::compute(SIZE, lesion, z, |x, y| {
            let echo = match lesion {
                Some(lesion) if lesion.contains(x, y, z) => LESION * lesion.mottle(x, y, z),
                Some(lesion) => self.echo(x, y, z) * Self::behind(lesion, x, y),
                None => self.echo(x, y, z),
            };
            echo * (-ATTENUATION * (y + 1.0) / 2.0).exp()
        });
        echoes.blur(1);
        // Fully developed speckle: the magnitude of a smoothed complex normal field, Rayleigh distributed.
        let mut channel = || {
            let mut noise = Plane::compute(SIZE, None, 0.0, |_, _| random.normal());
            noise.blur(1);
            noise.values
        };
        let (real, imaginary) = (channel(), channel());
        let speckle = real.iter().zip(&imaginary).map(|(a, b)| (a * a + b * b).sqrt() * 2.0);
        let shown = echoes.values.iter().zip(speckle).map(|(echo, speckle)| {
            let decibel = 20.0 * (echo * speckle / FULL_SCALE).max(1e-6).log10();
            (1.0 + decibel / DYNAMIC_RANGE).clamp(0.0, 1.0)
        });
        echoes.values = shown.collect();
        echoes
    }
}
