//! Reaching a coordinator.

mod bearer;

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};

pub use bearer::{Bearer, TokenError};

/// How often an idle connection is probed, so that a peer that vanished is noticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How the two ends of an `https://` connection come to believe each other. Read anew for each connection, so that a renewed
/// certificate is used from the next one on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// PEM of the authority that has signed the coordinator's certificate; those of the system when absent.
    pub ca: Option<PathBuf>,
    /// PEM of the certificate and of the key to show to the coordinator, as agents do.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why no coordinator was reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address can't be one of a coordinator.
    #[error(
        "coordinator address `{url}` is not usable: {problem}; expected one such as `http://127.0.0.1:7340` or `https://vismae.example.org:7340`"
    )]
    Address {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate or key can't be used.
    #[error("`{}` can't be used: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// Who answers there can't show that they are the coordinator, or does not believe who asks.
    #[error(
        "the certificate of the coordinator at `{url}` is not believed, or ours is not by it: {problem}; expected the authority named by `--ca`, and the host as it is in the certificate"
    )]
    Untrusted {
        /// The address as given.
        url: String,
        /// What is wrong, in the words of the TLS library.
        problem: String,
    },
    /// Nobody answers there.
    #[error(
        "no coordinator answers at `{url}`: start one with `vismae up`, or name another with `--coordinator` ({problem})"
    )]
    NoAnswer {
        /// The address as given.
        url: String,
        /// What went wrong, down to the operating system's words.
        problem: String,
    },
}

/// Connects to the coordinator at `http://host:port` without asking who answers.
///
/// # Errors
/// [`ConnectError`], whose message says what to do.
pub async fn connect(url: &str, timeout: Duration) -> Result<Channel, ConnectError> {
    connect_with(url, &Trust::default(), timeout).await
}

/// Connects to the coordinator at `http://host:port` or `https://host:port`, waiting no longer than the timeout.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with(url: &str, trust: &Trust, timeout: Duration) -> Result<Channel, ConnectError> {
    let address = |problem: String| ConnectError::Address { url: url.to_owned(), problem };
    let no_answer = |problem: String| ConnectError::NoAnswer { url: url.to_owned(), problem };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| address(chain(&error)))?;
    let endpoint = match endpoint.uri().scheme_str() {
        Some("http") if *trust != Trust::default() => {
            return Err(address("certificates are for `https://`, and would not be used".to_owned()));
        }
        Some("http") => endpoint,
        Some("https") => endpoint.tls_config(tls(trust).await?).map_err(|error| address(chain(&error)))?,
        Some(other) => return Err(address(format!("scheme `{other}` is not spoken here"))),
        None => return Err(address("it has no scheme".to_owned())),
    };
    let endpoint = endpoint
        .connect_timeout(timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    match tokio::time::timeout(timeout, endpoint.connect()).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) if is_mistrust(&error) => {
            Err(ConnectError::Untrusted { url: url.to_owned(), problem: chain(&error) })
        }
        Ok(Err(error)) => Err(no_answer(chain(&error))),
        Err(_) => Err(no_answer(format!("gave up after {timeout:?}"))),
    }
}

async fn tls(trust: &Trust) -> Result<ClientTlsConfig, ConnectError> {
    let config = match &trust.ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca).await?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let Some((certificate, key)) = &trust.identity else { return Ok(config) };
    Ok(config.identity(Identity::from_pem(read(certificate).await?, read(key).await?)))
}

async fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let read = tokio::fs::read(path).await;
    read.map_err(|error| ConnectError::File { path: path.to_owned(), problem: error.to_string() })
}

/// Whether nothing that is sent to a host leaves this machine.
fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The innermost source in words: the outer ones only say that something failed.
fn chain(error: &(dyn Error + 'static)) -> String {
    innermost(error).to_string()
}

/// Whether TLS has ended a connection. Its error is what an error of reading holds, not what that has as its source.
fn is_mistrust(error: &(dyn Error + 'static)) -> bool {
    let held = innermost(error).downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    held.is_some_and(|held| held.is::<tokio_rustls::rustls::Error>())
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_absent_coordinator_is_named_with_what_to_do() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let message = connect(&url, Duration::from_secs(5)).await.unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("no coordinator answers at `{url}`: start one with `vismae up`")),
            "{message}"
        );
        assert!(message.contains("refused"), "{message}");
    }

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused_before_it_is_tried() {
        for url in ["127.0.0.1:7340", "ftp://host:1", "http://", "nonsense with spaces"] {
            let error = connect(url, Duration::from_secs(5)).await.unwrap_err();
            assert!(matches!(error, ConnectError::Address { .. }), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn certificates_are_not_left_unused() {
        let trust = Trust { ca: Some("ca.pem".into()), identity: None };
        let error = connect_with("http://127.0.0.1:1", &trust, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Address { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let trust = Trust { ca: Some("no/such/ca.pem".into()), identity: None };
        let error = connect_with("https://127.0.0.1:1", &trust, Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().starts_with("`no/such/ca.pem` can't be used"), "{error}");
    }
}
