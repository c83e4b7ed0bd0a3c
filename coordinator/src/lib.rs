//! The coordinator's shell: it gives the pure core of `vismae-core` a clock, a journal and a network.
//!
//! One task, the driver, owns the core; the services of `vismae.v1` and everything else talk to it through handles. What the
//! core must not forget goes to a [`journal::Journal`] before anyone is told of it. The shell decides nothing and never sees
//! an image. [`access`] says who may ask what. [`server::serve`] puts it all together, both for `vismae up` and inside one-machine runs.
#![forbid(unsafe_code)]

pub mod access;
mod audit;
mod clock;
mod driver;
pub mod journal;
pub mod leader;
mod links;
mod logs;
pub mod metrics;
mod reload;
mod rpc;
pub mod server;
mod watchers;
