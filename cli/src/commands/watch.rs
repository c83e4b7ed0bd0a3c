//! `vismae watch`.

use clap::Args;

use super::CoordinatorAddress;
use crate::failure::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::output::Format;
use crate::progress::Display;
use crate::tables;
use crate::views::PipelineView;
use crate::watching::{Watch, verdict};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Pipeline
    pipeline: String,
    #[command(flatten)]
    at: CoordinatorAddress,
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    let coordinator = options.at.connect().await?;
    let mut watch = Watch::start(&coordinator, &options.pipeline).await?;
    let mut interrupts = Interrupts::listen()?;
    let mut display = Display::new(format);
    let pipeline = tokio::select! {
        ended = watch.finish(&mut display) => ended?,
        () = interrupts.next() => {
            display.say(&format!("pipeline `{}` goes on without being watched", options.pipeline));
            return Err(Failure::silent(Exit::Interrupted));
        }
    };
    drop(display);
    format.result(&PipelineView::from(&pipeline), tables::results)?;
    verdict(&pipeline)
}
