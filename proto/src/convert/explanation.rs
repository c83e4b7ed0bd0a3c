//! Explanations.

use std::collections::BTreeMap;
use std::time::SystemTime;

use vismae_core::device::DeviceKind;
use vismae_core::explanation::{Eviction, Explanation, Remedy};
use vismae_core::ids::JobId;
use vismae_core::job::Ledger;
use vismae_core::namespace::Namespace;
use vismae_core::spec::Demand;
use vismae_core::time::MonoTime;

use super::namespace::{namespace_view, slots};
use super::view::why;
use crate::v1;
use crate::v1::explanation::{
    AttemptStop, Eviction as WireEviction, Holder, Kind, Link, Notice as WireNotice, Remedy as WireRemedy,
};

/// Writes an explanation. `clock` tells the date of a moment.
pub fn explanation_view(told: &Explanation, clock: impl Fn(MonoTime) -> SystemTime) -> v1::Explanation {
    let at_most = match told.demand {
        Demand::Group { at_most, .. } | Demand::Crew { at_most } => at_most,
    };
    let namespace = Namespace { name: told.namespace.clone(), limits: told.limits, revision: 0 };
    v1::Explanation {
        job: told.job.to_string(),
        reason: told.state.to_string(),
        slots_at_least: told.demand.at_least(),
        slots_at_most: at_most,
        device: device(told.placement.device).into(),
        node_labels: told.placement.labels.clone().into_iter().collect(),
        priority: told.priority,
        present: Some(slots(told.slots.present)),
        matching: Some(slots(told.slots.matching)),
        free: Some(slots(told.slots.free)),
        namespace: Some(v1::Namespace { etag: String::new(), ..namespace_view(&namespace, &told.usage) }),
        before: told.before,
        ahead: told
            .ahead
            .iter()
            .map(|link| Link { job: link.job.to_string(), reason: link.state.to_string() })
            .collect(),
        holders: told.holders.iter().map(|(job, slots)| Holder { job: job.to_string(), slots: *slots }).collect(),
        remedy: Some(remedy(&told.remedy, &clock)),
        attempts: told.attempts,
        retries_left: told.retries_left,
        stops: told
            .stops
            .iter()
            .map(|stop| AttemptStop {
                attempt: stop.attempt,
                time: Some(clock(stop.at).into()),
                reason: stop.why.to_string(),
                why: Some(why(stop.why.why())),
            })
            .collect(),
        notices: told
            .notices
            .iter()
            .map(|notice| WireNotice {
                time: Some(clock(notice.at).into()),
                text: notice.finding.to_string(),
                why: Some(why(notice.finding.why())),
            })
            .collect(),
        spent: spent(&told.ledger),
        goodput_ratio: told.ledger.goodput(),
    }
}

/// Seconds by what they went to.
pub(super) fn spent(ledger: &Ledger) -> BTreeMap<String, f64> {
    ledger.iter().map(|(on, time)| (on.word().to_owned(), time.as_secs_f64())).collect()
}

pub(super) fn device(kind: Option<DeviceKind>) -> v1::DeviceKind {
    match kind {
        None => v1::DeviceKind::Unspecified,
        Some(DeviceKind::Cpu) => v1::DeviceKind::Cpu,
        Some(DeviceKind::Cuda) => v1::DeviceKind::Cuda,
    }
}

fn remedy(remedy: &Remedy, clock: impl Fn(MonoTime) -> SystemTime) -> WireRemedy {
    let (kind, slots, eviction) = match remedy {
        Remedy::Nothing => (Kind::Nothing, 0, None),
        Remedy::Stop => (Kind::Stop, 0, None),
        Remedy::Resume => (Kind::Resume, 0, None),
        Remedy::Dependencies => (Kind::Dependencies, 0, None),
        Remedy::Pause { .. } => (Kind::Pause, 0, None),
        Remedy::Turn => (Kind::Turn, 0, None),
        Remedy::Workers { more } => (Kind::Workers, *more, None),
        Remedy::Limits { more } => (Kind::Limits, *more, None),
        Remedy::Quota { more, eviction } => (Kind::Quota, *more, Some(eviction)),
        Remedy::Slots { more, eviction } => (Kind::Slots, *more, Some(eviction)),
    };
    let names = |jobs: &mut dyn Iterator<Item = &JobId>| jobs.map(ToString::to_string).collect();
    let (eviction, jobs) = match eviction {
        None => (WireEviction::Unspecified, Vec::new()),
        Some(Eviction::Underway { jobs }) => (WireEviction::Underway, names(&mut jobs.iter())),
        Some(Eviction::Would { jobs }) => (WireEviction::Would, names(&mut jobs.iter().map(|(job, _)| job))),
        Some(Eviction::Nobody) => (WireEviction::Nobody, Vec::new()),
        Some(Eviction::TooFew { .. }) => (WireEviction::TooFew, Vec::new()),
    };
    let until_time = match remedy {
        Remedy::Pause { until, .. } => Some(clock(*until).into()),
        _ => None,
    };
    WireRemedy { kind: kind.into(), slots, eviction: eviction.into(), jobs, text: remedy.to_string(), until_time }
}
