//! The parts of an ultrasound image that show ultrasound: what lies around them is the device's, and may name the patient.

use dicom_dictionary_std::tags;
use vismae_core::spec::Modality;

use super::attributes::Attributes;
use crate::decode::Note;

/// Rectangles that are kept; everything is where there are none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Regions {
    kept: Vec<Region>,
    burned_in: bool,
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
    pub(super) fn read(attributes: Attributes<'_>, modality: Option<Modality>) -> Self {
        let burned_in = attributes.text(tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES");
        if modality != Some(Modality::Ultrasound) {
            return Self { kept: Vec::new(), burned_in };
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
        Self { kept: items.iter().filter_map(region).collect(), burned_in }
    }

    pub(super) fn note(&self) -> Option<Note> {
        match (self.kept.is_empty(), self.burned_in) {
            (false, _) => Some(Note::OutsideRegionsBlanked),
            (true, true) => Some(Note::BurnedIn),
            (true, false) => None,
        }
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
