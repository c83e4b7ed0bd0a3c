//! Cutting a token grid into attention windows, shifted or not.

use tch::{Device, Kind, Tensor};

/// Added to the score of two tokens that share a shifted window but not a region of the image.
const FORBIDDEN: f32 = -100.0;

/// How a square token grid of a fixed side is cut into windows.
#[derive(Debug)]
pub(crate) struct Windows {
    grid: i64,
    padded: i64,
    window: i64,
    shift: i64,
    /// `[windows, 1, tokens, tokens]`: 0 or [`FORBIDDEN`]. None without a shift.
    mask: Option<Tensor>,
}

impl Windows {
    /// Windows that start at the top left corner; a grid that they don't fit is padded at the right and bottom.
    pub(crate) fn aligned(grid: i64, window: i64) -> Self {
        let padded = (grid + window - 1) / window * window;
        Windows { grid, padded, window, shift: 0, mask: None }
    }

    /// Windows moved by half their side towards the bottom right, wrapping around, with a mask that keeps wrapped
    /// tokens apart. A grid of a single window is shifted too, as the reference does.
    pub(crate) fn shifted(grid: i64, window: i64, device: Device) -> Self {
        let aligned = Self::aligned(grid, window);
        let shift = window / 2;
        let mask = region_mask(aligned.padded, window, shift).to_device(device);
        Windows { shift, mask: Some(mask), ..aligned }
    }

    /// The additive mask of shifted windows, `[windows, 1, tokens, tokens]`.
    pub(crate) fn mask(&self) -> Option<&Tensor> {
        self.mask.as_ref()
    }

    /// `[N, grid, grid, C]` to `[N * windows, tokens of a window, C]`.
    pub(crate) fn partition(&self, tokens: &Tensor) -> Tensor {
        let channels = *tokens.size().last().unwrap_or(&0);
        let extra = self.padded - self.grid;
        let mut tokens = tokens.shallow_clone();
        if extra > 0 {
            tokens = tokens.constant_pad_nd([0, 0, 0, extra, 0, extra]);
        }
        if self.shift > 0 {
            tokens = tokens.roll([-self.shift, -self.shift], [1, 2]);
        }
        let side = self.padded / self.window;
        tokens.view([-1, side, self.window, side, self.window, channels]).permute([0, 1, 3, 2, 4, 5]).reshape([
            -1,
            self.window * self.window,
            channels,
        ])
    }

    /// The inverse of [`Windows::partition`].
    pub(crate) fn merge(&self, windows: &Tensor) -> Tensor {
        let channels = *windows.size().last().unwrap_or(&0);
        let side = self.padded / self.window;
        let mut tokens = windows
            .view([-1, side, side, self.window, self.window, channels])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([-1, self.padded, self.padded, channels]);
        if self.shift > 0 {
            tokens = tokens.roll([self.shift, self.shift], [1, 2]);
        }
        if self.padded > self.grid {
            tokens = tokens.narrow(1, 0, self.grid).narrow(2, 0, self.grid).contiguous();
        }
        tokens
    }
}

/// Three bands an axis, nine regions in all: tokens attend to each other when they share window and region.
fn region_mask(padded: i64, window: i64, shift: i64) -> Tensor {
    let band = |place: i64| match place {
        place if place < padded - window => 0,
        place if place < padded - shift => 1,
        _ => 2,
    };
    let side = padded / window;
    let mut mask = Vec::new();
    for index in 0..side * side {
        let (top, left) = (index / side * window, index % side * window);
        let regions: Vec<i64> =
            (0..window * window).map(|token| 3 * band(top + token / window) + band(left + token % window)).collect();
        for query in &regions {
            mask.extend(regions.iter().map(|key| if key == query { 0.0 } else { FORBIDDEN }));
        }
    }
    let tokens = window * window;
    Tensor::from_slice(&mask).view([side * side, 1, tokens, tokens])
}

/// For each pair of tokens of a window, the row of the bias table that their offset selects: `[tokens * tokens]`.
pub(crate) fn relative_position_index(window: i64) -> Tensor {
    let tokens = window * window;
    let span = 2 * window - 1;
    let index = |query: i64, key: i64| {
        let (rows, columns) = (query / window - key / window, query % window - key % window);
        (rows + window - 1) * span + columns + window - 1
    };
    let pairs: Vec<i64> = (0..tokens).flat_map(|query| (0..tokens).map(move |key| index(query, key))).collect();
    Tensor::from_slice(&pairs).view([tokens, tokens]).to_kind(Kind::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn numbered(batch: i64, grid: i64, channels: i64) -> Tensor {
        Tensor::arange(batch * grid * grid * channels, (Kind::Float, Device::Cpu)).view([batch, grid, grid, channels])
    }

    #[test]
    fn partition_and_merge_undo_each_other() {
        for (grid, window) in [(8, 4), (7, 7), (10, 4), (5, 7), (14, 7)] {
            let tokens = numbered(2, grid, 3);
            for windows in [Windows::aligned(grid, window), Windows::shifted(grid, window, Device::Cpu)] {
                let parts = windows.partition(&tokens);
                let side = (grid + window - 1) / window;
                assert_eq!(parts.size(), [2 * side * side, window * window, 3]);
                assert!(windows.merge(&parts).equal(&tokens), "grid {grid}, window {window}");
            }
        }
    }

    #[test]
    fn a_window_holds_its_tokens_in_raster_order() {
        let parts = Windows::aligned(4, 2).partition(&numbered(1, 4, 1)).squeeze_dim(2);
        let rows: Vec<Vec<f32>> = (0..4).map(|row| Vec::try_from(parts.get(row)).unwrap()).collect();
        assert_eq!(rows[0], [0.0, 1.0, 4.0, 5.0]);
        assert_eq!(rows[1], [2.0, 3.0, 6.0, 7.0]);
        assert_eq!(rows[2], [8.0, 9.0, 12.0, 13.0]);
    }

    #[test]
    fn a_single_shifted_window_falls_into_four_regions() {
        // 4x4, 4x3, 3x4 and 3x3 tokens.
        let mask = region_mask(7, 7, 3).view([49, 49]);
        let friends = mask.eq(0.0).to_kind(Kind::Int64).sum_dim_intlist(1, false, Kind::Int64);
        let sizes: BTreeSet<i64> = Vec::<i64>::try_from(friends).unwrap().into_iter().collect();
        assert_eq!(sizes, BTreeSet::from([9, 12, 16]));
    }

    #[test]
    fn shifted_windows_see_nine_regions_and_only_the_border_is_divided() {
        let mask = region_mask(12, 4, 2);
        let divided: Vec<bool> = (0..9).map(|window| mask.get(window).lt(0.0).any().int64_value(&[]) == 1).collect();
        assert_eq!(divided, [false, false, true, false, false, true, true, true, true]);
        // The last window joins the four corners of the image: four regions of four tokens.
        let friends = mask.get(8).eq(0.0).sum(Kind::Int64).int64_value(&[]);
        assert_eq!(friends, 16 * 4);
    }

    #[test]
    fn the_relative_index_counts_offsets_row_by_row() {
        let index = relative_position_index(7);
        assert_eq!(index.size(), [49, 49]);
        assert_eq!(index.kind(), Kind::Int64);
        // The same token: offset (0, 0). First query, last key: (-6, -6). Last query, first key: (6, 6).
        assert_eq!(index.int64_value(&[20, 20]), 6 * 13 + 6);
        assert_eq!(index.int64_value(&[0, 48]), 0);
        assert_eq!(index.int64_value(&[48, 0]), 168);
        // One column to the right of the key.
        assert_eq!(index.int64_value(&[1, 0]), 6 * 13 + 7);
    }
}
