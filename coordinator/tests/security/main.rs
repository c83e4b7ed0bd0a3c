//! What keeps others out: for each rule, an attempt to break it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation is a failed test")]

mod agents;
mod authority;
mod limits;
mod people;
#[path = "../wire/mod.rs"]
mod wire;

use std::path::PathBuf;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;
use vismae_coordinator::server::{Config, ServeError, TlsFiles, serve};
use vismae_proto::client::{Bearer, Trust, connect_with};
use vismae_proto::v1::job_service_client::JobServiceClient;
use vismae_proto::v1::namespace_service_client::NamespaceServiceClient;
use vismae_proto::v1::{Namespace, UpdateNamespaceRequest};

use authority::Authority;
use wire::{Coordinator, PATIENCE, any_port};

/// Tokens and what they allow: `viewer` and `submitter` in research, `operator` and `admin` everywhere, `guest` in the clinic only, and
/// `nobody` nothing.
const ACCESS: &str = r#"
[[token]]
name = "viewer"
sha256 = "d35ca5051b82ffc326a3b0b6574a9a3161dee16b9478a199ee39cd803ce5b799"
grants = ["research:viewer"]

[[token]]
name = "submitter"
sha256 = "cb3735e9782c46cabb91b7ba88ab648b01ab2f988b33296dcb4e1bd59d17a713"
grants = ["research:submitter"]

[[token]]
name = "operator"
sha256 = "06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23"
grants = ["*:operator"]

[[token]]
name = "guest"
sha256 = "84983c60f7daadc1cb8698621f802c0d9f9a3c3c295c810748fb048115c186ec"
grants = ["clinic:submitter"]

[[token]]
name = "admin"
sha256 = "8c6976e5b5410415bde908bd4dee15dfb167a9c873fc4bb8a81f6f2ab448a918"
grants = ["*:admin"]

[[token]]
name = "nobody"
sha256 = "6382b3cc881412b77bfcaeed026001c00d9e3025e66c20f6e7e92f079851462a"
grants = []

[stores]
research = ["file:///store/research"]

[limits]
requests_per_second = 1000
burst = 1000
streams = 2
"#;

/// A coordinator that other machines could be let reach, and the files it is told by.
struct Guarded {
    folder: TempDir,
    authority: Authority,
    coordinator: Coordinator,
}

impl Guarded {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        std::fs::write(folder.path().join("access.toml"), ACCESS).unwrap();
        authority.write(folder.path(), "ca");
        // That of agents, which could be another.
        authority.write(folder.path(), "client-ca");
        authority.issue("localhost").write(folder.path(), "coordinator");
        authority.issue("worker-1").write(folder.path(), "worker-1");
        let path = |name: &str| folder.path().join(name);
        let mut config = Config {
            tls: Some(TlsFiles {
                certificate: path("coordinator.pem"),
                key: path("coordinator.key"),
                client_ca: Some(path("client-ca.pem")),
            }),
            access: Some(path("access.toml")),
            audit_log: Some(path("audit.jsonl")),
            lease: PATIENCE,
            ..Config::new(any_port())
        };
        change(&mut config);
        let shutdown = CancellationToken::new();
        let running = serve(config, None, shutdown.clone()).await.unwrap();
        let port = running.address().port();
        let trust = Trust { ca: Some(path("ca.pem")), identity: Some((path("worker-1.pem"), path("worker-1.key"))) };
        let channel = connect_with(&url(port), &trust, PATIENCE).await.unwrap();
        let guarded = Self { folder, authority, coordinator: Coordinator { running, channel, shutdown } };
        guarded.make_namespace("research").await;
        guarded
    }

    async fn make_namespace(&self, name: &str) {
        let bearer = Bearer::new(Some("admin"), &self.url()).unwrap();
        let mut client = NamespaceServiceClient::with_interceptor(self.channel().await, bearer);
        let namespace = Some(Namespace { name: name.to_owned(), ..Default::default() });
        let request = UpdateNamespaceRequest { namespace, allow_missing: true, ..Default::default() };
        client.update_namespace(request).await.unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        url(self.coordinator.running.address().port())
    }

    /// A connection without a certificate.
    async fn channel(&self) -> Channel {
        let trust = Trust { ca: Some(self.path("ca.pem")), identity: None };
        connect_with(&self.url(), &trust, PATIENCE).await.unwrap()
    }

    /// Somebody with a token, which in these tests is the name of its holder.
    async fn holder(&self, token: &str) -> JobServiceClient<InterceptedService<Channel, Bearer>> {
        JobServiceClient::with_interceptor(self.channel().await, Bearer::new(Some(token), &self.url()).unwrap())
    }

    /// The lines of the audit log behind the first, which tells of the namespace.
    fn audit(&self) -> Vec<serde_json::Value> {
        let log = std::fs::read_to_string(self.path("audit.jsonl")).unwrap();
        log.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn url(port: u16) -> String {
    format!("https://localhost:{port}")
}

/// The word for programs in a refusal.
fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn other_machines_are_let_in_only_with_everything_that_keeps_strangers_out() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("access.toml"), ACCESS).unwrap();
    authority.write(folder.path(), "ca");
    authority.issue("localhost").write(folder.path(), "coordinator");
    let open = Config::new(([0, 0, 0, 0], 0).into());
    let tls = TlsFiles { certificate: path("coordinator.pem"), key: path("coordinator.key"), client_ca: None };
    let agents = TlsFiles { client_ca: Some(path("ca.pem")), ..tls.clone() };
    let access = Some(path("access.toml"));
    for (config, missing) in [
        (open.clone(), "`--tls-cert`"),
        (Config { access: access.clone(), ..open.clone() }, "`--tls-cert`"),
        (Config { tls: Some(tls), access: access.clone(), ..open.clone() }, "`--client-ca`"),
        (Config { tls: Some(agents.clone()), ..open.clone() }, "`--access`"),
    ] {
        let error = serve(config, None, CancellationToken::new()).await.unwrap_err();
        assert!(matches!(&error, ServeError::Exposed { missing: found, .. } if found.contains(missing)), "{error}");
    }
    let shutdown = CancellationToken::new();
    let config = Config { tls: Some(agents), access, ..open };
    let mut running = serve(config, None, shutdown.clone()).await.unwrap();
    shutdown.cancel();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn files_that_can_not_be_used_are_named_before_anything_is_served() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let path = |name: &str| folder.path().join(name);
    authority.issue("localhost").write(folder.path(), "coordinator");
    authority.issue("localhost").write(folder.path(), "other");
    std::fs::write(path("access.toml"), "[[token]]\nname = 1\n").unwrap();
    let files =
        |certificate: &str, key: &str| TlsFiles { certificate: path(certificate), key: path(key), client_ca: None };
    let here = Config::new(any_port());
    let tls = |certificate, key| Config { tls: Some(files(certificate, key)), ..here.clone() };
    for (config, named) in [
        (tls("none.pem", "coordinator.key"), "none.pem"),
        (tls("access.toml", "coordinator.key"), "no certificate is in it"),
        (tls("coordinator.pem", "other.key"), "coordinator.pem"),
        (tls("coordinator.pem", "coordinator.pem"), "no PEM of a private key"),
        (Config { access: Some(path("access.toml")), ..here.clone() }, "line 2"),
        (Config { audit_log: Some(path("no/folder/audit.jsonl")), ..here.clone() }, "audit log"),
    ] {
        let error = serve(config, None, CancellationToken::new()).await.unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
}
