//! `.cargo/local.toml`: where libtorch lies and where compiled code goes, on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml::Table;

/// Writes the settings, in one step and only when they differ: a new file would make cargo look again at everything.
pub(crate) fn write(file: &Path, libtorch: &Path, target: &Path) -> Result<bool> {
    let wanted = text(libtorch, target);
    if fs::read_to_string(file).is_ok_and(|found| found == wanted) {
        return Ok(false);
    }
    let partial = file.with_extension(format!("toml.{}.partial", std::process::id()));
    fs::write(&partial, wanted)
        .and_then(|()| fs::rename(&partial, file))
        .with_context(|| format!("`{}` cannot be written", file.display()))?;
    Ok(true)
}

/// The libtorch that the settings name; none when there are no settings yet or they are damaged.
pub(crate) fn libtorch(file: &Path) -> Option<PathBuf> {
    let table: Table = fs::read_to_string(file).ok()?.parse().ok()?;
    table.get("env")?.get("LIBTORCH")?.as_str().map(PathBuf::from)
}

fn text(libtorch: &Path, target: &Path) -> String {
    let quoted = |path: &Path| toml::Value::String(path.to_string_lossy().into_owned()).to_string();
    format!("[env]\nLIBTORCH = {}\n\n[build]\ntarget-dir = {}\n", quoted(libtorch), quoted(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("local.toml");
        assert_eq!(libtorch(&file), None);
        assert!(write(&file, Path::new("/a \"b\"/torch"), Path::new("/t")).unwrap());
        assert_eq!(libtorch(&file), Some("/a \"b\"/torch".into()));
        assert!(!write(&file, Path::new("/a \"b\"/torch"), Path::new("/t")).unwrap());
        assert!(write(&file, Path::new("/c/torch"), Path::new("/t")).unwrap());
        assert_eq!(libtorch(&file), Some("/c/torch".into()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing partial is left");
    }
}
