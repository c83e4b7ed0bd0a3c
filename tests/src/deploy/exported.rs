//! What the coordinator exports, taken from a coordinator that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;
use vismae_coordinator::server::{Admin, Config, serve};

/// The label values of a series, by label.
pub type Labels = BTreeMap<String, String>;

/// Metrics with the series that exist while nothing runs; none for metrics that come with the first job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    series: BTreeMap<String, BTreeSet<Labels>>,
    histograms: BTreeSet<String>,
}

impl Exported {
    /// Every name that a scrape can hold: a histogram has three.
    pub fn names(&self) -> BTreeSet<String> {
        let endings = |name: &String| ["_bucket", "_sum", "_count"].map(|ending| format!("{name}{ending}"));
        let plain = self.series.keys().filter(|name| !self.histograms.contains(*name)).cloned();
        plain.chain(self.histograms.iter().flat_map(endings)).collect()
    }

    /// The series of a metric that exist while nothing runs.
    pub fn series(&self, name: &str) -> impl Iterator<Item = &Labels> {
        self.series.get(name).into_iter().flatten()
    }
}

/// Starts a coordinator, and notes every metric that it describes and every series that it sets.
///
/// # Panics
/// When it does not start, or sets nothing within ten seconds.
pub fn by_coordinator() -> Exported {
    let notes = Notes::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // One thread runs all of it, and that thread records here.
    metrics::with_local_recorder(&notes, || runtime.block_on(run_until_observed(&notes)));
    notes.read()
}

async fn run_until_observed(notes: &Notes) {
    let nowhere = "127.0.0.1:0".parse().expect("an address");
    let admin = Admin { listen: nowhere, recorder: PrometheusBuilder::new().build_recorder().handle() };
    let stop = CancellationToken::new();
    let mut running = serve(Config::new(nowhere), Some(admin), stop.clone()).await.expect("a coordinator starts");
    let observed = async {
        while notes.read().series("vismae_jobs").next().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), observed).await.expect("the gauges are set at once");
    stop.cancel();
    running.ended().await.expect("the coordinator ends well");
}

/// A recorder that keeps names and labels, and no values.
#[derive(Debug, Clone, Default)]
struct Notes(Arc<Mutex<Exported>>);

impl Notes {
    fn read(&self) -> Exported {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn described(&self, name: &KeyName, is_histogram: bool) {
        let mut exported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exported.series.entry(name.as_str().to_owned()).or_default();
        if is_histogram {
            exported.histograms.insert(name.as_str().to_owned());
        }
    }

    fn set(&self, key: &Key) {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        let mut exported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exported.series.entry(key.name().to_owned()).or_default().insert(labels);
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described(&name, false);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described(&name, false);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described(&name, true);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.set(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.set(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.set(key);
        Histogram::noop()
    }
}
