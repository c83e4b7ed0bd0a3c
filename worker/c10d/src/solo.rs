//! A world of one rank, where every collective is already done.

use crate::collective::{check_layout, check_root};
use crate::{Collective, CollectiveError, Membership, ReduceOp};
use tch::Tensor;

/// The group of a process that trains alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct SoloGroup;

impl Collective for SoloGroup {
    fn membership(&self) -> Membership {
        Membership::SOLO
    }

    fn all_reduce(&self, tensor: &Tensor, _operation: ReduceOp) -> Result<(), CollectiveError> {
        check_layout("all-reduce", tensor)
    }

    fn broadcast(&self, tensor: &Tensor, root: u32) -> Result<(), CollectiveError> {
        check_root(Membership::SOLO, root)?;
        check_layout("broadcast", tensor)
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        Ok(())
    }
}
