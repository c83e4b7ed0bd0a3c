//! The order of a corpus of millions of rows: how long a plan takes, how much it holds, and how long a step takes to find.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use serde_json::json;
use vismae_core::ids::Epoch;
use vismae_shards::order::{Plan, PlanSpec, RowsDigest};

use crate::Outcome;
use crate::contender::serve;

/// Rows of a full row group at 224 pixels.
const GROUP_ROWS: u64 = 256;
/// Lanes enough for as many ranks.
const SPEC: PlanSpec = PlanSpec { seed: 1, lanes: 64, global_batch: 4096, window: 4 };
const SEEKS: u64 = 1000;
/// Odd, so that multiples of it meet every step before they meet one again.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Plans an epoch and looks up steps all over it, each as if it were the first.
pub(crate) fn run(rows: u64) -> Outcome<()> {
    let full = usize::try_from(rows / GROUP_ROWS)?;
    let mut counts = vec![GROUP_ROWS as u32; full];
    counts.extend(u32::try_from(rows % GROUP_ROWS).ok().filter(|&rest| rest > 0));
    let (mut epochs, before) = (0.., status("VmRSS:")?);
    serve(|| {
        let epoch = Epoch(epochs.next().unwrap_or_default());
        let started = Instant::now();
        let plan = Plan::new(&counts, SPEC)?;
        let order = plan.epoch(epoch);
        let plan_seconds = started.elapsed().as_secs_f64();
        let steps = order.steps();
        let (mut longest, mut sum) = (0.0f64, 0.0);
        for seek in 0..SEEKS {
            let step = seek.wrapping_mul(STRIDE) % steps;
            let started = Instant::now();
            black_box(order.rows(step, plan.all_lanes()));
            let seconds = started.elapsed().as_secs_f64();
            (longest, sum) = (longest.max(seconds), sum + seconds);
        }
        let started = Instant::now();
        let walked: usize = order.into_steps(plan.all_lanes(), 0).map(|(rows, _)| rows.len()).sum();
        if walked as u64 != rows {
            return Err(format!("the epoch has {walked} rows, expected {rows}").into());
        }
        let walk_seconds = started.elapsed().as_secs_f64();
        // What each rank does besides, so that a step is known to be that of the plan.
        let started = Instant::now();
        let digested = plan.digests(epoch, 0).fold(RowsDigest::default(), |sum, step| sum + step);
        let digest_seconds = started.elapsed().as_secs_f64() / steps as f64;
        black_box(digested);
        Ok(json!({
            "digest_seconds": digest_seconds,
            "rows": rows, "steps": steps, "plan_seconds": plan_seconds,
            "seek_seconds": sum / SEEKS as f64, "seek_seconds_max": longest,
            "walk_seconds": walk_seconds,
            "peak_bytes": status("VmHWM:")?.saturating_sub(before),
        }))
    })
}

/// Bytes of memory that the kernel has under a name: what this process holds, or the most that it has held.
fn status(name: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel tells no memory use")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}
