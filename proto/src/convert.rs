//! The only way between the wire and the core.
//!
//! What comes in is read field by field: everything that can't be understood is refused by name, all of it at once. Whether
//! the values make sense together is the core's business ([`PipelineSpec::validate`](vismae_core::spec::PipelineSpec::validate)).

mod checked;
mod etag;
mod explanation;
mod fields;
mod namespace;
mod spec_in;
mod spec_out;
mod store_url;
mod task;
mod view;

pub use checked::{checked_pipeline_from_wire, submission_from_wire};
pub use etag::sealed;
pub use explanation::explanation_view;
pub use fields::{job_id_from_wire, pipeline_id_from_wire, request_id_from_wire};
pub use namespace::{namespace_deletion_from_wire, namespace_update_from_wire, namespace_view};
pub use spec_in::{job_from_wire, pipeline_from_wire};
pub use spec_out::{job_to_wire, pipeline_to_wire};
pub use task::{arrival_from_wire, command_to_wire, report_from_wire};
pub use view::{pipeline_view, worker_view};

#[cfg(test)]
mod tests;
