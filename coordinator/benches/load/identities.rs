//! Certificates of agents, signed by an authority that `vismae certs` has made.

use std::fs;
use std::path::PathBuf;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use vismae_proto::client::Trust;

use crate::Outcome;

/// The authority, and the folder it lies in.
pub(crate) struct Identities {
    folder: PathBuf,
    authority: Issuer<'static, KeyPair>,
}

impl Identities {
    pub(crate) fn open(folder: PathBuf) -> Outcome<Self> {
        let read = |name: &str| fs::read_to_string(folder.join(name));
        let authority = Issuer::from_ca_cert_pem(&read("ca.pem")?, KeyPair::from_pem(&read("ca.key")?)?)?;
        Ok(Self { folder, authority })
    }

    /// What an agent of that name believes and shows.
    pub(crate) fn issue(&self, name: &str) -> Outcome<Trust> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.authority)?;
        let path = |kind: &str| self.folder.join(format!("{name}.{kind}"));
        fs::write(path("pem"), certificate.pem())?;
        fs::write(path("key"), key.serialize_pem())?;
        Ok(Trust { ca: Some(self.folder.join("ca.pem")), identity: Some((path("pem"), path("key"))) })
    }
}
