//! What a training step eats.

use vismae_core::ids::Epoch;
use vismae_core::spec::Modality;

use crate::order::RowRef;
use crate::sample::SampleId;

/// The samples of one step that fall to one rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The epoch it belongs to; 0 when read front to back.
    pub epoch: Epoch,
    /// The step in its epoch, from 0.
    pub step: u64,
    /// Side of every image, in pixels.
    pub size: u32,
    /// `len() * size * size` grey levels: sample, row, column.
    pub images: Vec<u8>,
    /// The class of each sample, as an index into the classes of the corpus.
    pub labels: Vec<Option<i64>>,
    /// Class indices laid out as `images`; present when the dataset was opened for masks.
    pub masks: Option<Vec<u8>>,
    /// Where each sample was copied from: row groups by their place in the dataset.
    pub rows: Vec<RowRef>,
    /// The identity of each sample.
    pub samples: Vec<SampleId>,
    /// The modality of each sample.
    pub modalities: Vec<Modality>,
    /// Samples of this step over all ranks: what a mean over the global batch divides by.
    pub global_samples: u32,
}

impl Batch {
    /// Samples in it; 0 for a rank that a short last step leaves out.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether it holds no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}
