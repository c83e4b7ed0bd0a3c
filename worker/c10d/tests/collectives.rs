//! One suite for every implementation of `Collective`, and what only groups of several ranks can show.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod ranks;

use tch::{Device, Kind, Tensor};
use vismae_c10d::{
    Backend, Collective, CollectiveError, GroupError, GroupOptions, Membership, ProcessGroup, ReduceOp, SoloGroup,
    TcpStore, nccl_available,
};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

/// What every implementation does, on each of its ranks.
fn conforms(group: &dyn Collective) {
    let (rank, world_size) = (i64::from(group.rank()), i64::from(group.world_size()));
    assert!(rank < world_size);
    assert_eq!(group.membership(), Membership::new(group.rank(), group.world_size()).unwrap());

    // 1, 2, 3, … over the ranks.
    let reduced = |operation| {
        let tensor = Tensor::full([2, 3], rank + 1, (Kind::Int64, Device::Cpu));
        group.all_reduce(&tensor, operation).unwrap();
        assert_eq!(tensor.size(), [2, 3]);
        tensor.int64_value(&[1, 2])
    };
    assert_eq!(reduced(ReduceOp::Sum), world_size * (world_size + 1) / 2);
    assert_eq!(reduced(ReduceOp::Product), (1..=world_size).product::<i64>());
    assert_eq!(reduced(ReduceOp::Min), 1);
    assert_eq!(reduced(ReduceOp::Max), world_size);

    let sum = Tensor::from_slice(&[rank as f64, 1.0]);
    group.all_reduce_sum(&sum).unwrap();
    assert_eq!(sum.double_value(&[0]), (world_size * (world_size - 1) / 2) as f64);
    assert_eq!(sum.double_value(&[1]), world_size as f64);

    for root in 0..group.world_size() {
        let tensor = Tensor::full([4], rank, CPU);
        group.broadcast(&tensor, root).unwrap();
        assert!(tensor.equal(&Tensor::full([4], i64::from(root), CPU)));
    }

    let strided = Tensor::zeros([2, 3], CPU).tr();
    assert!(matches!(group.all_reduce_sum(&strided), Err(CollectiveError::Layout { .. })));
    assert!(matches!(group.broadcast(&strided, 0), Err(CollectiveError::Layout { .. })));
    let outside = group.broadcast(&Tensor::zeros([1], CPU), group.world_size()).unwrap_err();
    assert_eq!(outside, CollectiveError::Root { root: group.world_size(), world_size: group.world_size() });

    group.barrier().unwrap();
}

#[test]
fn a_world_of_one_conforms() {
    conforms(&SoloGroup);
}

#[test]
fn gloo_conforms_on_one_rank() {
    ranks::run(1, |group| conforms(group));
}

#[test]
fn gloo_conforms_on_three_ranks() {
    ranks::run(3, |group| conforms(group));
}

#[test]
fn a_second_group_forms_under_another_prefix_of_the_same_store() {
    let server = TcpStore::serve(ranks::LOOPBACK).unwrap();
    let address = server.address();
    let sums = std::thread::scope(|scope| {
        let ranks = [0, 1].map(|rank| {
            scope.spawn(move || {
                let sums = ["generation/1", "generation/2"].map(|prefix| {
                    let group = ranks::join(address, prefix, rank, 2);
                    let tensor = Tensor::ones([1], CPU);
                    group.all_reduce_sum(&tensor).unwrap();
                    tensor.double_value(&[0])
                });
                sums.iter().sum::<f64>()
            })
        });
        ranks.map(|rank| rank.join().unwrap())
    });
    assert_eq!(sums, [4.0, 4.0]);
}

#[test]
fn a_rank_that_waits_for_others_in_vain_says_so() {
    let server = TcpStore::serve(ranks::LOOPBACK).unwrap();
    let options = GroupOptions { join_timeout: std::time::Duration::from_millis(500), ..ranks::gloo() };
    let store = server.with_prefix("lonely").unwrap();
    let error = ProcessGroup::new(&store, Membership::new(0, 2).unwrap(), &options).unwrap_err();
    assert!(error.to_string().starts_with("rank 0 of 2 could not join its group: "), "{error}");
}

#[test]
fn nccl_without_a_gpu_is_refused_with_a_reason() {
    let server = TcpStore::serve(ranks::LOOPBACK).unwrap();
    let found = usize::try_from(tch::Cuda::device_count()).unwrap();
    let options = GroupOptions { backend: Backend::Nccl { device: found }, ..ranks::gloo() };
    let store = server.with_prefix("nccl").unwrap();
    let error = ProcessGroup::new(&store, Membership::SOLO, &options).unwrap_err();
    if nccl_available() {
        assert!(matches!(error, GroupError::NoDevice { .. }), "{error}");
        assert!(error.to_string().contains(&format!("CUDA device `{found}` does not exist")), "{error}");
    } else {
        assert!(matches!(error, GroupError::NcclNotBuilt), "{error}");
    }
}
