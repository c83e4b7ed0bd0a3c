//! `vismae certs`: certificates for a cluster that has no authority of its own.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use vismae_core::ids::WorkerId;

use crate::failure::{Exit, Failure, OrFail as _};
use crate::output::Format;

/// How long the authority is valid, in days.
const AUTHORITY_DAYS: i64 = 3650;
/// Clocks of other machines may be a little behind.
const BACKDATED: Duration = Duration::hours(1);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Folder to write to; an authority that is there already signs what is made now
    #[arg(long, value_name = "DIR", default_value = "certs")]
    dir: PathBuf,
    /// Name or address that the coordinator is reached at; may be given again
    #[arg(long = "host", value_name = "HOST", default_values = ["localhost", "127.0.0.1", "::1"])]
    hosts: Vec<String>,
    /// Worker to make a certificate for; may be given again
    #[arg(long = "worker", value_name = "NAME", value_parser = parse_worker)]
    workers: Vec<WorkerId>,
    /// Days that the certificates are valid
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=825))]
    days: u32,
}

#[derive(Debug, Serialize)]
struct CertsView {
    /// What workers and commands believe with `--ca`, and a coordinator with `--client-ca`.
    ca: PathBuf,
    /// Whether it was made now.
    ca_is_new: bool,
    certificates: Vec<CertificateView>,
}

#[derive(Debug, Serialize)]
struct CertificateView {
    name: String,
    certificate: PathBuf,
    key: PathBuf,
    days: u32,
}

pub(super) fn run(options: &Options, format: Format) -> Result<(), Failure> {
    fs::create_dir_all(&options.dir)
        .map_err(|error| Failure::new(Exit::Usage, format!("folder `{}`: {error}", options.dir.display())))?;
    let (authority, ca_is_new) = authority(&options.dir)?;
    let mut certificates =
        vec![issue(options, &authority, "coordinator", &options.hosts, ExtendedKeyUsagePurpose::ServerAuth)?];
    for worker in &options.workers {
        let name = worker.to_string();
        certificates.push(issue(
            options,
            &authority,
            &name,
            std::slice::from_ref(&name),
            ExtendedKeyUsagePurpose::ClientAuth,
        )?);
    }
    let view = CertsView { ca: options.dir.join("ca.pem"), ca_is_new, certificates };
    format.result(&view, describe)
}

/// The authority of the folder, and whether it was made now.
fn authority(folder: &Path) -> Result<(Issuer<'static, KeyPair>, bool), Failure> {
    let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
    // Nobody would believe what another authority under the same name has signed.
    if certificate.exists() || key.exists() {
        let read = |path: &Path| {
            let missing = |error| {
                format!(
                    "`{}`: {error}; the authority is its certificate and its key, expected both or neither",
                    path.display()
                )
            };
            fs::read_to_string(path).map_err(|error| Failure::new(Exit::Usage, missing(error)))
        };
        let (certificate, key) = (read(&certificate)?, read(&key)?);
        let issuer = KeyPair::from_pem(&key).and_then(|key| Issuer::from_ca_cert_pem(&certificate, key));
        let unusable = |error| Failure::new(Exit::Usage, format!("`{}` is no authority: {error}", folder.display()));
        return Ok((issuer.map_err(unusable)?, false));
    }
    let pair = KeyPair::generate().or_fail(Exit::WorkFailed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "vismae authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, AUTHORITY_DAYS);
    let signed = params.self_signed(&pair).or_fail(Exit::WorkFailed)?;
    write_secret(&key, &pair.serialize_pem())?;
    write(&certificate, &signed.pem(), 0o644)?;
    Ok((Issuer::new(params, pair), true))
}

fn issue(
    options: &Options,
    authority: &Issuer<'_, KeyPair>,
    name: &str,
    names: &[String],
    purpose: ExtendedKeyUsagePurpose,
) -> Result<CertificateView, Failure> {
    let usage = |error| Failure::new(Exit::Usage, format!("`{}` can't be in a certificate: {error}", names.join(", ")));
    let pair = KeyPair::generate().or_fail(Exit::WorkFailed)?;
    let mut params = CertificateParams::new(names).map_err(usage)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    validity(&mut params, options.days.into());
    let signed = params.signed_by(&pair, authority).or_fail(Exit::WorkFailed)?;
    let (certificate, key) = (options.dir.join(format!("{name}.pem")), options.dir.join(format!("{name}.key")));
    write_secret(&key, &pair.serialize_pem())?;
    write(&certificate, &signed.pem(), 0o644)?;
    Ok(CertificateView { name: name.to_owned(), certificate, key, days: options.days })
}

fn validity(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days);
}

/// Writes what only its owner may read.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    write(path, text, 0o600)
}

/// Puts a file in place as a whole, so that a coordinator that reads it never sees half of it.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let put = || -> io::Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", Uuid::new_v4().simple()));
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    put().map_err(|error| Failure::new(Exit::WorkFailed, format!("`{}` can't be written: {error}", path.display())))
}

fn parse_worker(name: &str) -> Result<WorkerId, String> {
    match name {
        // Their files would be overwritten.
        "ca" | "coordinator" => Err("is the name of another certificate, expected another".to_owned()),
        name => WorkerId::new(name).map_err(|error| error.to_string()),
    }
}

fn describe(view: &CertsView) -> String {
    let made = if view.ca_is_new { "made an authority" } else { "signed by the authority that was there" };
    let mut text = format!("{made}: {}", view.ca.display());
    for CertificateView { name, certificate, days, .. } in &view.certificates {
        text.push_str(&format!("\n{name}, for {days} days: {}", certificate.display()));
    }
    text
}
