//! Computed tomography of a chest, in Hounsfield units.

use super::super::lesion::Lesion;
use super::super::plane::Plane;
use super::super::random::Random;
use super::super::shape::{Ellipse, Texture};
use super::Scanner;

const SIZE: usize = 128;
const AIR: f32 = -1000.0;
const FAT: f32 = -100.0;
const MUSCLE: f32 = 50.0;
const BLOOD: f32 = 45.0;
const LUNG: f32 = -820.0;
const VESSEL: f32 = -350.0;
const BONE: f32 = 600.0;
const LESION: f32 = 40.0;
/// Standard deviation of the noise.
const NOISE: f32 = 30.0;

/// A trunk with two lungs, a heart, a spine and ribs.
pub(super) struct Chest {
    skin: Ellipse,
    lungs: [Ellipse; 2],
    heart: Ellipse,
    spine: Ellipse,
    vessels: Texture,
    ribs: f32,
}

impl Chest {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut varied = |x, y, rx, ry| Ellipse { x, y, rx, ry }.varied(0.06, random);
        Self {
            skin: varied(0.0, 0.0, 0.9, 0.72),
            lungs: [varied(-0.42, -0.02, 0.34, 0.5), varied(0.42, -0.02, 0.34, 0.5)],
            heart: varied(0.1, -0.12, 0.22, 0.26),
            spine: varied(0.0, 0.45, 0.11, 0.12),
            vessels: Texture::new(3.5, random),
            ribs: random.between(0.0, 1.0),
        }
    }

    fn tissue(&self, x: f32, y: f32, z: f32) -> f32 {
        // The trunk narrows towards its ends.
        let narrowing = 1.0 - 0.08 * z * z;
        let depth = self.skin.scaled(narrowing).distance(x, y);
        if depth > 1.0 {
            return AIR;
        }
        if self.spine.contains(x, y) {
            return BONE;
        }
        if self.heart.scaled(narrowing).contains(x, y) {
            return BLOOD;
        }
        if self.lungs.iter().any(|lung| lung.scaled(narrowing).contains(x, y)) {
            return if self.vessels.at(x, y, z) > 1.7 { VESSEL } else { LUNG };
        }
        // Ribs run obliquely: a section meets them as spots that wander with z.
        let around = y.atan2(x) * 9.0 + 6.0 * (z + self.ribs);
        match depth {
            depth if depth > 0.93 => FAT,
            depth if (0.8..0.88).contains(&depth) && around.sin() > 0.55 => BONE,
            _ => MUSCLE,
        }
    }
}

impl Scanner for Chest {
    fn site(&self, random: &mut Random) -> (f32, f32) {
        let lung = self.lungs[usize::from(random.sign() > 0.0)];
        (lung.x + random.between(-0.05, 0.05), lung.y + random.between(-0.2, 0.2))
    }

    fn scan(&self, lesion: Option<&Lesion>, z: f32, random: &mut Random) -> Plane {
        let mut plane = Plane::compute(SIZE, lesion, z, |x, y| match lesion {
            // Mottling mixes air into the tissue.
            Some(lesion) if lesion.contains(x, y, z) => {
                AIR + (LESION - AIR) * (0.3 + 0.7 * lesion.mottle(x, y, z)).min(1.1)
            }
            _ => self.tissue(x, y, z),
        });
        plane.blur(1);
        plane.map(|value| (value + NOISE * random.normal()).max(AIR - 24.0));
        plane
    }
}
