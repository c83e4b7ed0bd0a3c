//! `vismae explain`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use vismae_proto::v1;

use super::CoordinatorAddress;
use crate::failure::Failure;
use crate::output::{Format, figure};
use crate::views::{NamespaceView, SlotsView, WhyView};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Job, as `pipeline.job`
    job: String,
    #[command(flatten)]
    at: CoordinatorAddress,
}

/// Why a job is where it is.
#[derive(Debug, Serialize)]
struct ExplanationView {
    job: String,
    reason: String,
    slots_at_least: u32,
    slots_at_most: u32,
    device: &'static str,
    node_labels: BTreeMap<String, String>,
    priority: i32,
    present: SlotsView,
    matching: SlotsView,
    free: SlotsView,
    namespace: Option<NamespaceView>,
    before: u32,
    ahead: Vec<LinkView>,
    holders: BTreeMap<String, u32>,
    remedy: RemedyView,
    attempts: u32,
    retries_left: u32,
    stops: Vec<StopView>,
    notices: Vec<NoticeView>,
    spent: BTreeMap<String, f64>,
    goodput_ratio: Option<f64>,
}

#[derive(Debug, Serialize)]
struct LinkView {
    job: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct RemedyView {
    kind: String,
    slots: u32,
    eviction: String,
    jobs: Vec<String>,
    text: String,
    /// The end of a pause.
    until: Option<String>,
}

#[derive(Debug, Serialize)]
struct StopView {
    attempt: u32,
    time: Option<String>,
    reason: String,
    why: Option<WhyView>,
}

/// What was found about its tasks while they run.
#[derive(Debug, Serialize)]
struct NoticeView {
    time: Option<String>,
    text: String,
    why: Option<WhyView>,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let told = options.at.connect().await?.explain_job(&options.job).await?;
    format.result(&ExplanationView::from(told), text)
}

impl From<v1::Explanation> for ExplanationView {
    fn from(told: v1::Explanation) -> Self {
        let device = match told.device() {
            v1::DeviceKind::Unspecified => "any",
            v1::DeviceKind::Cpu => "cpu",
            v1::DeviceKind::Cuda => "cuda",
        };
        let remedy = told.remedy.unwrap_or_default();
        let word = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_lowercase();
        Self {
            job: told.job,
            reason: told.reason,
            slots_at_least: told.slots_at_least,
            slots_at_most: told.slots_at_most,
            device,
            node_labels: told.node_labels.into_iter().collect(),
            priority: told.priority,
            present: told.present.into(),
            matching: told.matching.into(),
            free: told.free.into(),
            namespace: told.namespace.as_ref().map(NamespaceView::from),
            before: told.before,
            ahead: told.ahead.into_iter().map(|link| LinkView { job: link.job, reason: link.reason }).collect(),
            holders: told.holders.into_iter().map(|holder| (holder.job, holder.slots)).collect(),
            remedy: RemedyView {
                kind: word(remedy.kind().as_str_name(), "KIND_"),
                slots: remedy.slots,
                eviction: word(remedy.eviction().as_str_name(), "EVICTION_"),
                jobs: remedy.jobs,
                text: remedy.text,
                until: remedy.until_time.map(|time| time.to_string()),
            },
            attempts: told.attempts,
            retries_left: told.retries_left,
            stops: told
                .stops
                .into_iter()
                .map(|stop| StopView {
                    attempt: stop.attempt,
                    time: stop.time.map(|time| time.to_string()),
                    why: stop.why.as_ref().map(WhyView::from),
                    reason: stop.reason,
                })
                .collect(),
            notices: told
                .notices
                .into_iter()
                .map(|notice| NoticeView {
                    time: notice.time.map(|time| time.to_string()),
                    why: notice.why.as_ref().map(WhyView::from),
                    text: notice.text,
                })
                .collect(),
            spent: told.spent.into_iter().collect(),
            goodput_ratio: told.goodput_ratio,
        }
    }
}

/// The chain, a line for each link.
fn text(told: &ExplanationView) -> String {
    let mut lines = vec![match told.reason.as_str() {
        "" => format!("{} goes its way", told.job),
        reason => format!("{} {reason}", told.job),
    }];
    let kinds = |SlotsView { cpu, cuda }: SlotsView| format!("{cpu} cpu, {cuda} cuda");
    let asks = match (told.slots_at_least, told.slots_at_most) {
        (least, most) if least == most => counted(least, "slot"),
        (least, most) => format!("{least} to {most} slots"),
    };
    let labels: Vec<String> = told.node_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let place = if labels.is_empty() { String::new() } else { format!(" where {}", labels.join(", ")) };
    lines.push(format!("  asks for      {asks} of {}{place}, at priority {}", told.device, told.priority));
    lines.push(format!(
        "  slots         {} present; {} match; {} of those free",
        kinds(told.present),
        kinds(told.matching),
        kinds(told.free)
    ));
    if let Some(namespace) = &told.namespace {
        let limit = |limit: Option<u32>| limit.map_or("any".to_owned(), |limit| limit.to_string());
        lines.push(format!(
            "  namespace     {} uses {} of {} cpu, {} of {} cuda",
            namespace.name,
            namespace.used.cpu,
            limit(namespace.quota.cpu),
            namespace.used.cuda,
            limit(namespace.quota.cuda)
        ));
    }
    lines.push(match told.before {
        1 => "  before it     1 job waits".to_owned(),
        jobs => format!("  before it     {jobs} jobs wait"),
    });
    lines.extend(told.ahead.iter().map(|link| format!("  behind        {} {}", link.job, link.reason)));
    lines.extend(told.holders.iter().map(|(job, slots)| format!("  held by       {job}: {}", counted(*slots, "slot"))));
    let until = told.remedy.until.as_ref().map(|until| format!(" (at {until})")).unwrap_or_default();
    lines.push(format!("  it can run    when: {}{until}", told.remedy.text));
    lines.push(format!("  attempts      {} so far, {} left", told.attempts, counted(told.retries_left, "failure")));
    lines.extend(told.stops.iter().map(|stop| format!("  attempt {:<5} ended: {}", stop.attempt, stop.reason)));
    lines.extend(told.notices.iter().map(|notice| {
        format!("  noticed       {} ({})", notice.text, notice.time.as_deref().unwrap_or("at an unknown time"))
    }));
    lines.extend(told.spent.iter().map(|(on, seconds)| format!("  {on:<20} {} s", figure(*seconds))));
    lines.extend(told.goodput_ratio.map(|ratio| format!("  goodput       {:.0} %", ratio * 100.0)));
    lines.join("\n")
}

fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
