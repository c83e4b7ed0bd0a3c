//! The processor time and the memory of another process, as Linux tells them.

use std::fs;

use crate::Outcome;

/// Clock ticks of a second: 100 on every Linux that this runs on.
const TICKS: f64 = 100.0;

/// Seconds that the process has spent on all cores.
pub(crate) fn seconds(process: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).ok_or("an unknown form of /proc");
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// Bytes of memory that it holds.
pub(crate) fn bytes(process: u32) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no resident memory is told")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}
