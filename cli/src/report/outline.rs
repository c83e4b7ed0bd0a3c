//! The outline of the classes of a mask, along the edges of its pixels.

use vismae_shards::frame::{Frame, Pixels};

/// The outline as data of an SVG path in pixel units, empty for a mask of one class. Every edge between two pixels of
/// different classes is drawn, and the edge of the image where a class other than 0 touches it.
pub(super) fn path(mask: &Frame) -> String {
    let grid = Grid::new(mask);
    let (width, height) = (grid.width, grid.height);
    let mut path = String::new();
    for y in 0..=height {
        let edges = (0..width).map(|x| grid.class(x, y - 1) != grid.class(x, y));
        for (start, length) in runs(edges) {
            path += &format!("M{start} {y}h{length}");
        }
    }
    for x in 0..=width {
        let edges = (0..height).map(|y| grid.class(x - 1, y) != grid.class(x, y));
        for (start, length) in runs(edges) {
            path += &format!("M{x} {start}v{length}");
        }
    }
    path
}

/// The classes of a mask; those outside it are 0, the background.
struct Grid<'m> {
    classes: &'m Pixels,
    width: i64,
    height: i64,
}

impl<'m> Grid<'m> {
    fn new(mask: &'m Frame) -> Self {
        Self { classes: mask.pixels(), width: mask.width().into(), height: mask.height().into() }
    }

    fn class(&self, x: i64, y: i64) -> u16 {
        if !(0..self.width).contains(&x) || !(0..self.height).contains(&y) {
            return 0;
        }
        let index = (y * self.width + x) as usize;
        match self.classes {
            Pixels::Gray8(classes) => classes[index].into(),
            Pixels::Gray16(classes) => classes[index],
        }
    }
}

/// Start and length of every stretch of `true`.
fn runs(edges: impl Iterator<Item = bool>) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in edges.enumerate().filter(|(_, edge)| *edge) {
        match found.last_mut() {
            Some((start, length)) if *start + *length == at => *length += 1,
            _ => found.push((at, 1)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_is_four_straight_lines() {
        let mut classes = vec![0; 16];
        for index in [5, 6, 9, 10] {
            classes[index] = 1;
        }
        assert_eq!(path(&Frame::gray8(4, 4, classes).unwrap()), "M1 1h2M1 3h2M1 1v2M3 1v2");
    }

    #[test]
    fn a_mask_that_touches_the_border_is_closed_there() {
        assert_eq!(path(&Frame::gray8(1, 1, vec![1]).unwrap()), "M0 0h1M0 1h1M0 0v1M1 0v1");
    }

    #[test]
    fn neighbouring_classes_are_told_apart_and_background_has_no_outline() {
        assert!(path(&Frame::gray8(2, 1, vec![1, 2]).unwrap()).contains("M1 0v1"));
        assert_eq!(path(&Frame::gray8(2, 2, vec![0; 4]).unwrap()), "");
    }
}
