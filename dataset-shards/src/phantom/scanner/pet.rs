//! Positron emission tomography of a trunk, in becquerel per millilitre.

use super::super::lesion::Lesion;
use super::super::plane::Plane;
use super::super::random::Random;
use super::super::shape::Ellipse;
use super::Scanner;

const SIZE: usize = 96;
/// Activity of soft tissue.
const UNIT: f32 = 4000.0;
/// Uptake relative to soft tissue.
const LUNG: f32 = 0.4;
const HEART: f32 = 1.9;
const LIVER: f32 = 1.6;
const LESION: f32 = 4.2;
/// Counts that a pixel of soft tissue gathers.
const COUNTS: f32 = 60.0;

/// A trunk with lungs, a heart and a liver.
pub(super) struct Trunk {
    skin: Ellipse,
    lungs: [Ellipse; 2],
    heart: Ellipse,
    liver: Ellipse,
}

impl Trunk {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut varied = |x, y, rx, ry| Ellipse { x, y, rx, ry }.varied(0.08, random);
        Self {
            skin: varied(0.0, 0.0, 0.88, 0.7),
            lungs: [varied(-0.4, 0.0, 0.3, 0.42), varied(0.4, 0.0, 0.3, 0.42)],
            heart: varied(0.08, -0.25, 0.18, 0.16),
            liver: varied(-0.35, 0.1, 0.34, 0.3),
        }
    }

    fn uptake(&self, x: f32, y: f32, z: f32) -> f32 {
        if !self.skin.contains(x, y) {
            return 0.0;
        }
        // The liver rises from below into the section.
        if z > 0.2 && self.liver.scaled((z - 0.2).sqrt()).contains(x, y) {
            return LIVER;
        }
        // The wall of the heart takes up, its chambers do not.
        match self.heart.distance(x, y) {
            wall if (0.6..1.0).contains(&wall) => HEART,
            _ if self.lungs.iter().any(|lung| lung.contains(x, y)) => LUNG,
            _ => 1.0,
        }
    }
}

impl Scanner for Trunk {
    fn site(&self, random: &mut Random) -> (f32, f32) {
        (random.sign() * random.between(0.2, 0.45), random.between(-0.2, 0.25))
    }

    fn scan(&self, lesion: Option<&Lesion>, z: f32, random: &mut Random) -> Plane {
        let mut plane = Plane::compute(SIZE, lesion, z, |x, y| match lesion {
            Some(lesion) if lesion.contains(x, y, z) => LESION * lesion.mottle(x, y, z),
            _ => self.uptake(x, y, z),
        });
        // The range of positrons and the size of crystals.
        plane.blur(3);
        plane.map(|value| random.count(value * COUNTS) / COUNTS * UNIT);
        plane.blur(1);
        plane
    }
}
