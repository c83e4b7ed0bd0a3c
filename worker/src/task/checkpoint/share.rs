//! The share of one rank: which tensors it is, and their bytes as safetensors.

use std::borrow::Cow;
use std::ops::Range;

use safetensors::tensor::{Dtype, View};
use tch::{Device, Kind, Tensor};

use super::super::error::TaskError;

/// The file of the share of a rank.
pub(super) fn file(rank: u32, world: u32) -> String {
    format!("part-{rank:05}-of-{world:05}.safetensors")
}

/// Tensors of one rank, copied.
pub(super) struct Share(Vec<(String, Copied)>);

/// A copy of a tensor in the memory of this machine.
struct Copied(Tensor);

/// The bytes of a tensor.
struct Laid {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Share {
    /// Copies the tensors that fall to a rank of so many.
    pub(super) fn copy(state: &[(String, Tensor)], rank: u32, world: u32) -> Result<Self, TaskError> {
        let sizes: Vec<u64> = state.iter().map(|(_, tensor)| bytes_of(tensor) as u64).collect();
        let own = &state[of_rank(&sizes, rank, world)];
        let copies = own.iter().map(|(name, tensor)| Ok((name.clone(), Copied::of(tensor)?)));
        copies.collect::<Result<_, _>>().map(Self)
    }

    /// Lays them out as a safetensors file, off the threads that wait for the network.
    pub(super) async fn into_bytes(self) -> Result<Vec<u8>, TaskError> {
        let laid_out = tokio::task::spawn_blocking(move || self.lay_out()).await;
        laid_out.map_err(TaskError::while_doing("laying out a checkpoint"))?
    }

    fn lay_out(self) -> Result<Vec<u8>, TaskError> {
        let laid = self.0.into_iter().map(|(name, copy)| Ok((name, copy.lay_out()?)));
        let laid: Vec<_> = laid.collect::<Result<_, TaskError>>()?;
        safetensors::serialize(laid, None).map_err(TaskError::while_doing("laying out a checkpoint"))
    }
}

/// The tensors of a rank: contiguous, each of exactly one rank, the bytes about the same for all.
fn of_rank(sizes: &[u64], rank: u32, world: u32) -> Range<usize> {
    let total: u64 = sizes.iter().sum();
    let ends: Vec<u64> = sizes
        .iter()
        .scan(0, |end, size| {
            *end += size;
            Some(*end)
        })
        .collect();
    // A tensor belongs to the rank that the middle of it falls to.
    let first = |rank: u32| {
        let place = u128::from(total) * u128::from(rank) / u128::from(world.max(1));
        (0..sizes.len()).position(|index| u128::from(ends[index] - sizes[index] / 2) > place).unwrap_or(sizes.len())
    };
    let start = if rank == 0 { 0 } else { first(rank) };
    let end = if rank + 1 == world { sizes.len() } else { first(rank + 1) };
    start..end.max(start)
}

fn bytes_of(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

impl Copied {
    /// By as many threads as compute, and into memory that nobody has cleared: the loop stands still meanwhile.
    fn of(tensor: &Tensor) -> Result<Self, TaskError> {
        let copy = || {
            let tensor = tensor.detach();
            if tensor.device() != Device::Cpu {
                return tensor.f_to_device(Device::Cpu)?.f_contiguous();
            }
            let mut copy = Tensor::f_empty(tensor.size(), (tensor.kind(), Device::Cpu))?;
            copy.f_copy_(&tensor)?;
            Ok(copy)
        };
        copy().map(Self).map_err(TaskError::while_doing("copying a tensor"))
    }

    fn lay_out(self) -> Result<Laid, TaskError> {
        let Self(tensor) = self;
        let kind = tensor.kind();
        let dtype = dtype(kind).ok_or_else(|| TaskError::environment(format!("a checkpoint of `{kind:?}` numbers")))?;
        let mut bytes = vec![0; bytes_of(&tensor)];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel()).map_err(TaskError::while_doing("copying a tensor"))?;
        Ok(Laid { dtype, shape: tensor.size().iter().map(|&size| size as usize).collect(), bytes })
    }
}

impl View for Laid {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// What safetensors calls the numbers of a tensor that training changes.
pub(super) fn dtype(kind: Kind) -> Option<Dtype> {
    match kind {
        Kind::Float => Some(Dtype::F32),
        Kind::Double => Some(Dtype::F64),
        Kind::Half => Some(Dtype::F16),
        Kind::BFloat16 => Some(Dtype::BF16),
        Kind::Int64 => Some(Dtype::I64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tensor_has_one_rank_and_the_bytes_are_shared_out() {
        for (sizes, world) in
            [(vec![4; 12], 4), (vec![100, 1, 1, 1, 97, 3], 3), (vec![5], 3), (vec![], 2), (vec![0, 0, 7], 2)]
        {
            let ranges: Vec<_> = (0..world).map(|rank| of_rank(&sizes, rank, world)).collect();
            let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
            assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>(), "{sizes:?} over {world}");
        }
        let even: Vec<_> = (0..4).map(|rank| of_rank(&[4; 12], rank, 4).len()).collect();
        assert_eq!(even, [3; 4]);
    }

    #[test]
    fn a_share_reads_back_to_the_bit() {
        let tensors = [("a", Tensor::from_slice(&[0.1_f32, f32::NAN])), ("b", Tensor::from_slice(&[i64::MIN, 7]))];
        let state: Vec<_> = tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.shallow_clone())).collect();
        let copy = Share::copy(&state, 0, 1).unwrap();
        // What is trained on meanwhile is another tensor.
        drop(tch::no_grad(|| tensors[0].1.shallow_clone().fill_(7.0)));
        let bytes = copy.lay_out().unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.tensor("a").unwrap().data(), [0.1_f32, f32::NAN].map(f32::to_le_bytes).as_flattened());
        assert_eq!(read.tensor("b").unwrap().data(), [i64::MIN, 7].map(i64::to_le_bytes).as_flattened());
        assert_eq!(read.tensor("b").unwrap().dtype(), Dtype::I64);
    }
}
