//! T1-weighted magnetic resonance of a head after contrast, in arbitrary units.

use super::super::lesion::Lesion;
use super::super::plane::Plane;
use super::super::random::Random;
use super::super::shape::{Ellipse, Texture};
use super::Scanner;

const SIZE: usize = 128;
const SCALP: f32 = 900.0;
const SKULL: f32 = 60.0;
const GREY_MATTER: f32 = 420.0;
const WHITE_MATTER: f32 = 560.0;
const FLUID: f32 = 160.0;
const LESION: f32 = 980.0;
/// Standard deviation of each channel of the receiver.
const NOISE: f32 = 28.0;

/// A head with scalp, skull, folded grey and white matter and ventricles.
pub(super) struct Head {
    scalp: Ellipse,
    ventricles: [Ellipse; 2],
    folds: Texture,
    /// Coefficients of the receiver's uneven sensitivity.
    bias: [f32; 3],
}

impl Head {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut varied = |x, y, rx, ry| Ellipse { x, y, rx, ry }.varied(0.05, random);
        Self {
            scalp: varied(0.0, 0.0, 0.76, 0.9),
            ventricles: [varied(-0.12, -0.05, 0.08, 0.24), varied(0.12, -0.05, 0.08, 0.24)],
            folds: Texture::new(1.8, random),
            bias: [random.between(-0.3, 0.3), random.between(-0.3, 0.3), random.between(-0.2, 0.2)],
        }
    }

    fn tissue(&self, x: f32, y: f32, z: f32) -> f32 {
        let depth = self.scalp.scaled(1.0 - 0.12 * z * z).distance(x, y);
        match depth {
            depth if depth > 1.0 => 0.0,
            depth if depth > 0.92 => SCALP,
            depth if depth > 0.85 => SKULL,
            depth if depth > 0.82 => FLUID,
            _ if self.ventricles.iter().any(|ventricle| ventricle.scaled(1.0 - 0.3 * z * z).contains(x, y)) => FLUID,
            depth if depth > 0.7 || self.folds.at(x, y, z) > 0.5 => GREY_MATTER,
            _ => WHITE_MATTER,
        }
    }
}

impl Scanner for Head {
    fn site(&self, random: &mut Random) -> (f32, f32) {
        (random.sign() * random.between(0.15, 0.32), random.between(-0.38, 0.38))
    }

    fn scan(&self, lesion: Option<&Lesion>, z: f32, random: &mut Random) -> Plane {
        let [a, b, c] = self.bias;
        let mut plane = Plane::compute(SIZE, lesion, z, |x, y| {
            let signal = match lesion {
                Some(lesion) if lesion.contains(x, y, z) => LESION * lesion.mottle(x, y, z),
                _ => self.tissue(x, y, z),
            };
            signal * (a * x + b * y + c * x * y).exp()
        });
        plane.blur(1);
        // The magnitude of a complex signal: Rician noise.
        plane.map(|value| ((value + NOISE * random.normal()).powi(2) + (NOISE * random.normal()).powi(2)).sqrt());
        plane
    }
}
