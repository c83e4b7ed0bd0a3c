//! Archives, whole, cut and hostile.

use std::path::PathBuf;

use ::tar::EntryType;
use tempfile::TempDir;

use super::testing::{files, gzip, tar, tar_entry, zip, zstd};
use super::*;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, name: &str, bytes: &[u8]) -> Result<Arc<Archive>, ArchiveError> {
        Archive::open(&self.put(name, bytes), &Spill::default()).map(Arc::new)
    }
}

/// The bytes of a member, or what is wrong with it.
fn read(archive: &Arc<Archive>, name: &str) -> Result<Vec<u8>, String> {
    let at = archive.find(name).ok_or("not there")?;
    let (mut stream, size) = archive.open_member(at).map_err(|error| match error {
        MemberError::Fault(fault) => fault.code().to_owned(),
        MemberError::Io(error) => error.kind().to_string(),
    })?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|error| error.kind().to_string())?;
    assert_eq!(bytes.len() as u64, size);
    Ok(bytes)
}

fn faults(archive: &Archive) -> Vec<(&str, Option<&'static str>)> {
    archive.members().iter().map(|member| (&*member.name, member.fault.map(MemberFault::code))).collect()
}

#[test]
fn members_are_read_from_every_kind_of_archive_in_any_order() {
    let folder = Folder::new();
    let long = format!("{}/long.bin", "a".repeat(180));
    let content = files(&[("b/2.png", &[7; 3000]), ("./a.txt", b"first"), (&long, b"long"), ("b/1.png", b"")]);
    let packed = tar(&content);
    for (name, bytes) in [
        ("a.tar", packed.clone()),
        ("a.tar.gz", gzip(&packed)),
        // The bytes say what it is, not the name.
        ("b.tar", zstd(&packed)),
        ("a.zip", zip(&content)),
    ] {
        let archive = folder.open(name, &bytes).unwrap();
        assert_eq!(archive.damage(), None, "{name}");
        assert_eq!(faults(&archive), [("a.txt", None), (&long[..], None), ("b/1.png", None), ("b/2.png", None)]);
        assert_eq!(read(&archive, "b/2.png").unwrap(), [7; 3000], "{name}");
        assert_eq!(read(&archive, "a.txt").unwrap(), b"first");
        assert_eq!(read(&archive, &long).unwrap(), b"long");
        assert_eq!(read(&archive, "b/1.png").unwrap(), b"");
        assert_eq!(archive.find("b"), None);
    }
}

#[test]
fn two_packed_archives_share_a_temporary_file_and_not_their_bytes() {
    let (folder, spill) = (Folder::new(), Spill::default());
    let open = |name: &str, bytes: &[u8]| {
        let path = folder.put(name, &gzip(&tar(&files(&[("a", bytes)]))));
        Arc::new(Archive::open(&path, &spill).unwrap())
    };
    let (one, other) = (open("1.tgz", b"one"), open("2.tgz", b"other"));
    assert_eq!(read(&one, "a").unwrap(), b"one");
    assert_eq!(read(&other, "a").unwrap(), b"other");
}

#[test]
fn of_a_cut_archive_the_members_before_the_cut_are_read() {
    let folder = Folder::new();
    let whole = tar(&files(&[("1", &[1; 600]), ("2", &[2; 600]), ("3", &[3; 600])]));
    // Each member takes 512 bytes and 1024 more.
    let archive = folder.open("a.tar", &whole[..2 * 1536 + 700]).unwrap();
    assert_eq!(faults(&archive), [("1", None), ("2", None), ("3", Some("member_truncated"))]);
    assert_eq!(archive.damage(), Some(Damage::Cut { members: 3 }));
    assert_eq!(read(&archive, "2").unwrap(), [2; 600]);
    let archive = folder.open("b.tar", &whole[..1536 + 100]).unwrap();
    assert_eq!((faults(&archive), archive.damage()), (vec![("1", None)], Some(Damage::Cut { members: 1 })));
    let noise: Vec<u8> = (0..40_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let packed = gzip(&tar(&files(&[("1", b"one"), ("2", &noise)])));
    let archive = folder.open("a.tgz", &packed[..packed.len() / 2]).unwrap();
    assert_eq!(faults(&archive), [("1", None), ("2", Some("member_truncated"))]);
    assert_eq!(archive.damage(), Some(Damage::Cut { members: 2 }));
    // The directory of a zip file stands at its end.
    let packed = zip(&files(&[("1", b"one")]));
    assert_eq!(folder.open("a.zip", &packed[..packed.len() - 10]).unwrap_err(), ArchiveError::Malformed("zip"));
}

#[test]
fn what_is_no_archive_is_refused() {
    let folder = Folder::new();
    for (name, bytes) in [("a.tar", &b"a letter"[..]), ("a.tar", b""), ("a.tar", &[7; 2000])] {
        assert_eq!(folder.open(name, bytes).unwrap_err(), ArchiveError::Malformed("tar"));
    }
    assert_eq!(folder.open("a.zip", b"a letter").unwrap_err(), ArchiveError::Malformed("zip"));
    assert_eq!(folder.open("a.tgz", &gzip(b"a letter")).unwrap_err(), ArchiveError::Malformed("tar"));
}

#[test]
fn a_name_that_leaves_a_link_a_device_a_second_and_an_archive_are_faults_of_their_own() {
    let folder = Folder::new();
    let mut bytes = Vec::new();
    for (name, kind) in [
        ("../../etc/passwd", EntryType::Regular),
        ("/etc/shadow", EntryType::Regular),
        ("hard", EntryType::Link),
        ("soft", EntryType::Symlink),
        ("tty", EntryType::Char),
        ("inner.zip", EntryType::Regular),
        ("twice", EntryType::Regular),
        ("folder", EntryType::Directory),
        ("./twice", EntryType::Regular),
    ] {
        let content = if kind == EntryType::Regular { name.as_bytes() } else { b"" };
        bytes.extend(tar_entry(name, kind, content));
    }
    bytes.extend([0; 1024]);
    let archive = folder.open("a.tar", &bytes).unwrap();
    let no_file = Some("member_not_a_file");
    assert_eq!(
        faults(&archive),
        [
            ("hard", no_file),
            ("inner.zip", Some("archive_nested")),
            ("passwd", Some("outside_folder")),
            ("shadow", Some("outside_folder")),
            ("soft", no_file),
            ("tty", no_file),
            ("twice", Some("member_duplicate")),
            ("twice", None),
        ]
    );
    // As when the archive is unpacked, the last one counts.
    assert_eq!(read(&archive, "twice").unwrap(), b"./twice");
    let archive =
        folder.open("a.zip", &zip(&files(&[("..\\x", b"1"), ("t", b"2"), ("t", b"3"), ("a\\b", b"4")]))).unwrap();
    let expected = [("a/b", None), ("t", Some("member_duplicate")), ("t", None), ("x", Some("outside_folder"))];
    assert_eq!(faults(&archive), expected);
    assert_eq!(read(&archive, "t").unwrap(), b"3");
}

#[test]
fn bytes_behind_the_end_are_told_and_padding_is_not() {
    let folder = Folder::new();
    let one = tar(&files(&[("1", b"one")]));
    let padded = [one.clone(), vec![0; 10_240]].concat();
    assert_eq!(folder.open("a.tar", &padded).unwrap().damage(), None);
    let two = [one.clone(), tar(&files(&[("2", b"two")]))].concat();
    assert_eq!(folder.open("b.tar", &two).unwrap().damage(), Some(Damage::Trailing));
    // A tar file may end without its end.
    assert_eq!(folder.open("c.tar", &one[..1024]).unwrap().damage(), None);
}

#[test]
fn attributes_longer_than_any_are_not_taken_into_memory() {
    let folder = Folder::new();
    let mut bytes = tar(&files(&[("1", b"one")]));
    bytes.truncate(1024);
    bytes.extend(tar_entry("x", EntryType::XHeader, &vec![b'1'; 2 << 20]));
    bytes.extend(tar_entry("2", EntryType::Regular, b"two"));
    let archive = folder.open("a.tar", &bytes).unwrap();
    assert_eq!((faults(&archive), archive.damage()), (vec![("1", None)], Some(Damage::Cut { members: 1 })));
}

/// The places at which a signature stands.
fn places(bytes: &[u8], signature: &[u8]) -> Vec<usize> {
    (0..bytes.len() - 4).filter(|&at| bytes[at..].starts_with(signature)).collect()
}

const DIRECTORY: &[u8] = b"PK\x01\x02";
const DIRECTORY_END: &[u8] = b"PK\x05\x06";

#[test]
fn what_a_zip_file_says_wrong_of_a_member_costs_the_member() {
    let folder = Folder::new();
    let whole = zip(&files(&[("1", b"one one one"), ("2", b"two"), ("3", b"three")]));
    // A byte of each record of the directory: flags, method, checksum, size.
    let with = |record: usize, at: usize, change: fn(u8) -> u8| {
        let mut bytes = whole.clone();
        let place = places(&bytes, DIRECTORY)[record] + at;
        bytes[place] = change(bytes[place]);
        folder.open("a.zip", &bytes).unwrap()
    };
    assert_eq!(read(&with(0, 8, |flags| flags | 1), "1").unwrap_err(), "member_encrypted");
    assert_eq!(read(&with(0, 10, |_| 12), "1").unwrap_err(), "member_packing");
    assert_eq!(read(&with(1, 16, |crc| crc ^ 1), "2").unwrap_err(), "invalid data");
    assert_eq!(read(&with(0, 24, |size| size + 1), "1").unwrap_err(), "unexpected end of file");
    assert_eq!(read(&with(0, 24, |size| size - 1), "1").unwrap_err(), "invalid data");
    assert_eq!(read(&with(1, 24, |size| size + 1), "2").unwrap_err(), "member_truncated");
    assert_eq!(read(&with(2, 42, |_| 250), "3").unwrap_err(), "member_truncated");
    assert_eq!(read(&with(2, 27, |_| 0x7f), "3").unwrap_err(), "too_large");
    assert_eq!(read(&with(2, 42, |_| 250), "2").unwrap(), b"two");
}

#[test]
fn members_that_share_bytes_are_a_bomb() {
    let folder = Folder::new();
    let mut bytes = zip(&files(&[("1", &[0; 1000]), ("2", b"")]));
    let records = places(&bytes, DIRECTORY);
    let one = bytes[records[0]..records[0] + 46].to_vec();
    // The second entry leads to the bytes of the first.
    bytes[records[1] + 10..records[1] + 28].copy_from_slice(&one[10..28]);
    bytes[records[1] + 42..records[1] + 46].copy_from_slice(&one[42..46]);
    assert_eq!(folder.open("a.zip", &bytes).unwrap_err(), ArchiveError::Overlap);
    assert!(!places(&bytes, DIRECTORY_END).is_empty());
}

#[test]
fn what_an_archive_unpacks_to_is_limited_by_its_size() {
    assert_eq!(check_unpacked(UNPACKED_BYTES_FREE, 40_000), Ok(()));
    assert!(check_unpacked(UNPACKED_BYTES_FREE + 1, 40_000).is_err());
    assert_eq!(check_unpacked(90 * UNPACKED_BYTES_FREE / 10, UNPACKED_BYTES_FREE / 10), Ok(()));
    assert!(check_unpacked(UNPACKED_BYTES_MAX + 1, u64::MAX).is_err());
}

#[test]
fn no_cut_and_no_changed_byte_does_more_than_cost_members() {
    let folder = Folder::new();
    let content = files(&[("a/1.png", b"one"), ("a/2.png", &[2; 700])]);
    for (name, whole) in [("a.tar", tar(&content)), ("a.zip", zip(&content))] {
        let step = whole.len() / 150 + 1;
        for at in (0..whole.len()).step_by(step) {
            for change in [1, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                for bytes in [&bytes[..], &whole[..at]] {
                    let Ok(archive) = folder.open(name, bytes) else { continue };
                    for member in archive.members() {
                        let _ = read(&archive, &member.name);
                    }
                }
            }
        }
    }
}
