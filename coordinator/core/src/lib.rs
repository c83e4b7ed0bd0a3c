//! The pure core of vismae: what a user asks for, who takes part, and what happens next.
//!
//! This crate decides and never acts. It has no clock, no randomness, no IO, no async runtime and no serialisation:
//! time comes in with each event, everything that must happen leaves as an effect, and wire and disk formats are
//! other crates' business.
//!
//! Main types: [`spec::PipelineSpec`] (a validated request), the [`ids`] everything is named by, and
//! [`coordinator::Coordinator`], the state machine that turns [`event::Event`]s into [`effect::Effects`].
#![forbid(unsafe_code)]

pub mod coordinator;
pub mod device;
pub mod effect;
pub mod event;
pub mod explanation;
pub mod failure;
pub mod finding;
pub mod gang;
pub mod ids;
pub mod job;
pub mod namespace;
pub mod pace;
pub mod pipeline;
pub mod reason;
pub mod schedule;
pub mod spec;
pub mod spelling;
pub mod stall;
pub mod time;
pub mod worker;
