//! Gradients averaged over ranks.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod ranks;

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};
use vismae_c10d::{
    AdamWOptions, BackwardWatch, Collective, FusedAdamW, ProcessGroup, Reducer, ReducerError, clip_grad_norm,
};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
const BUCKET: NonZeroUsize = NonZeroUsize::new(64).unwrap();
const OPTIONS: AdamWOptions = AdamWOptions { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.05 };

/// Two layers whose weights are the same everywhere.
fn parameters() -> Vec<Tensor> {
    let weights = |rows: i64, columns: i64| {
        let values = Tensor::arange(rows * columns, CPU).view([rows, columns]);
        ((values * 0.37).sin() * 0.5).set_requires_grad(true)
    };
    vec![weights(5, 8), weights(1, 5)]
}

/// Numbers that differ from sample to sample.
fn samples(first: i64, count: i64) -> Tensor {
    (Tensor::arange_start(first * 8, (first + count) * 8, CPU).view([count, 8]) * 0.61).cos()
}

fn loss(parameters: &[Tensor], samples: &Tensor) -> Tensor {
    samples
        .linear(&parameters[0], None::<&Tensor>)
        .tanh()
        .linear(&parameters[1], None::<&Tensor>)
        .square()
        .mean(Kind::Float)
}

fn values(tensors: impl IntoIterator<Item = Tensor>) -> Vec<f64> {
    let flat: Vec<Tensor> = tensors.into_iter().map(|tensor| tensor.detach().flatten(0, -1)).collect();
    Vec::try_from(Tensor::cat(&flat, 0).to_kind(Kind::Double)).unwrap()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} is not {expected}");
    }
}

#[test]
fn every_rank_holds_the_mean_of_the_gradients() {
    let found = ranks::run(2, |group: &ProcessGroup| {
        let parameters = parameters();
        let reducer = Reducer::new(&parameters, group, BUCKET).unwrap();
        let rank = i64::from(group.rank());
        reducer.backward(&loss(&parameters, &samples(rank * 3, 3))).unwrap();
        values(parameters.iter().map(Tensor::grad))
    });
    let alone = |first| {
        let parameters = parameters();
        loss(&parameters, &samples(first, 3)).backward();
        values(parameters.iter().map(Tensor::grad))
    };
    let mean: Vec<f64> = alone(0).iter().zip(alone(3)).map(|(left, right)| (left + right) / 2.0).collect();
    assert_close(&found[0], &mean, 1e-7);
    assert_eq!(found[0], found[1], "ranks agree to the last bit");
}

/// Trains for some steps on `count` samples a step, of which this rank holds `own`.
fn train(parameters: &[Tensor], reducer: Option<&Reducer>, own: impl Fn(i64) -> Tensor, share: f64) -> Vec<f64> {
    let mut optimiser = FusedAdamW::new(parameters.iter().map(Tensor::shallow_clone).collect(), OPTIONS);
    for step in 0..20 {
        let loss = loss(parameters, &own(step)) * share;
        match reducer {
            Some(reducer) => {
                reducer.zero_grad().unwrap();
                reducer.backward(&loss).unwrap();
            }
            None => {
                vismae_c10d::zero_grad(parameters).unwrap();
                loss.backward();
            }
        }
        clip_grad_norm(parameters, 0.05).unwrap();
        optimiser.step(0.02).unwrap();
    }
    values(parameters.iter().map(Tensor::shallow_clone))
}

#[test]
fn one_that_waits_for_the_others_in_a_backward_pass_can_be_told_from_one_that_computes() {
    let (watches, watch) = sync_channel::<BackwardWatch>(1);
    let watch = Mutex::new(watch);
    ranks::run(2, |group: &ProcessGroup| {
        let parameters = parameters();
        let reducer = Reducer::new(&parameters, group, BUCKET).unwrap();
        let own = reducer.watch();
        assert_eq!(own.waiting(), None, "before the first pass");
        let loss = loss(&parameters, &samples(0, 3));
        if group.rank() == 0 {
            watches.send(own.clone()).unwrap();
        } else {
            let other = watch.lock().unwrap().recv().unwrap();
            let began = Instant::now();
            while other.waiting().is_none() {
                assert!(began.elapsed() < ranks::TIMEOUT, "it never has its gradients");
                std::thread::yield_now();
            }
            assert_eq!(own.waiting(), None, "its own pass has not begun");
            let earlier = other.waiting();
            std::thread::sleep(Duration::from_millis(2));
            assert!(other.waiting() > earlier, "it waits still");
        }
        reducer.backward(&loss).unwrap();
        assert!(own.waiting().is_some());
        assert_eq!(reducer.watch().waiting(), None, "it is about to begin another pass");
        reducer.prepare_for_backward(&loss).unwrap();
        assert_eq!(own.waiting(), None, "another pass");
        drop(reducer);
        assert_eq!(own.waiting(), None, "it outlives the reducer");
    });
}

#[test]
fn two_ranks_with_uneven_shares_train_as_one_does() {
    let found = ranks::run(2, |group: &ProcessGroup| {
        let parameters = parameters();
        let reducer = Reducer::new(&parameters, group, BUCKET).unwrap();
        let (offset, own) = if group.rank() == 0 { (0, 2) } else { (2, 4) };
        train(&parameters, Some(&reducer), |step| samples(step * 6 + offset, own), own as f64 * 2.0 / 6.0)
    });
    let alone = train(&parameters(), None, |step| samples(step * 6, 6), 1.0);
    assert_eq!(found[0], found[1], "ranks agree to the last bit");
    assert_close(&found[0], &alone, 1e-5);
    assert!(alone.iter().zip(values(parameters())).any(|(end, start)| (end - start).abs() > 0.05), "it did learn");
}

#[test]
fn parameters_that_take_no_gradient_are_refused() {
    ranks::run(1, |group: &ProcessGroup| {
        assert_eq!(Reducer::new(&[], group, BUCKET).unwrap_err(), ReducerError::Empty);
        let mut parameters = parameters();
        parameters.push(Tensor::zeros([2], CPU));
        assert_eq!(Reducer::new(&parameters, group, BUCKET).unwrap_err(), ReducerError::Frozen { index: 2, count: 3 });
    });
}
