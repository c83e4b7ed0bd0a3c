//! What there is to find: lesions that differ in shape and texture by class.

use std::f32::consts::TAU;

use super::random::Random;
use super::shape::Texture;

/// What a patient has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// No lesion.
    None,
    /// A round, homogeneous lesion.
    Smooth,
    /// A star-shaped, mottled lesion.
    Spiculated,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Smooth, Self::Spiculated];

    /// The label in the manifest.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Smooth => "smooth",
            Self::Spiculated => "spiculated",
        }
    }
}

/// A lesion: its outline around the z axis, and its texture.
#[derive(Debug, Clone)]
pub(super) struct Lesion {
    pub(super) class: Class,
    pub(super) x: f32,
    pub(super) y: f32,
    /// Of a disc of about the same area, at `z` = 0.
    pub(super) radius: f32,
    waves: [(f32, f32); 2],
    texture: Texture,
}

/// Half the extent of every lesion along z.
const HALF_LENGTH: f32 = 1.0;

impl Lesion {
    /// A lesion of a class at a place; none for [`Class::None`].
    pub(super) fn new(class: Class, place: (f32, f32), random: &mut Random) -> Option<Self> {
        let counts = match class {
            Class::None => return None,
            Class::Smooth => [2.0, 3.0],
            Class::Spiculated => [random.between(5.0, 7.99).floor(), random.between(8.0, 11.99).floor()],
        };
        let radius = random.between(0.26, 0.36);
        let waves = counts.map(|count| (count, random.between(0.0, TAU)));
        Some(Self { class, x: place.0, y: place.1, radius, waves, texture: Texture::new(5.0, random) })
    }

    /// Distance from the axis to the surface, in some direction.
    fn outline(&self, angle: f32, z: f32) -> f32 {
        let [first, second] = self.waves.map(|(count, phase)| (count * angle + phase).sin());
        let shape = match self.class {
            Class::None => 0.0,
            Class::Smooth => 0.9 + 0.04 * first + 0.02 * second,
            // Narrow spikes: the square of a positive wave.
            Class::Spiculated => 0.62 + 0.45 * (0.5 + 0.5 * first).powi(2) + 0.25 * (0.5 + 0.5 * second).powi(2),
        };
        self.radius * shape * (1.0 - (z / HALF_LENGTH).powi(2)).max(0.0).sqrt()
    }

    pub(super) fn contains(&self, x: f32, y: f32, z: f32) -> bool {
        self.depth(x, y, z) > 0.0
    }

    /// 1 on the axis, 0 on the surface, negative outside.
    pub(super) fn depth(&self, x: f32, y: f32, z: f32) -> f32 {
        let (dx, dy) = (x - self.x, y - self.y);
        let outline = self.outline(dy.atan2(dx), z);
        if outline > 0.0 { 1.0 - (dx * dx + dy * dy).sqrt() / outline } else { -1.0 }
    }

    /// How much the substance at a place differs from the mean one: a factor around 1.
    pub(super) fn mottle(&self, x: f32, y: f32, z: f32) -> f32 {
        match self.class {
            Class::Spiculated => (1.0 + 0.6 * self.texture.at(x, y, z)).clamp(0.2, 1.8),
            Class::None | Class::Smooth => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(lesion: &Lesion, z: f32) -> usize {
        let place = |at: i32| at as f32 / 100.0;
        let inside = |(x, y): (i32, i32)| lesion.contains(place(x), place(y), z);
        (-100..100).flat_map(|x| (-100..100).map(move |y| (x, y))).filter(|&at| inside(at)).count()
    }

    #[test]
    fn classes_differ_in_outline_and_hardly_in_area() {
        let mut random = Random::new(1, "lesion");
        let mut of = |class| {
            let areas: Vec<f32> = (0..20)
                .map(|_| {
                    let lesion = Lesion::new(class, (0.0, 0.0), &mut random).unwrap();
                    area(&lesion, 0.0) as f32 / lesion.radius.powi(2)
                })
                .collect();
            areas.iter().sum::<f32>() / 20.0
        };
        let (smooth, spiculated) = (of(Class::Smooth), of(Class::Spiculated));
        assert!((0.75..1.35).contains(&(spiculated / smooth)), "{smooth} and {spiculated}");
        assert!(Lesion::new(Class::None, (0.0, 0.0), &mut random).is_none());
    }

    #[test]
    fn a_lesion_ends_along_the_body() {
        let lesion = Lesion::new(Class::Smooth, (0.1, 0.1), &mut Random::new(2, "lesion")).unwrap();
        assert!(area(&lesion, 0.0) > area(&lesion, 0.7));
        assert_eq!(area(&lesion, 1.0), 0);
    }
}
