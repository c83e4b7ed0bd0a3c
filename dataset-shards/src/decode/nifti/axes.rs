//! Which axes of a volume become the planes, their rows and their columns, and which way they run.

/// Spacings that differ by less are taken for equal.
const SPACING_TOLERANCE: f64 = 1.01;

/// An axis of the file, run forwards or backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) struct Axis {
    pub(super) index: usize,
    pub(super) backwards: bool,
}

/// How a volume is cut into planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) struct Cut {
    /// From plane to plane.
    pub(super) through: Axis,
    /// Along a row of a plane, from the left.
    pub(super) across: Axis,
    /// From row to row, from the top.
    pub(super) down: Axis,
}

impl Cut {
    /// Where the file says where it lies, planes are turned as DICOM stores them and a radiologist looks at them: rows run to
    /// the patient's left, or to the back; columns to the back, or down. Elsewhere the axes are taken as they are.
    pub(super) fn new(shape: [u32; 3], spacing: [f64; 3], affine: Option<&[[f64; 4]; 3]>) -> Self {
        let through = through_axis(shape, spacing);
        let in_plane: Vec<usize> = (0..3).filter(|&axis| axis != through).collect();
        let Some(affine) = affine else {
            let forwards = |index| Axis { index, backwards: false };
            return Self { through: forwards(through), across: forwards(in_plane[0]), down: forwards(in_plane[1]) };
        };
        let direction = directions(affine);
        // Of right-left, back-front and down-up, the first of those in the plane runs across.
        let (mut across, mut down) = (in_plane[0], in_plane[1]);
        if direction[across].world > direction[down].world {
            std::mem::swap(&mut across, &mut down);
        }
        let against = |index: usize| Axis { index, backwards: direction[index].positive };
        let along = Axis { index: through, backwards: !direction[through].positive };
        Self { through: along, across: against(across), down: against(down) }
    }

    /// Planes of a volume of a shape, to be filled.
    pub(super) fn planes(self, shape: [u32; 3], voxels: Vec<f32>) -> Planes {
        let shape = shape.map(|side| side as usize);
        let (across, down) = (shape[self.across.index], shape[self.down.index]);
        let (mut steps, mut first) = ([0; 3], 0);
        for (axis, step) in [(self.across, 1), (self.down, across), (self.through, across * down)] {
            steps[axis.index] = if axis.backwards { -(step as isize) } else { step as isize };
            first += if axis.backwards { step * (shape[axis.index] - 1) } else { 0 };
        }
        Planes { voxels, shape, steps, first: first as isize, next: [0; 3] }
    }
}

/// Voxels plane by plane, row by row from the top, which are filled in the order of the file.
pub(super) struct Planes {
    voxels: Vec<f32>,
    /// Of the file: the first axis runs fastest.
    shape: [usize; 3],
    /// From the place of a voxel to that of the next along each axis of the file.
    steps: [isize; 3],
    /// The place of the first voxel of the file.
    first: isize,
    /// The voxel that comes next.
    next: [usize; 3],
}

impl Planes {
    /// Puts the voxels that come next in the file where they belong; what is more than the volume is left.
    pub(super) fn put(&mut self, mut values: &[f32]) {
        while !values.is_empty() && self.next[2] < self.shape[2] {
            let [x, y, z] = self.next;
            let (row, rest) = values.split_at(values.len().min(self.shape[0] - x));
            let along = |axis: usize, at: usize| at as isize * self.steps[axis];
            let mut place = self.first + along(0, x) + along(1, y) + along(2, z);
            for &value in row {
                self.voxels[place as usize] = value;
                place += self.steps[0];
            }
            self.next[0] += row.len();
            for axis in 0..2 {
                if self.next[axis] == self.shape[axis] {
                    self.next[axis] = 0;
                    self.next[axis + 1] += 1;
                }
            }
            values = rest;
        }
    }

    pub(super) fn into_voxels(self) -> Vec<f32> {
        self.voxels
    }
}

/// The axis that planes are cut across: one of a single voxel, else that of a clearly largest spacing, else the third.
fn through_axis(shape: [u32; 3], spacing: [f64; 3]) -> usize {
    if let Some(flat) = [2, 1, 0].into_iter().find(|&axis| shape[axis] == 1) {
        return flat;
    }
    let clearly_largest = |axis: usize| {
        (0..3).filter(|&other| other != axis).all(|other| spacing[axis] > spacing[other] * SPACING_TOLERANCE)
    };
    (0..3).find(|&axis| clearly_largest(axis)).unwrap_or(2)
}

/// The direction of the patient that an axis of the file runs along most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) struct Direction {
    /// 0 to the right, 1 to the front, 2 up.
    pub(in crate::decode) world: usize,
    /// Along it, rather than against it.
    pub(in crate::decode) positive: bool,
}

/// The direction of each axis; no two have the same, the clearest come first.
pub(in crate::decode) fn directions(affine: &[[f64; 4]; 3]) -> [Direction; 3] {
    let length = |axis: usize| affine.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt();
    let share = |axis: usize, world: usize| affine[world][axis] / length(axis);
    let mut pairs: Vec<(usize, usize)> = (0..3).flat_map(|axis| (0..3).map(move |world| (axis, world))).collect();
    pairs.sort_by(|&(a, b), &(c, d)| share(c, d).abs().total_cmp(&share(a, b).abs()));
    let mut found: [Option<Direction>; 3] = [None; 3];
    for (axis, world) in pairs {
        let is_taken = found.iter().flatten().any(|direction| direction.world == world);
        if found[axis].is_none() && !is_taken {
            found[axis] = Some(Direction { world, positive: share(axis, world) > 0.0 });
        }
    }
    std::array::from_fn(|axis| found[axis].unwrap_or(Direction { world: axis, positive: true }))
}
