//! `vismae jobs`.

use clap::Args;

use super::CoordinatorAddress;
use crate::failure::Failure;
use crate::output::Format;
use crate::tables;
use crate::views::PipelineView;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Pipeline; all when absent
    pipeline: Option<String>,
    /// Only pipelines of this namespace
    #[arg(short, long, value_name = "NAME", conflicts_with = "pipeline")]
    namespace: Option<String>,
    /// Only pipelines for which this holds, as `state = RUNNING AND name : "demo*"`: of name, namespace, state, priority, store_url,
    /// create_time and end_time
    #[arg(long, value_name = "FILTER", conflicts_with = "pipeline")]
    filter: Option<String>,
    /// Sort by fields, as `priority desc, create_time` [default: as they were submitted]
    #[arg(long, value_name = "FIELDS", conflicts_with = "pipeline", default_value = "", hide_default_value = true)]
    order_by: String,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let mut coordinator = options.at.connect().await?;
    let pipelines = match &options.pipeline {
        Some(name) => vec![coordinator.pipeline(name).await?],
        None => {
            let namespace = options.namespace.map(|name| format!("namespace = \"{name}\""));
            let filter = options.filter.map(|filter| if namespace.is_some() { format!("({filter})") } else { filter });
            let both: Vec<String> = filter.into_iter().chain(namespace).collect();
            coordinator.pipelines(&both.join(" AND "), &options.order_by).await?
        }
    };
    let views: Vec<PipelineView> = pipelines.iter().map(PipelineView::from).collect();
    format.result(&views, |views| tables::jobs(views))
}
