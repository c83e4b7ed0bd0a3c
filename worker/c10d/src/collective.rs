//! What ranks do together, whatever carries it.

use crate::Membership;
use tch::Tensor;

/// How the values of all ranks become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReduceOp {
    /// Their sum.
    Sum,
    /// Their product.
    Product,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// Why a collective did not happen, or not to the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectiveError {
    /// The tensor is not laid out as one dense block.
    #[error("cannot {operation} a tensor of shape `{shape:?}` that is not contiguous: call `contiguous` first")]
    Layout {
        /// What was asked for.
        operation: &'static str,
        /// The shape of the tensor.
        shape: Vec<i64>,
    },
    /// The root of a broadcast is not a member.
    #[error("cannot broadcast from rank `{root}`: the group has `{world_size}` ranks")]
    Root {
        /// The rank that was named.
        root: u32,
        /// How many ranks there are.
        world_size: u32,
    },
    /// A peer is gone, the group was aborted, or the ranks disagree. The group can't be used again.
    #[error("{operation} failed on {membership}: {reason}")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// Who was doing it.
        membership: Membership,
        /// What the backend said.
        reason: String,
    },
}

/// Operations that every rank of a group calls in the same order with tensors of the same shape and kind.
///
/// All of them block until they are done, and all work in place. After an error a group is spent: form another.
///
/// ```
/// use tch::Tensor;
/// use vismae_c10d::{Collective, SoloGroup};
///
/// fn mean_loss(group: &impl Collective, loss_sum: f64, count: i64) -> anyhow::Result<f64> {
///     let totals = Tensor::from_slice(&[loss_sum, count as f64]);
///     group.all_reduce_sum(&totals)?;
///     Ok(totals.double_value(&[0]) / totals.double_value(&[1]))
/// }
///
/// assert_eq!(mean_loss(&SoloGroup, 6.0, 4)?, 1.5);
/// # anyhow::Ok(())
/// ```
pub trait Collective {
    /// Who this rank is.
    fn membership(&self) -> Membership;

    /// Replaces `tensor` on every rank by the reduction over all ranks.
    ///
    /// # Errors
    ///
    /// [`CollectiveError::Layout`] before anything is sent, [`CollectiveError::Failed`] when a peer is gone.
    fn all_reduce(&self, tensor: &Tensor, operation: ReduceOp) -> Result<(), CollectiveError>;

    /// Replaces `tensor` on every rank by the one of rank `root`.
    ///
    /// # Errors
    ///
    /// [`CollectiveError::Root`] or [`CollectiveError::Layout`] before anything is sent,
    /// [`CollectiveError::Failed`] when a peer is gone.
    fn broadcast(&self, tensor: &Tensor, root: u32) -> Result<(), CollectiveError>;

    /// Waits until every rank has come here.
    ///
    /// # Errors
    ///
    /// [`CollectiveError::Failed`] when a peer is gone.
    fn barrier(&self) -> Result<(), CollectiveError>;

    /// Replaces `tensor` on every rank by the sum over all ranks.
    ///
    /// # Errors
    ///
    /// As [`Collective::all_reduce`].
    fn all_reduce_sum(&self, tensor: &Tensor) -> Result<(), CollectiveError> {
        self.all_reduce(tensor, ReduceOp::Sum)
    }

    /// The number of this rank, from zero.
    fn rank(&self) -> u32 {
        self.membership().rank()
    }

    /// How many ranks there are.
    fn world_size(&self) -> u32 {
        self.membership().world_size()
    }
}

/// Refuses a tensor that the backends would read or write wrongly.
pub(crate) fn check_layout(operation: &'static str, tensor: &Tensor) -> Result<(), CollectiveError> {
    if tensor.is_contiguous() { Ok(()) } else { Err(CollectiveError::Layout { operation, shape: tensor.size() }) }
}

/// Refuses a root outside the group.
pub(crate) fn check_root(membership: Membership, root: u32) -> Result<(), CollectiveError> {
    let world_size = membership.world_size();
    if root < world_size { Ok(()) } else { Err(CollectiveError::Root { root, world_size }) }
}
