//! A token that goes with every request.

use std::fmt;

use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::transport::Uri;
use tonic::{Request, Status};

use super::is_loopback;

/// A token can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It holds what no token does.
    #[error("the token holds characters that can't be sent, expected one line of letters, digits and signs")]
    Unusable,
    /// Others could read it on its way.
    #[error(
        "the token is not sent to `{url}` in plain text, where others could read it: expected an `https://` address"
    )]
    Exposed {
        /// The coordinator's address.
        url: String,
    },
}

/// Adds a token to requests, if there is one. Its text is never shown.
#[derive(Clone, Default)]
pub struct Bearer(Option<AsciiMetadataValue>);

impl Bearer {
    /// For requests to the coordinator at a URL.
    ///
    /// # Errors
    /// [`TokenError`]; the token is in no message.
    pub fn new(token: Option<&str>, url: &str) -> Result<Self, TokenError> {
        let Some(token) = token else { return Ok(Self(None)) };
        let is_safe = url.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https") || is_loopback(&uri));
        if !is_safe {
            return Err(TokenError::Exposed { url: url.to_owned() });
        }
        let mut value: AsciiMetadataValue =
            format!("Bearer {}", token.trim()).parse().map_err(|_| TokenError::Unusable)?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Bearer(…)" } else { "Bearer(none)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_where_nobody_reads_along_and_shown_nowhere() {
        for url in ["https://host:1", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
            let mut bearer = Bearer::new(Some("secret"), url).unwrap();
            let request = bearer.call(Request::new(())).unwrap();
            assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer secret", "{url}");
            assert!(!format!("{bearer:?} {request:?}").contains("secret"));
        }
        for url in ["http://host:1", "http://127.0.0.1.example.org:1", "http://10.0.0.1:1"] {
            let error = Bearer::new(Some("secret"), url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
        assert_eq!(Bearer::new(Some("two\nlines"), "https://host").unwrap_err(), TokenError::Unusable);
    }
}
