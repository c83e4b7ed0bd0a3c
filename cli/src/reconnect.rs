//! Going on after a connection has broken.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{Exit, Failure};

/// How long a coordinator may be away: longer than a pod needs to start again, or another one to take over.
const PATIENCE: Duration = Duration::from_secs(120);
/// The first pause between two tries, which doubles up to the last.
const FIRST: Duration = Duration::from_millis(200);
const LAST: Duration = Duration::from_secs(3);

/// The tries since a connection broke.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    broken: Option<Instant>,
    pause: Duration,
}

impl Tries {
    /// Something was heard: the next break begins anew.
    pub(crate) fn heard(&mut self) {
        self.broken = None;
    }

    /// Waits until it is time to try again. `say` tells of a break once.
    ///
    /// # Errors
    /// The failure itself, where another try would not help or there have been enough.
    pub(crate) async fn after(&mut self, failure: Failure, say: impl FnOnce(&str)) -> Result<(), Failure> {
        if failure.exit() != Exit::Unreachable {
            return Err(failure);
        }
        let broken = *self.broken.get_or_insert_with(|| {
            say("the connection to the coordinator is broken: trying to go on");
            self.pause = FIRST;
            Instant::now()
        });
        if broken.elapsed() >= PATIENCE {
            return Err(failure);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LAST);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_break_is_told_once_and_given_up_in_the_end_and_another_failure_at_once() {
        let mut tries = Tries::default();
        let refused = tries.after(Failure::silent(Exit::Usage), |_| panic!("no break")).await;
        assert_eq!(refused.unwrap_err().exit(), Exit::Usage);
        for _ in 0..2 {
            let (began, mut told) = (Instant::now(), 0);
            while tries.after(Failure::silent(Exit::Unreachable), |_| told += 1).await.is_ok() {}
            assert_eq!(told, 1);
            assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE + LAST * 2, "{:?}", began.elapsed());
            tries.heard();
        }
    }
}
