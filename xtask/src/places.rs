//! Where things lie: the checkout, and the cache that every checkout shares.

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The version of libtorch that the `tch` crate of this workspace binds.
pub(crate) const LIBTORCH_VERSION: &str = "2.11.0";

/// The folders that the tasks work in.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The root of this checkout.
    pub(crate) checkout: PathBuf,
    /// `vismae` in the user's cache.
    pub(crate) cache: PathBuf,
}

impl Places {
    /// Finds them from the environment.
    pub(crate) fn find() -> Result<Self> {
        // Not as it was when this was compiled: another checkout may have done that, into the same target folder.
        let package = env::var_os("CARGO_MANIFEST_DIR").context("started without cargo: use `cargo xtask`")?;
        let checkout = Path::new(&package).parent().context("xtask lies in no folder")?.to_owned();
        let cache = cache(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
            .context("no cache folder: set VISMAE_CACHE, XDG_CACHE_HOME or HOME")?;
        Ok(Self { checkout, cache: std::path::absolute(cache)? })
    }

    /// The Python folder that holds libtorch beside the libraries it needs.
    pub(crate) fn site(&self) -> PathBuf {
        self.cache.join(format!("libtorch-{LIBTORCH_VERSION}"))
    }

    /// Where the compiled code of this checkout goes, outside of it. No two checkouts share one: cargo tells fresh from stale
    /// by the times of files alone, and would take the code of the one that compiled later for that of the other.
    pub(crate) fn target(&self) -> PathBuf {
        let name = self.checkout.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.cache.join("target").join(format!("{name}-{:016x}", hash(&self.checkout)))
    }

    /// Where the packages of a list go: a folder for each state of the list.
    pub(crate) fn packages(&self, name: &str, requirements: &Path) -> Result<PathBuf> {
        let list =
            std::fs::read(requirements).with_context(|| format!("`{}` cannot be read", requirements.display()))?;
        Ok(self.cache.join(format!("{name}-{:016x}", hash(&list))))
    }

    /// The cargo settings of this machine, which no commit holds.
    pub(crate) fn settings(&self) -> PathBuf {
        self.checkout.join(".cargo/local.toml")
    }
}

/// The same for the same thing on every machine, as long as the standard library keeps its hash.
fn hash(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

fn cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("VISMAE_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME"))
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("vismae"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_checkout_has_its_own_target_folder() {
        let of = |checkout: &str| Places { checkout: checkout.into(), cache: "/c".into() }.target();
        assert_eq!(of("/src/vismae"), of("/src/vismae"));
        assert!(of("/src/vismae").starts_with("/c/target"));
        assert_ne!(of("/src/a/b"), of("/src/a-b"));
    }

    #[test]
    fn the_most_specific_variable_names_the_cache() {
        let all = [("VISMAE_CACHE", "/v"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        let look = |from: usize| {
            cache(|name| all[from..].iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value)))
        };
        assert_eq!(look(0), Some("/v/vismae".into()));
        assert_eq!(look(1), Some("/x/vismae".into()));
        assert_eq!(look(2), Some("/h/.cache/vismae".into()));
        assert_eq!(look(3), None);
    }
}
