//! Aborting a collective, in a process of its own: an abort cuts every link that opened while the group formed.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod ranks;

use std::sync::mpsc::sync_channel;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};
use vismae_c10d::{AbortHandle, Collective, CollectiveError};

#[test]
fn an_abort_wakes_a_rank_that_waits_for_a_silent_peer_and_both_can_meet_again() {
    let (handles, handle) = sync_channel::<AbortHandle>(1);
    let (woken, wake) = sync_channel::<()>(1);
    let wake = Mutex::new(wake);
    let aborter = std::thread::spawn(move || {
        let handle = handle.recv().unwrap();
        assert!(handle.links() > 0);
        handle.abort();
        handle
    });
    let both_joined = Barrier::new(2);
    ranks::run(2, |group| {
        both_joined.wait();
        if group.rank() == 1 {
            wake.lock().unwrap().recv().unwrap();
            return;
        }
        handles.send(group.abort_handle()).unwrap();
        let start = Instant::now();
        let error = group.all_reduce_sum(&Tensor::ones([4], (Kind::Float, Device::Cpu))).unwrap_err();
        assert!(matches!(error, CollectiveError::Failed { operation: "all-reduce", .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30), "the collective's own limit is a minute");
        assert!(group.barrier().is_err(), "an aborted group is spent");
        woken.send(()).unwrap();
    });
    let handle = aborter.join().unwrap();
    assert_eq!(handle.links(), 0, "a handle that outlives its group holds nothing");
    handle.abort();
    ranks::run(2, |group| group.barrier().unwrap());
}
