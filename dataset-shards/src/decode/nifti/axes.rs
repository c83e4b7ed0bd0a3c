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

    /// The voxels plane by plane, row by row from the top.
    pub(super) fn apply(self, voxels: &[f32], shape: [u32; 3]) -> Vec<f32> {
        let shape = shape.map(|side| side as usize);
        let strides = [1, shape[0], shape[0] * shape[1]];
        let places = |axis: Axis| {
            let (side, stride) = (shape[axis.index], strides[axis.index]);
            (0..side).map(move |at| stride * if axis.backwards { side - 1 - at } else { at })
        };
        let mut cut = Vec::with_capacity(voxels.len());
        for plane in places(self.through) {
            for row in places(self.down) {
                cut.extend(places(self.across).map(|column| voxels[plane + row + column]));
            }
        }
        cut
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
