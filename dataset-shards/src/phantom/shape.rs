//! Geometry in the unit square: x to the right and y down from -1 to 1, and z along the body.

use std::f32::consts::TAU;

use super::random::Random;

/// An ellipse with axes along x and y.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ellipse {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) rx: f32,
    pub(super) ry: f32,
}

impl Ellipse {
    /// Varies every number by a share of the radii.
    pub(super) fn varied(self, share: f32, random: &mut Random) -> Self {
        let mut vary = |value: f32, scale: f32| value + scale * random.between(-share, share);
        Self {
            x: vary(self.x, self.rx),
            y: vary(self.y, self.ry),
            rx: vary(self.rx, self.rx),
            ry: vary(self.ry, self.ry),
        }
    }

    /// 0 at the centre, 1 on the rim.
    pub(super) fn distance(&self, x: f32, y: f32) -> f32 {
        (((x - self.x) / self.rx).powi(2) + ((y - self.y) / self.ry).powi(2)).sqrt()
    }

    pub(super) fn contains(&self, x: f32, y: f32) -> bool {
        self.distance(x, y) < 1.0
    }

    /// Length, in 0 to 1, of a ray through the ellipsoid that this is the outline of.
    pub(super) fn chord(&self, x: f32, y: f32) -> f32 {
        (1.0 - self.distance(x, y).powi(2)).max(0.0).sqrt()
    }

    /// The same outline, larger or smaller.
    pub(super) fn scaled(&self, factor: f32) -> Self {
        Self { rx: self.rx * factor, ry: self.ry * factor, ..*self }
    }
}

/// A smooth random field of mean 0 and variance 1: a sum of plane waves.
#[derive(Debug, Clone)]
pub(super) struct Texture {
    waves: Vec<[f32; 4]>,
}

impl Texture {
    /// Of so many waves a unit length, give or take half.
    pub(super) fn new(frequency: f32, random: &mut Random) -> Self {
        let mut wave = || {
            let (direction, tilt) = (random.between(0.0, TAU), random.between(-0.6, 0.6));
            let number = TAU * frequency * random.between(0.5, 1.5);
            [number * direction.cos(), number * direction.sin(), number * tilt, random.between(0.0, TAU)]
        };
        Self { waves: (0..10).map(|_| wave()).collect() }
    }

    pub(super) fn at(&self, x: f32, y: f32, z: f32) -> f32 {
        let sum: f32 = self.waves.iter().map(|[a, b, c, phase]| (a * x + b * y + c * z + phase).sin()).sum();
        sum * (2.0 / self.waves.len() as f32).sqrt()
    }
}
