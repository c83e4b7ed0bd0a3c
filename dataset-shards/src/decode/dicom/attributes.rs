//! Reading attributes as what the standard says they are, whatever representation the file gives them.

use dicom_core::chrono::{Datelike, Timelike};
use dicom_core::header::HasLength;
use dicom_core::value::{AsRange, DicomDate, DicomTime};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

/// A data set or an item of a sequence.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a> {
    object: &'a InMemDicomObject,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(object: &'a InMemDicomObject) -> Self {
        Self { object }
    }

    /// Whether there is not one.
    pub(super) fn are_none(self) -> bool {
        self.object.iter().next().is_none()
    }

    pub(super) fn has(self, tag: Tag) -> bool {
        self.object.get(tag).is_some()
    }

    /// Present, with a value.
    pub(super) fn is_filled(self, tag: Tag) -> bool {
        self.object.get(tag).is_some_and(|element| !element.is_empty())
    }

    /// A trimmed text; none when it is absent or blank.
    pub(super) fn text(self, tag: Tag) -> Option<String> {
        let element = self.object.get(tag)?;
        let text = if element.vr() == VR::UN { unknown_text(element)? } else { element.to_str().ok()?.into_owned() };
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A whole number that the standard stores in two or four bytes, or as text.
    pub(super) fn integer(self, tag: Tag) -> Option<i64> {
        let element = self.object.get(tag)?;
        if element.vr() != VR::UN {
            return element.to_int().ok();
        }
        // The one that is stored as text.
        if tag == tags::NUMBER_OF_FRAMES {
            return unknown_text(element)?.trim_matches([' ', '\0']).parse().ok();
        }
        match *element.to_bytes().ok()? {
            [a, b] => Some(u16::from_le_bytes([a, b]).into()),
            [a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d]).into()),
            _ => None,
        }
    }

    /// A finite number that the standard stores as text.
    pub(super) fn number(self, tag: Tag) -> Option<f64> {
        self.numbers(tag)?.first().copied().filter(|value| value.is_finite())
    }

    /// Numbers that the standard stores as text.
    pub(super) fn numbers(self, tag: Tag) -> Option<Vec<f64>> {
        let element = self.object.get(tag)?;
        if element.vr() != VR::UN {
            return element.to_multi_float64().ok();
        }
        unknown_text(element)?.split('\\').map(|part| part.trim_matches([' ', '\0']).parse().ok()).collect()
    }

    /// Values of two bytes each, as tables are made of.
    pub(super) fn words(self, tag: Tag) -> Option<Vec<u16>> {
        let element = self.object.get(tag)?;
        match element.vr() {
            VR::OB | VR::OW | VR::UN => {
                let bytes = element.to_bytes().ok()?;
                Some(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect())
            }
            // A signed value and an unsigned one of the same bits are the same entry.
            _ => {
                element.to_multi_int::<i32>().ok().map(|values| values.into_iter().map(|value| value as u16).collect())
            }
        }
    }

    /// The entries of a table that its descriptor says to be so many, of so many bits; none when there are fewer.
    pub(super) fn table(self, tag: Tag, count: usize, bits: u16) -> Option<Vec<f32>> {
        let words = self.words(tag)?;
        // Entries of 8 bits may be packed two to a word.
        let mut entries: Vec<f32> = if bits == 8 && words.len() < count {
            words.iter().flat_map(|word| word.to_le_bytes()).map(f32::from).collect()
        } else {
            words.into_iter().map(f32::from).collect()
        };
        // Padding is no entry.
        entries.truncate(count);
        (entries.len() == count).then_some(entries)
    }

    /// The items of a sequence; none when it is absent.
    pub(super) fn items(self, tag: Tag) -> &'a [InMemDicomObject] {
        self.object.get(tag).and_then(InMemElement::items).unwrap_or_default()
    }

    /// Whether a sequence is there as bytes of unknown representation, which hide what it says.
    pub(super) fn hides(self, tag: Tag) -> bool {
        self.object
            .get(tag)
            .is_some_and(|element| element.vr() == VR::UN && !element.is_empty() && element.items().is_none())
    }

    /// The first item of a sequence.
    pub(super) fn item(self, tag: Tag) -> Option<Self> {
        self.items(tag).first().map(Self::new)
    }

    /// Seconds since midnight of a time.
    pub(super) fn seconds_of_day(self, tag: Tag) -> Option<f64> {
        seconds(&self.object.get(tag)?.to_time().ok()?)
    }

    /// The number of a day, counted from the same one for all.
    pub(super) fn day(self, tag: Tag) -> Option<i64> {
        day(&self.object.get(tag)?.to_date().ok()?)
    }

    /// The same two of a date with a time.
    pub(super) fn day_and_seconds(self, tag: Tag) -> Option<(i64, f64)> {
        let stamp = self.object.get(tag)?.to_datetime().ok()?;
        Some((day(stamp.date())?, seconds(stamp.time()?)?))
    }
}

fn seconds(time: &DicomTime) -> Option<f64> {
    let time = time.earliest().ok()?;
    Some(f64::from(time.num_seconds_from_midnight()) + f64::from(time.nanosecond()) / 1e9)
}

fn day(date: &DicomDate) -> Option<i64> {
    Some(date.earliest().ok()?.num_days_from_ce().into())
}

fn unknown_text(element: &InMemElement) -> Option<String> {
    let bytes = element.to_bytes().ok()?;
    bytes.is_ascii().then(|| bytes.iter().copied().map(char::from).collect())
}
