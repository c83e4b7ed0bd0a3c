//! The five ways to look at a body.

mod ct;
mod mr;
mod pet;
mod ultrasound;
mod xray;

use vismae_core::spec::Modality;

use super::lesion::Lesion;
use super::plane::Plane;
use super::random::Random;

/// One patient's body as one modality sees it.
pub(super) trait Scanner {
    /// Where a lesion may lie.
    fn site(&self, random: &mut Random) -> (f32, f32);

    /// The section at z, in source units, with the noise of its own stream.
    fn scan(&self, lesion: Option<&Lesion>, z: f32, random: &mut Random) -> Plane;
}

/// A random body for a modality.
pub(super) fn scanner(modality: Modality, random: &mut Random) -> Box<dyn Scanner> {
    match modality {
        Modality::Ct => Box::new(ct::Chest::new(random)),
        Modality::Mr => Box::new(mr::Head::new(random)),
        Modality::Pet => Box::new(pet::Trunk::new(random)),
        Modality::XRay => Box::new(xray::Film::new(random)),
        Modality::Ultrasound => Box::new(ultrasound::Breast::new(random)),
    }
}
