//! Losing a peer in the backward pass, in a process of its own: an abort cuts every link that opened while the group formed.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod ranks;

use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};
use vismae_c10d::{Collective, Reducer};

#[test]
fn a_peer_that_aborts_ends_the_backward_pass_of_the_others_with_an_error() {
    let both_joined = Barrier::new(2);
    ranks::run(2, |group| {
        both_joined.wait();
        if group.rank() == 1 {
            group.abort_handle().abort();
            return;
        }
        let weights = Tensor::ones([8], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let bucket = NonZeroUsize::new(1024).unwrap();
        let start = Instant::now();
        let reducer = Reducer::new(std::slice::from_ref(&weights), group, bucket).unwrap();
        let error = reducer.backward(&weights.square().sum(Kind::Float)).unwrap_err();
        assert!(error.to_string().starts_with("the backward pass failed on rank 0 of 2: "), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30), "the collective's own limit is a minute");
    });
}
