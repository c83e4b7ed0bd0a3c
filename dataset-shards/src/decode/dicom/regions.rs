//! The parts of an ultrasound image that show ultrasound: what lies around them is the device's, and may name the patient.

use dicom_dictionary_std::tags;
use vismae_core::spec::Modality;

use super::attributes::Attributes;
use super::malformed;
use crate::decode::{DecodeError, Note};

/// Most regions of an image: devices write a few.
const REGIONS_MAX: usize = 64;

/// Rectangles that are kept; everything is where there are none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Regions {
    kept: Vec<Region>,
    burned_in: bool,
    ultrasound: bool,
}

/// Both corners belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Region {
    fn holds(&self, column: i64, row: i64) -> bool {
        (self.left..=self.right).contains(&column) && (self.top..=self.bottom).contains(&row)
    }
}

impl Regions {
    pub(super) fn read(attributes: Attributes<'_>, modality: Option<Modality>) -> Result<Self, DecodeError> {
        let burned_in = attributes.text(tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES");
        if modality != Some(Modality::Ultrasound) {
            return Ok(Self { kept: Vec::new(), burned_in, ultrasound: false });
        }
        let region = |item| {
            let item = Attributes::new(item);
            Some(Region {
                left: item.integer(tags::REGION_LOCATION_MIN_X0)?,
                top: item.integer(tags::REGION_LOCATION_MIN_Y0)?,
                right: item.integer(tags::REGION_LOCATION_MAX_X1)?,
                bottom: item.integer(tags::REGION_LOCATION_MAX_Y1)?,
            })
        };
        let items = attributes.items(tags::SEQUENCE_OF_ULTRASOUND_REGIONS);
        let kept: Option<Vec<Region>> = items.iter().map(region).collect();
        match kept.filter(|kept| kept.len() <= REGIONS_MAX) {
            Some(kept) => Ok(Self { kept, burned_in, ultrasound: true }),
            None => Err(malformed(&format!("the ultrasound regions cannot be read, expected at most {REGIONS_MAX}"))),
        }
    }

    /// What is burned in is counted also where regions are known: it may lie inside one.
    pub(super) fn notes(&self) -> [Option<Note>; 2] {
        let of_regions = match self {
            Self { kept, .. } if !kept.is_empty() => Some(Note::OutsideRegionsBlanked),
            Self { ultrasound: true, burned_in: false, .. } => Some(Note::WithoutRegions),
            _ => None,
        };
        [of_regions, self.burned_in.then_some(Note::BurnedIn)]
    }

    pub(super) fn blank_outside(&self, values: &mut [f32], columns: usize) {
        if self.kept.is_empty() {
            return;
        }
        for (row, line) in (0..).zip(values.chunks_exact_mut(columns.max(1))) {
            for (column, value) in (0..).zip(line) {
                if !self.kept.iter().any(|region| region.holds(column, row)) {
                    *value = 0.0;
                }
            }
        }
    }
}
