//! The talk with the one who holds the watch.

use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Outcome;

/// Says that all is ready, and answers every line of the input with one pass.
pub(crate) fn serve(mut pass: impl FnMut() -> Outcome<Value>) -> Outcome<()> {
    say(&json!({ "ready": concat!("vismae ", env!("CARGO_PKG_VERSION")) }))?;
    for line in io::stdin().lock().lines() {
        line?;
        say(&pass()?)?;
    }
    Ok(())
}

/// One line of the answer.
pub(crate) fn say(line: &Value) -> Outcome<()> {
    println!("{line}");
    Ok(io::stdout().flush()?)
}

/// Wall clock and processor time of this process, all threads together, from one moment on.
pub(crate) struct Watch {
    started: Instant,
    processor: Duration,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { processor: processor_time(), started: Instant::now() }
    }

    /// What has passed, beside the rows and bytes that it was needed for.
    pub(crate) fn stop(self, rows: u64, bytes: u64) -> Value {
        let seconds = self.started.elapsed().as_secs_f64();
        let processor = processor_time().saturating_sub(self.processor).as_secs_f64();
        json!({ "rows": rows, "bytes": bytes, "seconds": seconds, "cpu_seconds": processor })
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
