//! Where the runs are kept: a folder, or a bucket of a real S3 server behind a proxy that can spoil what passes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use tokio::runtime::Runtime;

use super::lab::{Disk, Lab};
use crate::clients::S3;
use crate::faults::{self, Faults, Rule, When};
use crate::proxy::Proxy;

/// The store of the runs.
#[derive(Debug)]
pub enum Storage {
    /// A folder, and the small disk that it lies on, where it does.
    Folder(PathBuf, Option<Disk>),
    /// A bucket.
    Bucket(Bucket),
}

/// A bucket of a real S3 server, behind a proxy.
#[derive(Debug)]
pub struct Bucket {
    proxy: Proxy,
    server: S3,
    /// The proxy's own.
    _runtime: Runtime,
}

impl Bucket {
    /// Starts a server that forgets everything when it is dropped, which is reached where nodes find it; none where it is not installed.
    ///
    /// # Panics
    /// When one of the two does not come up.
    pub fn start(lab: Option<&Lab>) -> Option<Self> {
        let server = S3::start()?;
        let builder = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = builder.expect("a runtime");
        let host = lab.map_or([127, 0, 0, 1].into(), |_| Lab::hub());
        let proxy = runtime.block_on(Proxy::start_on(host, server.port(), Faults::new(1, Vec::new())));
        Some(Self { proxy, server, _runtime: runtime })
    }

    /// What happens to requests from now on.
    pub(super) fn spoil(&self, rules: Vec<Rule>) {
        self.proxy.faults.replace(rules);
    }

    /// Requests that have met something so far.
    fn spoiled(&self) -> u64 {
        self.proxy.faults.met().values().map(|count| u64::from(*count)).sum()
    }

    /// Lets something happen to requests for a while; nothing comes of it where there were none.
    pub(super) fn spoil_for(&self, rules: Vec<Rule>, time: Duration) -> Option<()> {
        let before = self.spoiled();
        self.spoil(rules);
        std::thread::sleep(time);
        self.spoil(Vec::new());
        (self.spoiled() > before).then_some(())
    }
}

impl Storage {
    /// What the store is, in a word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Folder(_, Some(_)) => "folder on a small disk",
            Self::Folder(_, None) => "folder",
            Self::Bucket(_) => "bucket",
        }
    }

    /// Requests that were answered otherwise than they should have been, or not at all.
    pub(super) fn spoiled(&self) -> u64 {
        match self {
            Self::Folder(..) => 0,
            Self::Bucket(bucket) => bucket.spoiled(),
        }
    }

    /// The URL of the store of a pipeline.
    pub(super) fn url(&self, pipeline: &str) -> String {
        match self {
            Self::Folder(folder, _) => folder.join(pipeline).to_string_lossy().into_owned(),
            Self::Bucket(Bucket { proxy, .. }) => format!(
                "s3://vismae/{pipeline}?endpoint=http://{}&allow_http=true&region=us-east-1&skip_signature=true",
                proxy.address
            ),
        }
    }

    /// The bytes of an object.
    ///
    /// # Panics
    /// When there is none.
    pub(super) fn read(&self, pipeline: &str, path: &str) -> Vec<u8> {
        match self {
            Self::Folder(folder, _) => std::fs::read(folder.join(pipeline).join(path)).expect("an object of the run"),
            Self::Bucket(bucket) => bucket.server.get(&format!("/vismae/{pipeline}/{path}")),
        }
    }

    /// The folder of a pipeline, where the store is one.
    pub(super) fn folder(&self, pipeline: &str) -> Option<PathBuf> {
        match self {
            Self::Folder(folder, _) => Some(folder.join(pipeline)),
            Self::Bucket(_) => None,
        }
    }

    /// What keeps row groups on the disk of a node: of no use where the store is a folder.
    pub(super) fn cache(&self, folder: &Path) -> Vec<String> {
        match self {
            Self::Folder(..) => Vec::new(),
            Self::Bucket(_) => {
                let folder = folder.to_string_lossy().into_owned();
                ["--cache-dir", &folder, "--cache-bytes", "1000000000"].map(str::to_owned).to_vec()
            }
        }
    }
}

/// Rules for every request of reading and of writing.
pub(super) fn any(when: When, fault: faults::Fault) -> [Rule; 2] {
    [Method::GET, Method::PUT].map(|method| Rule { method, path: "/", when, fault })
}
