//! A computed image and its mask.

use super::lesion::Lesion;

/// One image in source units, and which pixels belong to the lesion.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) size: usize,
    /// Row by row from the top.
    pub(super) values: Vec<f32>,
    /// 0 or 1.
    pub(super) mask: Vec<u8>,
}

impl Plane {
    /// Evaluates a function of x and y at the centre of every pixel, and the lesion's section at z.
    pub(super) fn compute(
        size: usize,
        lesion: Option<&Lesion>,
        z: f32,
        mut value: impl FnMut(f32, f32) -> f32,
    ) -> Self {
        let place = |at: usize| (2 * at + 1) as f32 / size as f32 - 1.0;
        let mut plane = Self { size, values: Vec::with_capacity(size * size), mask: Vec::with_capacity(size * size) };
        for (x, y) in (0..size).flat_map(|row| (0..size).map(move |column| (place(column), place(row)))) {
            plane.values.push(value(x, y));
            plane.mask.push(u8::from(lesion.is_some_and(|lesion| lesion.contains(x, y, z))));
        }
        plane
    }

    /// Smooths along both axes with a binomial kernel, `passes` times: each adds a variance of half a pixel.
    pub(super) fn blur(&mut self, passes: usize) {
        for _ in 0..passes {
            let along_columns = blur_rows(&transpose(&self.values, self.size), self.size);
            self.values = blur_rows(&transpose(&along_columns, self.size), self.size);
        }
    }

    pub(super) fn map(&mut self, change: impl FnMut(f32) -> f32) {
        self.values = std::mem::take(&mut self.values).into_iter().map(change).collect();
    }
}

fn blur_rows(values: &[f32], size: usize) -> Vec<f32> {
    let smooth = |row: &[f32], at: usize| {
        let (left, right) = (row[at.saturating_sub(1)], row[(at + 1).min(size - 1)]);
        0.25 * left + 0.5 * row[at] + 0.25 * right
    };
    values.chunks_exact(size).flat_map(|row| (0..size).map(move |at| smooth(row, at))).collect()
}

fn transpose(values: &[f32], size: usize) -> Vec<f32> {
    (0..size).flat_map(|column| (0..size).map(move |row| values[row * size + column])).collect()
}
