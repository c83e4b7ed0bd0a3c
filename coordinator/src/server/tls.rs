//! The certificate of the coordinator, and those it believes.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// PEM files for TLS; read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that signed it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority whose certificates agents must have.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// In the order in which [`make`] takes their contents.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).cloned().collect()
    }
}

/// Settings of TLS, ready to use.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    /// When the certificate ends, in seconds since 1970.
    pub(super) expires: i64,
}

/// Makes settings of the contents of [`TlsFiles::paths`]: TLS 1.3 and HTTP/2, with a client's certificate asked for and verified
/// where its authority is known. Who has none is no agent, and may still be somebody with a token.
pub(super) fn make(contents: &[Vec<u8>]) -> Result<Tls, String> {
    let [certificate, key, client_ca @ ..] = contents else { return Err("a file is missing".to_owned()) };
    let chain = certificates(certificate)?;
    let expires = not_after(&chain[0])?;
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key is no PEM of a private key: {error}"))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?;
    let builder = match client_ca.first() {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(authority).map_err(|problem| format!("of the client authority: {problem}"))? {
                roots.add(root).map_err(|error| format!("a certificate of the client authority: {error}"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| format!("the client authority: {error}"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Tls { config: Arc::new(config), expires })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("no certificate is in it, expected PEM".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("it is no PEM of certificates: {error}")),
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Result<i64, String> {
    let parsed = X509Certificate::from_der(certificate).map_err(|error| format!("the certificate: {error}"))?;
    Ok(parsed.1.validity().not_after.timestamp())
}

/// The DNS names of a certificate that has been verified; none where it can't be read.
pub(super) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(dns).collect()
}
