//! Names of archives and of what is in them.

use std::cmp::Ordering;
use std::path::Path;

/// What the name of a file says of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Zip,
    /// Plain, or packed with gzip or zstd.
    Tar,
    /// An archive of a kind that is not read.
    Other,
}

/// Endings of archives, longer ones first.
const ENDINGS: [(&str, Kind); 15] = [
    (".tar.gz", Kind::Tar),
    (".tar.zst", Kind::Tar),
    (".tar.bz2", Kind::Other),
    (".tar.xz", Kind::Other),
    (".tgz", Kind::Tar),
    (".tzst", Kind::Tar),
    (".tbz2", Kind::Other),
    (".tbz", Kind::Other),
    (".txz", Kind::Other),
    (".tar", Kind::Tar),
    (".zip", Kind::Zip),
    (".7z", Kind::Other),
    (".rar", Kind::Other),
    (".tar.lz4", Kind::Other),
    (".tar.z", Kind::Other),
];

/// The kind of archive that a file's name promises, if any.
pub(crate) fn kind_of(path: &Path) -> Option<Kind> {
    ending(&path.file_name()?.to_string_lossy()).map(|(_, kind)| kind)
}

/// The name of an archive without its ending: the name of the folder that it stands for.
pub(crate) fn stem(name: &str) -> &str {
    ending(name).map_or(name, |(ending, _)| &name[..name.len() - ending.len()])
}

fn ending(name: &str) -> Option<(&'static str, Kind)> {
    // A system's companion of an archive is named like it, and what is nothing but an ending is a hidden file.
    let ends = |ending: &str| {
        let start = name.len().checked_sub(ending.len()).filter(|&start| start > 0);
        start.and_then(|start| name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    if name.starts_with("._") {
        return None;
    }
    ENDINGS.into_iter().find(|(ending, _)| ends(ending))
}

/// The name of a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A path in the archive, without `.` and `..`.
    Inside(String),
    /// The last part of one that leads elsewhere; the rest may name a machine.
    Outside(String),
}

impl Name {
    /// From the bytes that an archive holds. Bytes that are no UTF-8 are written as `%` and two digits, so that names that differ
    /// stay different.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let leaves = text.starts_with('/') || parts.contains(&"..") || text.contains('\0') || parts.is_empty();
        if leaves {
            let last = parts.last().map(|last| last.replace('\0', "")).filter(|last| last != "..");
            return Self::Outside(last.unwrap_or_default());
        }
        Self::Inside(parts.join("/"))
    }
}

/// The order in which a walk through folders, each sorted by name, comes by files.
pub(super) fn order(one: &str, other: &str) -> Ordering {
    one.split('/').cmp(other.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_by_their_endings_in_any_case() {
        let kind = |name: &str| kind_of(Path::new(name));
        assert_eq!(
            [kind("a.ZIP"), kind("x/a.tar.gz"), kind("a.tgz")],
            [Some(Kind::Zip), Some(Kind::Tar), Some(Kind::Tar)]
        );
        assert_eq!([kind("a.tar.xz"), kind("a.7z")], [Some(Kind::Other); 2]);
        assert_eq!([kind("a.nii.gz"), kind(".zip"), kind("._a.zip"), kind("zip")], [None; 4]);
        assert_eq!([stem("ct.tar.gz"), stem("us.zip"), stem("a.png")], ["ct", "us", "a.png"]);
    }

    #[test]
    fn names_stay_inside_and_differ_as_they_did() {
        let inside = |name: &[u8], expected: &str| assert_eq!(Name::new(name), Name::Inside(expected.to_owned()));
        inside(b"./a//b.png", "a/b.png");
        inside(b"M\xfcller.dcm", "M%FCller.dcm");
        for (name, last) in
            [("/etc/passwd", "passwd"), ("a/../../b.png", "b.png"), ("..", ""), ("a\0b", "ab"), ("./", "")]
        {
            assert_eq!(Name::new(name.as_bytes()), Name::Outside(last.to_owned()), "{name:?}");
        }
    }

    #[test]
    fn members_come_as_a_walk_through_folders_would_come_by_them() {
        let mut names = ["a.png", "a-b/x", "a/x", "a"];
        names.sort_by(|one, other| order(one, other));
        assert_eq!(names, ["a", "a/x", "a-b/x", "a.png"]);
    }
}
