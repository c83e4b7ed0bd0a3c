//! A frontal chest film: line integrals of attenuation (Beer and Lambert), shown as film density in 0 to 1.

use super::super::lesion::Lesion;
use super::super::plane::Plane;
use super::super::random::Random;
use super::super::shape::Ellipse;
use super::Scanner;

const SIZE: usize = 128;
/// Attenuation of a ray through the thickest soft tissue.
const BODY: f32 = 3.2;
/// What air in a lung takes away from it, at most.
const LUNG: f32 = 1.9;
const HEART: f32 = 1.0;
const SPINE: f32 = 1.2;
const RIB: f32 = 0.28;
const LESION: f32 = 1.6;
/// Photons that reach a pixel without a body in the way.
const PHOTONS: f32 = 30_000.0;
/// Attenuation that is white on the film.
const WHITE: f32 = 4.2;

/// A chest seen from the front.
pub(super) struct Film {
    trunk: Ellipse,
    lungs: [Ellipse; 2],
    heart: Ellipse,
    rib_phase: f32,
    rib_bend: f32,
}

impl Film {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut varied = |x, y, rx, ry| Ellipse { x, y, rx, ry }.varied(0.06, random);
        Self {
            trunk: varied(0.0, 0.1, 0.95, 1.9),
            lungs: [varied(-0.42, 0.0, 0.34, 0.68), varied(0.42, 0.0, 0.34, 0.68)],
            heart: varied(0.12, 0.28, 0.28, 0.3),
            rib_phase: random.between(0.0, 1.0),
            rib_bend: random.between(0.5, 0.8),
        }
    }

    /// `z` moves the lungs, as breathing does from film to film.
    fn attenuation(&self, x: f32, y: f32, z: f32) -> f32 {
        let breath = 1.0 + 0.05 * z;
        let air: f32 = self.lungs.iter().map(|lung| lung.scaled(breath).chord(x, y)).sum();
        let spine = if x.abs() < 0.09 { SPINE * (0.85 + 0.15 * (y * 22.0).sin()) } else { 0.0 };
        let rib = ((y * breath + self.rib_bend * x * x) * 4.2 + self.rib_phase).fract().abs();
        let ribs = if rib < 0.22 && x.abs() > 0.12 && self.trunk.contains(x, y * 0.9) { RIB } else { 0.0 };
        (BODY * self.trunk.chord(x, y) - LUNG * air + HEART * self.heart.chord(x, y) + spine + ribs).max(0.0)
    }
}

impl Scanner for Film {
    fn site(&self, random: &mut Random) -> (f32, f32) {
        let lung = self.lungs[usize::from(random.sign() > 0.0)];
        (lung.x + random.between(-0.05, 0.05), lung.y + random.between(-0.35, 0.2))
    }

    fn scan(&self, lesion: Option<&Lesion>, z: f32, random: &mut Random) -> Plane {
        // A film projects the whole lesion, wherever it was cut for the other modalities.
        let mut plane = Plane::compute(SIZE, lesion, 0.0, |x, y| {
            let nodule = lesion.map_or(0.0, |lesion| {
                let depth = lesion.depth(x, y, 0.0).max(0.0);
                // The chord of a sphere whose outline is the lesion's.
                LESION * (1.0 - (1.0 - depth).powi(2)).sqrt() * lesion.mottle(x, y, 0.0)
            });
            (-self.attenuation(x, y, z) - nodule).exp()
        });
        plane.blur(1);
        plane.map(|share| {
            let photons = random.count(share * PHOTONS).max(1.0);
            ((PHOTONS / photons).ln() / WHITE).clamp(0.0, 1.0)
        });
        plane
    }
}
