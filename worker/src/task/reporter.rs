//! The task's voice: events to the agent over standard output.

use std::io::{Stdout, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vismae_proto::frames::BlockingWriter;
use vismae_proto::v1::TaskEvent;
use vismae_proto::v1::task_event::Event;

use super::activity::Activity;

/// Time between two signs of life.
const PULSE: Duration = Duration::from_secs(1);

/// Sends events; clones share the pipe.
#[derive(Clone)]
pub(super) struct Reporter {
    pipe: Arc<Mutex<BlockingWriter<Stdout>>>,
}

impl Reporter {
    pub(super) fn stdout() -> Self {
        Self { pipe: Arc::new(Mutex::new(BlockingWriter::new(stdout()))) }
    }

    /// Says from now on that this process runs, and where the thread that computes is, whatever that waits for.
    pub(super) fn keep_a_pulse(&self, activity: &Activity) {
        let (reporter, activity) = (self.clone(), activity.clone());
        let pulses = move || {
            loop {
                reporter.send(Event::Pulse(activity.pulse()));
                std::thread::sleep(PULSE);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("pulse".to_owned()).spawn(pulses) {
            tracing::warn!(%error, "no thread says that this process runs");
        }
    }

    /// Sends one event. When the agent is gone there is nobody left to tell, and the control thread ends the task.
    pub(super) fn send(&self, event: Event) {
        let event = TaskEvent { task: String::new(), event: Some(event) };
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = pipe.write(&event) {
            tracing::warn!(%error, "event not sent: the agent is gone");
        }
    }
}
