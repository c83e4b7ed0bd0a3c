//! Folders of the cache that pip fills, each once.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::places::Places;

/// Where packages come from, and how much room they take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'p> {
    /// The Python whose pip is asked.
    pub(crate) python: &'p str,
    /// Bytes for the packages and, while pip unpacks them, for their archives.
    pub(crate) space: u64,
}

/// The Python on the path.
pub(crate) const PYTHON: &str = "python3";

/// What pip is to fetch.
#[derive(Debug)]
pub(crate) struct Site<'s> {
    /// Where it goes.
    pub(crate) folder: &'s Path,
    /// What it is.
    pub(crate) what: &'s str,
    /// How much comes over the network, for people.
    pub(crate) size: &'s str,
    /// The packages, and how they are wanted.
    pub(crate) arguments: Vec<OsString>,
    /// What may help where pip fails.
    pub(crate) hint: &'s str,
}

/// A list of packages in this checkout.
#[derive(Debug)]
pub(crate) struct List<'l> {
    /// The list, from the root of the checkout.
    pub(crate) requirements: &'l str,
    /// What folders of the cache with its packages are called.
    pub(crate) name: &'l str,
    /// What they are.
    pub(crate) what: &'l str,
    /// How much comes over the network, for people.
    pub(crate) size: &'l str,
    /// Bytes while pip unpacks them.
    pub(crate) space: u64,
    /// How they are wanted.
    pub(crate) arguments: &'l [&'l str],
}

/// Installs what a list names, unless it is there, and gives the folder: another one for another list.
pub(crate) fn install_list(places: &Places, list: &List<'_>, python: &str) -> Result<PathBuf> {
    let requirements = places.checkout.join(list.requirements);
    let folder = places.packages(list.name, &requirements)?;
    let mut arguments: Vec<OsString> = list.arguments.iter().map(OsString::from).collect();
    arguments.extend(["--quiet".into(), "--requirement".into(), requirements.into()]);
    let hint = format!("the list is `{}`", list.requirements);
    let site = Site { folder: &folder, what: list.what, size: list.size, arguments, hint: &hint };
    install(&site, Source { python, space: list.space }, |folder| {
        // It got its name when it was whole.
        if folder.is_dir() { Ok(folder.to_owned()) } else { bail!("`{}` is not there", folder.display()) }
    })
}

/// Fills a folder, unless another process has done so by the time it is this one's turn. `look` says what is in a folder that is
/// whole; one that is not is filled anew.
pub(crate) fn install<T>(site: &Site<'_>, source: Source<'_>, look: impl Fn(&Path) -> Result<T>) -> Result<T> {
    let folder = site.folder;
    let cache = folder.parent().with_context(|| format!("`{}` lies in no folder", folder.display()))?;
    fs::create_dir_all(cache).with_context(|| format!("cache folder `{}` cannot be made", cache.display()))?;
    let _lock = take_turn(folder)?;
    if let Ok(found) = look(folder) {
        return Ok(found);
    }
    check_pip(source.python)?;
    check_space(cache, source.space)?;
    remove_leftovers(cache, folder)?;

    let partial = PathBuf::from(format!("{}.partial-{}", folder.display(), std::process::id()));
    eprintln!("fetching {} through pip into {} (about {}, once)", site.what, folder.display(), site.size);
    let fetched = fetch(site, source.python, &partial).and_then(|()| look(&partial));
    if let Err(error) = fetched {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("unusable `{}` cannot be removed", folder.display()))?;
    }
    fs::rename(&partial, folder).with_context(|| format!("`{}` cannot be put in place", folder.display()))?;
    look(folder)
}

/// Waits until no other process fills the same folder. The lock ends with the file's handle.
fn take_turn(folder: &Path) -> Result<File> {
    let path = PathBuf::from(format!("{}.lock", folder.display()));
    let file = File::create(&path).with_context(|| format!("lock `{}` cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => eprintln!("waiting for another set-up that holds {}", path.display()),
        Err(TryLockError::Error(error)) => return Err(error).context(format!("`{}` cannot be locked", path.display())),
    }
    file.lock().with_context(|| format!("`{}` cannot be locked", path.display()))?;
    Ok(file)
}

/// Checks that Python and pip are there.
pub(crate) fn check_pip(python: &str) -> Result<String> {
    let Ok(output) = Command::new(python).args(["-m", "pip", "--version"]).output() else {
        bail!(
            "`python3` is not installed; install Python 3.10 or newer with pip, or set LIBTORCH to a libtorch you have"
        );
    };
    if !output.status.success() {
        bail!(
            "`python3` has no pip; install it with your package manager (`python3-pip`) or with `python3 -m ensurepip`, \
             or set LIBTORCH to a libtorch you have"
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn check_space(cache: &Path, needed: u64) -> Result<()> {
    let free = fs4::available_space(cache).context("free disk space cannot be read")?;
    if free < needed {
        bail!(
            "`{}` has {:.1} GB free, expected {:.0} GB; make room, or set VISMAE_CACHE to a folder on another disk",
            cache.display(),
            free as f64 / 1e9,
            needed as f64 / 1e9
        );
    }
    Ok(())
}

/// Whoever holds the lock is alone: what others left half done will never be finished.
fn remove_leftovers(cache: &Path, folder: &Path) -> Result<()> {
    let prefix = format!("{}.partial-", folder.file_name().unwrap_or_default().to_string_lossy());
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("leftover `{}` cannot be removed", entry.path().display()))?;
        }
    }
    Ok(())
}

fn fetch(site: &Site<'_>, python: &str, partial: &Path) -> Result<()> {
    // pip unpacks in its temporary folder and then moves: on the same disk that costs nothing.
    let temporary = partial.join("tmp");
    fs::create_dir_all(&temporary).with_context(|| format!("`{}` cannot be made", temporary.display()))?;
    let status = Command::new(python)
        .args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--target"])
        .arg(partial)
        .args(&site.arguments)
        .env("TMPDIR", &temporary)
        .status()
        .context("`python3` cannot be started")?;
    if !status.success() {
        bail!(
            "pip could not fetch {} ({status}): its own message is above; {}; behind a proxy or a mirror set \
             PIP_INDEX_URL",
            site.what,
            site.hint
        );
    }
    fs::remove_dir_all(&temporary).with_context(|| format!("`{}` cannot be removed", temporary.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A checkout with a list, and a Python whose pip writes down that it was asked, and how.
    fn prepared(folder: &Path) -> (Places, String) {
        let checkout = folder.join("checkout");
        fs::create_dir_all(&checkout).unwrap();
        fs::write(checkout.join("list.txt"), "one==1\n").unwrap();
        let script = "#!/bin/sh\n[ \"$3\" = --version ] && exit 0\nwhile [ \"$1\" != --target ]; do shift; done\n\
                      shift; touch $1/one; shift; echo \"$@\" >> $(dirname $0)/asked\n";
        let python = folder.join("python3");
        // Written by another process: one that is open for writing here could not be started beside another test.
        let write = "printf '%s' \"$1\" > \"$0\" && chmod +x \"$0\"";
        assert!(Command::new("sh").arg("-c").arg(write).arg(&python).arg(script).status().unwrap().success());
        (Places { checkout, cache: folder.join("cache") }, python.to_string_lossy().into_owned())
    }

    const LIST: List<'static> = List {
        requirements: "list.txt",
        name: "some",
        what: "some packages",
        size: "1 kB",
        space: 1,
        arguments: &["--no-deps"],
    };

    #[test]
    fn of_many_who_want_a_list_at_once_one_fetches_it() {
        let folder = tempfile::tempdir().unwrap();
        let (places, python) = prepared(folder.path());
        let sites: Vec<PathBuf> = thread::scope(|scope| {
            let start = || install_list(&places, &LIST, &python).unwrap();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(sites.iter().all(|site| *site == sites[0] && site.join("one").is_file()));
        let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
        let list = places.checkout.join("list.txt");
        assert_eq!(asked, format!("--no-deps --quiet --requirement {}\n", list.display()));
    }

    #[test]
    fn another_list_gets_a_folder_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (places, python) = prepared(folder.path());
        let first = install_list(&places, &LIST, &python).unwrap();
        fs::write(places.checkout.join("list.txt"), "one==2\n").unwrap();
        assert_ne!(install_list(&places, &LIST, &python).unwrap(), first);
    }
}
