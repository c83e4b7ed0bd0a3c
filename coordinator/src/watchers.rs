//! Those who want to hear of changes to a pipeline.

use std::collections::BTreeMap;

use tokio::sync::watch;
use vismae_core::ids::PipelineId;

/// Wakes whoever watches a pipeline. Changes that come faster than a watcher looks are seen as one.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    pipelines: BTreeMap<PipelineId, watch::Sender<()>>,
}

impl Watchers {
    /// A receiver that is marked changed with every change from now on, and closed when the pipeline is forgotten.
    pub(crate) fn watch(&mut self, pipeline: PipelineId) -> watch::Receiver<()> {
        self.pipelines.entry(pipeline).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Wakes the watchers of a pipeline, and drops what is kept for those that have gone.
    pub(crate) fn wake(&mut self, pipeline: &PipelineId) {
        let Some(sender) = self.pipelines.get(pipeline) else { return };
        if sender.send(()).is_err() {
            self.pipelines.remove(pipeline);
        }
    }

    /// Ends the watch of a pipeline.
    pub(crate) fn forget(&mut self, pipeline: &PipelineId) {
        self.pipelines.remove(pipeline);
    }
}
