//! Reaching a coordinator.

use std::error::Error;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// How often an idle connection is probed, so that a peer that vanished is noticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Why no coordinator was reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address can't be one of a coordinator.
    #[error("coordinator address `{url}` is not usable: {problem}; expected one such as `http://127.0.0.1:7340`")]
    Address {
        /// The address as given.
        url: String,
        /// What is wrong with it.
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

/// Connects to the coordinator at `http://host:port`, waiting no longer than the timeout.
///
/// # Errors
/// [`ConnectError`], whose message says what to do.
pub async fn connect(url: &str, timeout: Duration) -> Result<Channel, ConnectError> {
    let address = |problem: String| ConnectError::Address { url: url.to_owned(), problem };
    let no_answer = |problem: String| ConnectError::NoAnswer { url: url.to_owned(), problem };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| address(chain(&error)))?;
    match endpoint.uri().scheme_str() {
        Some("http") => {}
        Some(other) => return Err(address(format!("scheme `{other}` is not spoken here"))),
        None => return Err(address("it has no scheme".to_owned())),
    }
    let endpoint = endpoint
        .connect_timeout(timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    match tokio::time::timeout(timeout, endpoint.connect()).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(no_answer(chain(&error))),
        Err(_) => Err(no_answer(format!("gave up after {timeout:?}"))),
    }
}

/// The innermost source in words: the outer ones only say that something failed.
fn chain(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
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
        for url in ["127.0.0.1:7340", "https://host:1", "http://", "nonsense with spaces"] {
            let error = connect(url, Duration::from_secs(5)).await.unwrap_err();
            assert!(matches!(error, ConnectError::Address { .. }), "{url}: {error}");
        }
    }
}
