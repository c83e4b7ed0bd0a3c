//! From a URL to an object store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use url::Url;

use super::settings::Settings;

/// Why a store URL could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// The scheme is none of ours.
    #[error("store `{url}` has scheme `{scheme}`, expected `file`, `s3`, `gs`, `az`, `memory` or a plain path")]
    UnknownScheme {
        /// The URL as given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A URL of a known scheme lacks a part.
    #[error("store `{url}` is not usable: {expected}")]
    Malformed {
        /// The URL as given.
        url: String,
        /// What the scheme asks for.
        expected: &'static str,
    },
    /// The query of a URL sets what can't be set.
    #[error("setting `{setting}` of the store's url {expected}")]
    Setting {
        /// The setting.
        setting: String,
        /// What was found, and what can be set.
        expected: String,
    },
    /// A URL holds a user name or a password, which is not repeated here.
    #[error("the url of the store holds credentials, expected them in the environment: urls are logged")]
    Credentials,
    /// The folder of a local store could not be created or resolved.
    #[error("could not use the folder `{folder}` as a store")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// The client of the store refused its settings.
    #[error("could not set up the client of store `{url}`")]
    Client {
        /// The URL as given.
        url: String,
        /// Why.
        source: object_store::Error,
    },
}

/// An open store.
pub(super) struct Opened {
    /// A write to a folder has been done once the system has it: quick, and lost with the system's power.
    pub(super) inner: Arc<dyn ObjectStore>,
    /// The same, where a write has been done once the disk has it.
    pub(super) synced: Arc<dyn ObjectStore>,
    /// Where a folder lies on this machine.
    pub(super) folder: Option<Arc<Path>>,
    /// The URL that names it in messages.
    pub(super) url: String,
    /// How long an operation is tried again; no time where nothing passes by itself.
    pub(super) patience: Duration,
}

impl Opened {
    /// One that keeps whatever it acknowledges.
    fn always_synced(inner: Arc<dyn ObjectStore>, url: String, patience: Duration) -> Self {
        Self { synced: Arc::clone(&inner), inner, folder: None, url, patience }
    }
}

pub(super) fn open(url: &str) -> Result<Opened, OpenStoreError> {
    let Some((scheme, _)) = url.split_once("://") else { return open_folder(Path::new(url)) };
    if holds_credentials(url) {
        return Err(OpenStoreError::Credentials);
    }
    let malformed = |expected| OpenStoreError::Malformed { url: url.to_owned(), expected };
    match scheme {
        "file" => {
            let parsed = Url::parse(url).map_err(|_| malformed("expected `file:///folder`"))?;
            let folder: PathBuf =
                parsed.to_file_path().map_err(|()| malformed("expected `file:///folder`, an absolute path"))?;
            open_folder(&folder)
        }
        "s3" | "s3a" => open_s3(&Bucket::parse(url, "expected `s3://bucket/prefix`")?),
        "gs" => open_gcs(&Bucket::parse(url, "expected `gs://bucket/prefix`")?),
        "az" | "azure" | "adl" | "abfs" | "abfss" => open_azure(&Bucket::parse(
            url,
            "expected `az://container/prefix` or `abfss://container@account.dfs.core.windows.net/prefix`",
        )?),
        "memory" => Ok(Opened::always_synced(Arc::new(InMemory::new()), url.to_owned(), Duration::ZERO)),
        _ => {
            // What the query of another scheme says may be a secret.
            let url = url.split(['?', '#']).next().unwrap_or_default().to_owned();
            Err(OpenStoreError::UnknownScheme { url, scheme: scheme.to_owned() })
        }
    }
}

/// Whether a URL, or one in its query, names a user: messages repeat it otherwise. One that can't be read may do so.
fn holds_credentials(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return text.contains('@') };
    // The Hadoop form of Azure names the container where others name a user.
    let names_container = matches!(url.scheme(), "az" | "abfs" | "abfss");
    let is_named = |url: &Url| url.password().is_some() || !url.username().is_empty();
    let within = url.query_pairs().any(|(_, value)| Url::parse(&value).is_ok_and(|inner| is_named(&inner)));
    url.password().is_some() || (is_named(&url) && !names_container) || within
}

/// The parts of the URL of a bucket.
struct Bucket {
    url: Url,
    name: String,
}

impl Bucket {
    fn parse(url: &str, expected: &'static str) -> Result<Self, OpenStoreError> {
        let malformed = || OpenStoreError::Malformed { url: url.to_owned(), expected };
        let parsed = Url::parse(url).map_err(|_| malformed())?;
        let name = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(malformed)?.to_owned();
        Ok(Self { url: parsed, name })
    }

    /// The URL without its query, for clients that read the bucket from it.
    fn without_query(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }

    fn opened<S: ObjectStore>(
        &self,
        client: object_store::Result<S>,
        settings: &Settings,
    ) -> Result<Opened, OpenStoreError> {
        let client = client.map_err(|source| OpenStoreError::Client { url: self.url.to_string(), source })?;
        let prefix = object_store::path::Path::from_url_path(self.url.path());
        let prefix =
            prefix.map_err(|source| OpenStoreError::Client { url: self.url.to_string(), source: source.into() })?;
        let inner = Arc::new(PrefixStore::new(client, prefix));
        Ok(Opened::always_synced(inner, self.url.to_string(), settings.patience))
    }
}

fn open_s3(bucket: &Bucket) -> Result<Opened, OpenStoreError> {
    let settings = Settings::of(&bucket.url, "AWS", &["endpoint", "region", "allow_http", "skip_signature"])?;
    let client = AmazonS3Builder::from_env().with_bucket_name(&bucket.name).with_retry(settings.retry());
    let client = settings
        .client
        .iter()
        .try_fold(client, |client, (key, value)| Ok(client.with_config(key.parse()?, value)))
        .and_then(AmazonS3Builder::build);
    bucket.opened(client, &settings)
}

fn open_gcs(bucket: &Bucket) -> Result<Opened, OpenStoreError> {
    let settings = Settings::of(&bucket.url, "GOOGLE", &["skip_signature"])?;
    let client = GoogleCloudStorageBuilder::from_env().with_bucket_name(&bucket.name).with_retry(settings.retry());
    let client = settings
        .client
        .iter()
        .try_fold(client, |client, (key, value)| Ok(client.with_config(key.parse()?, value)))
        .and_then(GoogleCloudStorageBuilder::build);
    bucket.opened(client, &settings)
}

fn open_azure(bucket: &Bucket) -> Result<Opened, OpenStoreError> {
    let settings = Settings::of(&bucket.url, "AZURE", &["skip_signature"])?;
    let client = MicrosoftAzureBuilder::from_env().with_url(bucket.without_query()).with_retry(settings.retry());
    let client = settings
        .client
        .iter()
        .try_fold(client, |client, (key, value)| Ok(client.with_config(key.parse()?, value)))
        .and_then(MicrosoftAzureBuilder::build);
    bucket.opened(client, &settings)
}

fn open_folder(folder: &Path) -> Result<Opened, OpenStoreError> {
    let refused = |source| OpenStoreError::Folder { folder: folder.display().to_string(), source };
    if folder.as_os_str().is_empty() {
        return Err(OpenStoreError::Malformed { url: String::new(), expected: "expected a path or a URL" });
    }
    std::fs::create_dir_all(folder).map_err(refused)?;
    let folder = folder.canonicalize().map_err(refused)?;
    let url = Url::from_directory_path(&folder).map(String::from);
    let url = url.unwrap_or_else(|()| format!("file://{}", folder.display()));
    let url = url.trim_end_matches('/').to_owned();
    let store = LocalFileSystem::new_with_prefix(&folder)
        .map_err(|source| OpenStoreError::Client { url: url.clone(), source })?;
    let synced = Arc::new(store.clone().with_fsync(true));
    Ok(Opened { inner: Arc::new(store), synced, folder: Some(folder.into()), url, patience: Duration::ZERO })
}
