//! The gRPC server: the services of `vismae.v1`, health and reflection.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;

use super::connection::Patience;
use super::gate::{Gate, GateLayer};
use super::incoming::incoming;
use super::measure::MeasureLayer;
use super::occupancy::Occupancy;
use super::tls::Tls;
use super::{Config, ServeError};
use crate::rpc;

/// Requests of one connection at once.
const STREAMS: u32 = 256;
/// The services whose health is told; the empty name is the server as a whole.
const SERVICES: [&str; 5] =
    ["", "vismae.v1.JobService", "vismae.v1.NamespaceService", "vismae.v1.WorkerService", "vismae.v1.AgentService"];

/// The server with all services. It reports itself unhealthy when streams begin to end, and ends when it is told to stop.
pub(super) fn serve(
    config: &Config,
    (listener, tls): (TcpListener, Option<watch::Receiver<Arc<Tls>>>),
    gate: Gate,
    context: rpc::Context,
    stop: CancellationToken,
) -> Result<impl Future<Output = Result<(), tonic::transport::Error>> + use<>, ServeError> {
    let reflection_v1 = reflection().build_v1().map_err(ServeError::reflection)?;
    let reflection_v1alpha = reflection().build_v1alpha().map_err(ServeError::reflection)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let draining = context.shutdown.clone();
    let router = Server::builder()
        .timeout(config.timeout)
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(config.keepalive))
        .http2_keepalive_timeout(Some(config.keepalive))
        .layer(MeasureLayer)
        .layer(GateLayer(Arc::new(gate)))
        .add_service(health_service)
        .add_service(reflection_v1)
        .add_service(reflection_v1alpha)
        .add_service(rpc::jobs(context.clone()))
        .add_service(rpc::namespaces(context.clone()))
        .add_service(rpc::workers(context.clone()))
        .add_service(rpc::agent(context));
    let patience = Patience { begin: config.patience, stranger: config.timeout };
    let occupancy = Occupancy::new(config.connections, config.connections_per_address);
    let incoming = incoming(listener, tls, patience, occupancy);
    Ok(async move {
        report(&health, ServingStatus::Serving).await;
        let stopped = async {
            draining.cancelled().await;
            report(&health, ServingStatus::NotServing).await;
            stop.cancelled().await;
        };
        router.serve_with_incoming_shutdown(incoming, stopped).await
    })
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(vismae_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}
