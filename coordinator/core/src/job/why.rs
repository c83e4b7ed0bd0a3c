//! Why a job is in its state, for programs: a word that stays, and by name what it speaks of. People get the same as a sentence.

use std::collections::BTreeMap;

use super::{Grounds, JobState, Outcome, StopReason, Use};
use crate::failure::Failure;
use crate::finding::Finding;
use crate::ids::JobName;
use crate::reason::Reason;
use crate::stall::Stall;

/// A word, and what it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Why {
    /// What programs match; where time is lost to it, the word that this is counted by.
    pub word: &'static str,
    /// Numbers and names, by what they are.
    pub facts: BTreeMap<&'static str, String>,
}

impl Why {
    fn new(word: &'static str) -> Self {
        Self { word, facts: BTreeMap::new() }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.facts.insert(name, value.to_string());
        self
    }

    fn with_stall(self, stall: &Stall) -> Self {
        let Stall { phase, step, time, bound, .. } = stall;
        let (seconds, bound) = (format!("{:.0}", time.as_secs_f64()), format!("{:.0}", bound.as_secs_f64()));
        self.with("phase", phase).with("step", step).with("seconds", seconds).with("bound_seconds", bound)
    }

    fn failed(failure: &Failure) -> Self {
        let Failure { task, cause, message } = failure;
        Self::new(cause.word()).with("task", task).with("message", message)
    }
}

impl Reason {
    /// The same for programs.
    pub fn why(&self) -> Why {
        match self {
            Self::Queued => Why::new("queued"),
            Self::Suspended => Why::new("suspended"),
            Self::Dependencies { missing } => {
                let missing: Vec<&str> = missing.iter().map(JobName::as_str).collect();
                Why::new("dependencies").with("missing", missing.join(","))
            }
            Self::NoWorkers => Why::new("no_workers"),
            Self::Capacity { needed, present } => Why::new("capacity").with("needed", needed).with("present", present),
            Self::Slots { needed, free, present } => {
                Why::new("slots").with("needed", needed).with("free", free).with("present", present)
            }
            Self::Mismatch { needed, matching, present, placement } => Why::new("mismatch")
                .with("needed", needed)
                .with("matching", matching)
                .with("present", present)
                .with("placement", placement),
            Self::Quota { namespace, kind, needed, used, limit } => Why::new("quota")
                .with("namespace", namespace)
                .with("device", kind)
                .with("needed", needed)
                .with("used", used)
                .with("limit", limit),
            Self::Behind { job } => Why::new("behind").with("job", job),
            Self::Backoff { pause, left, failure, .. } => Why::new("backoff")
                .with("pause_seconds", pause.as_secs_f64())
                .with("tries_left", left)
                .with("cause", failure.cause)
                .with("task", &failure.task)
                .with("message", &failure.message),
        }
    }
}

impl Finding {
    /// The same for programs.
    pub fn why(&self) -> Why {
        match self {
            Self::Stuck { task, worker, stall, waiting } => {
                Why::new("stalled").with("task", task).with("worker", worker).with_stall(stall).with("waiting", waiting)
            }
            Self::Released { ranks, stall } => Why::new("released").with("ranks", ranks).with_stall(stall),
            Self::GivenUp { task, worker, stall } => {
                Why::new("given_up").with("task", task).with("worker", worker).with_stall(stall)
            }
            Self::Slow { task, worker, score, windows, remedy } => Why::new("straggler")
                .with("task", task)
                .with("worker", worker)
                .with("score", format!("{:.1}", score.score))
                .with("own_seconds", format!("{:.3}", score.own_seconds))
                .with("peers_seconds", format!("{:.3}", score.peers_seconds))
                .with("windows", windows)
                .with("remedy", remedy.word()),
        }
    }
}

impl StopReason {
    /// The same for programs.
    pub fn why(&self) -> Why {
        let named = Why::new(Use::of_stop(self).word());
        match self {
            Self::Failed(failure) => Why::failed(failure),
            Self::WorkerLeaves(worker) => named.with("worker", worker),
            Self::Preempted { by, grounds } | Self::Reclaimed { by, grounds } => {
                let named = named.with("job", by);
                match grounds {
                    None => named,
                    Some(Grounds { priority, own_priority, needed, held }) => named
                        .with("priority", priority)
                        .with("own_priority", own_priority)
                        .with("needed", needed)
                        .with("held", held),
                }
            }
            Self::Late { after } => named.with("after_seconds", after.as_secs_f64()),
            Self::Suspended | Self::Cancelled => named,
        }
    }
}

impl JobState {
    /// Why it is so; none where there is nothing to explain.
    pub fn why(&self) -> Option<Why> {
        match self {
            Self::Waiting(reason) => Some(reason.why()),
            Self::Running(gang) => match (&gang.short, gang.trouble(), gang.held_up()) {
                (Some(short), ..) => {
                    let (here, needed) = (gang.present().len(), gang.demand.at_least());
                    Some(short.why.why().with("present", here).with("needed", needed))
                }
                (None, Some(finding), _) => Some(finding.why()),
                (None, None, Some((member, stall))) => {
                    Some(Why::new("waiting").with("worker", &member.slot.worker).with_stall(&stall))
                }
                (None, None, None) => None,
            },
            Self::Stopping { why, .. } => Some(why.why()),
            Self::Over { outcome, .. } => match outcome {
                Outcome::Succeeded { .. } => None,
                Outcome::Failed(failure) => Some(Why::failed(failure)),
                Outcome::Late { after } => Some(Why::new("late").with("after_seconds", after.as_secs_f64())),
                Outcome::Cancelled => Some(Why::new("cancelled")),
                Outcome::Abandoned { because } => Some(Why::new("abandoned").with("job", because)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::Cause;
    use crate::ids::{JobId, TaskId};

    #[test]
    fn a_reason_has_its_numbers_by_name_and_its_sentence_has_the_same() {
        let reason = Reason::Slots { needed: 4, free: 3, present: 7 };
        let Why { word, facts } = reason.why();
        assert_eq!((word, facts.len()), ("slots", 3));
        assert_eq!((facts["needed"].as_str(), facts["free"].as_str(), facts["present"].as_str()), ("4", "3", "7"));
        assert!(facts.values().all(|value| reason.to_string().contains(value)), "{reason}");
    }

    #[test]
    fn what_stops_a_job_is_named_as_it_is_counted() {
        let by: JobId = "b.pretrain".parse().unwrap();
        let task = TaskId { job: by.clone(), attempt: 0, member: 1 };
        let failure = Failure { task, cause: Cause::Crash, message: "ended".to_owned() };
        let grounds = Some(Grounds { priority: 7, own_priority: -2, needed: 4, held: 3 });
        let stops = [
            (StopReason::Failed(failure), "crash"),
            (StopReason::Preempted { by: by.clone(), grounds }, "preempted"),
            (StopReason::Preempted { by: by.clone(), grounds: None }, "preempted"),
            (StopReason::Reclaimed { by: by.clone(), grounds: None }, "reclaimed"),
            (StopReason::Late { after: Duration::from_secs(5) }, "late"),
            (StopReason::Suspended, "suspended"),
        ];
        for (stop, word) in stops {
            assert_eq!((stop.why().word, Use::of_stop(&stop).word()), (word, word));
            assert!(stop.why().facts.values().all(|value| stop.to_string().contains(value)), "{stop}");
        }
        let facts = StopReason::Reclaimed { by, grounds }.why().facts;
        assert_eq!((facts["priority"].as_str(), facts["own_priority"].as_str()), ("7", "-2"));
        assert_eq!((facts["needed"].as_str(), facts["held"].as_str()), ("4", "3"));
    }
}
