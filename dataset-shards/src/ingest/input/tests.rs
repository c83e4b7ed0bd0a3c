//! Listings of manifests and folders on disk.

use super::*;
use crate::archive::testing::{files, gzip, tar, zip};

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn list_folder(root: &Path) -> Vec<Item> {
    list(&[root.to_string_lossy().into_owned()]).unwrap()
}

#[test]
fn columns_may_come_in_any_order_and_others_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "set/list.csv",
        "expect,Split,file,group_id,patient_id,label\nreject,val,a/b.png,g1,,x\n,,c.png,p1,p1,\n,,d.png,,p1,\n,,e.png,,,\n",
    );
    let items = list(&[dir.path().join("set/list.csv").to_string_lossy().into_owned()]).unwrap();
    assert_eq!(items.len(), 4);
    assert_eq!(&*items[0].source, "set");
    assert_eq!((items[0].file.as_str(), items[0].split), ("a/b.png", Some(Split::Val)));
    assert_eq!(items[0].label.as_deref(), Some("x"));
    assert_eq!(items[0].place().name(), dir.path().join("set/a/b.png"));
    let stated: Vec<_> = items.iter().map(|item| (item.patient.as_deref(), item.group.as_deref())).collect();
    assert_eq!(stated, [(None, Some("g1")), (Some("p1"), Some("p1")), (Some("p1"), None), (None, None)]);
    assert!(items.iter().all(|item| item.fault.is_none()));
}

#[test]
fn a_row_that_leaves_its_folder_is_at_fault_and_does_not_show_where_it_led() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "manifest.csv", "file,mask_file\n/etc/passwd,\na/../../b.png,\na.png,../m.png\n,\n./a.png,\n");
    let items = list_folder(dir.path());
    let codes: Vec<Option<&str>> = items.iter().map(|item| item.fault.as_ref().map(|fault| fault.code)).collect();
    let outside = Some("outside_folder");
    assert_eq!(codes, [outside, outside, outside, Some("no_file"), None]);
    assert_eq!(items[0].file, "passwd");
}

#[test]
fn manifests_of_the_folders_below_are_all_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "b/MANIFEST.csv", "file\n1.png\n");
    write(dir.path(), "a/manifest.csv", "file\n2.png\n3.png\n");
    write(dir.path(), "licences/mit.txt", "");
    let items = list_folder(dir.path());
    let found: Vec<(&str, &str)> = items.iter().map(|item| (&*item.source, item.file.as_str())).collect();
    assert_eq!(found, [("a", "2.png"), ("a", "3.png"), ("b", "1.png")]);
}

#[test]
fn a_plain_folder_is_walked_in_order_and_its_folders_name_modality_and_class() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["x/us/benign/1.png", "CT/2.dcm", "ct/patient/PET/image/5.dcm", "xray/a/b/3.png", "4.png"] {
        write(dir.path(), file, "");
    }
    let items = list_folder(dir.path());
    let found: Vec<_> =
        items.iter().map(|item| (item.file.as_str(), item.modality.clone(), item.label.as_deref())).collect();
    assert_eq!(
        found,
        [
            ("4.png", ModalityHint::None, None),
            ("CT/2.dcm", ModalityHint::Folder(Modality::Ct), None),
            ("ct/patient/PET/image/5.dcm", ModalityHint::Folder(Modality::Pet), None),
            ("x/us/benign/1.png", ModalityHint::Folder(Modality::Ultrasound), Some("benign")),
            ("xray/a/b/3.png", ModalityHint::Folder(Modality::XRay), None),
        ]
    );
}

#[test]
fn what_is_no_input_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.png", "");
    write(dir.path(), "list.csv", "path,label\nx,y\n");
    let refused = |name: &str| list(&[dir.path().join(name).to_string_lossy().into_owned()]).unwrap_err().to_string();
    assert!(refused("a.png").ends_with("or a manifest whose name ends in `.csv`"));
    assert!(refused("none").contains("does not exist"));
    assert!(refused("list.csv").ends_with("names 2 columns, expected `file` among them: is its first line a header?"));
}

#[test]
fn a_row_that_is_out_of_step_is_at_fault_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "manifest.csv",
        "file,label,split\na.png,Doe, Jane,train\nb.png,x,Jane\nc.png,\"Doe, Jane\",train\n",
    );
    let items = list_folder(dir.path());
    let faults: Vec<_> = items.iter().map(|item| item.fault.as_ref().map(|fault| fault.code)).collect();
    assert_eq!(faults, [Some("row_length"), Some("split_unknown"), None]);
    assert!(items.iter().flat_map(|item| &item.fault).all(|fault| !fault.message.contains("Jane")));
}

#[test]
fn a_fingerprint_tells_every_change_that_metadata_show() {
    let dir = tempfile::tempdir().unwrap();
    let key = crate::ingest::PseudonymKey::from_secret("test");
    let print = |manifest: &str| {
        write(dir.path(), "manifest.csv", manifest);
        list_folder(dir.path())[0].fingerprint(&key)
    };
    let modified = |file: &str, seconds: u64| {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(dir.path().join(file)).unwrap().set_modified(at).unwrap();
    };
    write(dir.path(), "a.png", "one");
    write(dir.path(), "m.png", "mask");
    modified("a.png", 1_000);
    modified("m.png", 1_000);
    let rows = "file,patient_id,mask_file\na.png,p,m.png\n";
    let first = print(rows);
    assert_eq!(first, print(rows));
    let other_key = crate::ingest::PseudonymKey::from_secret("another");
    assert_ne!(first, list_folder(dir.path())[0].fingerprint(&other_key));
    let mut seen = vec![
        first,
        print("file,patient_id,mask_file\na.png,q,m.png\n"),
        print("file,group_id,mask_file\na.png,p,m.png\n"),
    ];
    seen.push(print("file,patient_id,mask_file\na.png,p,\n"));
    modified("m.png", 2_000);
    seen.push(print(rows));
    modified("a.png", 2_000);
    seen.push(print(rows));
    write(dir.path(), "a.png", "longer");
    modified("a.png", 2_000);
    seen.push(print(rows));
    std::fs::remove_file(dir.path().join("a.png")).unwrap();
    seen.push(print(rows));
    let different: std::collections::HashSet<[u8; 32]> = seen.iter().map(|print| *print.as_bytes()).collect();
    assert_eq!(different.len(), seen.len());
}

/// Files, labels and faults of a listing.
fn listed(items: &[Item]) -> Vec<(&str, &str, Option<&str>)> {
    let fault = |item: &Item| item.fault.as_ref().map(|fault| fault.code);
    items.iter().map(|item| (&*item.source, item.file.as_str(), fault(item))).collect()
}

fn read(place: &Place) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut place.open().unwrap().0, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_archive_is_listed_as_the_folder_that_it_would_unpack_to() {
    let dir = tempfile::tempdir().unwrap();
    let content = files(&[("us/benign/1.png", b"1"), ("ct/2.dcm", b"2"), ("a-b/3.png", b"3"), ("a/4.png", b"4")]);
    for (name, bytes) in &content {
        write(dir.path(), &format!("set/{name}"), std::str::from_utf8(bytes).unwrap());
    }
    let of = |name: &str, bytes: Vec<u8>| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        list_folder(&path)
    };
    let folder = list_folder(&dir.path().join("set"));
    for items in [of("set.zip", zip(&content)), of("set.tar", tar(&content)), of("set.tgz", gzip(&tar(&content)))] {
        assert_eq!(listed(&items), listed(&folder));
        for (one, other) in items.iter().zip(&folder) {
            assert_eq!((&one.modality, &one.label), (&other.modality, &other.label));
            assert_eq!(read(&one.place()), read(&other.place()));
        }
    }
}

#[test]
fn an_archive_in_a_folder_counts_as_a_folder_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: Vec<u8>| std::fs::write(dir.path().join(name), bytes).unwrap();
    put("ct.zip", zip(&files(&[("1.dcm", b"1"), ("inner.tar", b"2")])));
    write(dir.path(), "us/a.png", "a");
    put("us/benign.tar", tar(&files(&[("1.png", b"3")])));
    put("us/broken.zip", b"no archive".to_vec());
    put("us/other.7z", b"7z".to_vec());
    let items = list_folder(dir.path());
    let source = &*source_name(dir.path());
    assert_eq!(
        listed(&items),
        [
            (source, "ct.zip/1.dcm", None),
            (source, "ct.zip/inner.tar", Some("archive_nested")),
            (source, "us/a.png", None),
            (source, "us/benign.tar/1.png", None),
            (source, "us/broken.zip", Some("archive_malformed")),
            (source, "us/other.7z", Some("archive_unsupported")),
        ]
    );
    assert_eq!(items[0].modality, ModalityHint::Folder(Modality::Ct));
    assert_eq!(
        (&items[3].modality, items[3].label.as_deref()),
        (&ModalityHint::Folder(Modality::Ultrasound), Some("benign"))
    );
}

#[test]
fn a_manifest_may_lie_in_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[(&str, &[u8])]| {
        let path = dir.path().join(name);
        std::fs::write(&path, zip(&files(content))).unwrap();
        list_folder(&path)
    };
    let rows = b"file,label,mask_file\n./img/1.png,x,m.png\nnone.png,,\n../2.png,,\n";
    let items =
        put("set.zip", &[("manifest.csv", rows), ("img/1.png", b"1"), ("m.png", b"m"), ("img/unlisted.png", b"")]);
    assert_eq!(
        listed(&items),
        [("set", "./img/1.png", None), ("set", "none.png", None), ("set", "2.png", Some("outside_folder"))]
    );
    assert_eq!((read(&items[0].place()), read(&items[0].mask_place().unwrap())), (b"1".to_vec(), b"m".to_vec()));
    assert!(matches!(items[1].place(), Place::Nowhere));
    // As below a folder: those of the folders at the top.
    let items = put(
        "sets.zip",
        &[
            ("b/MANIFEST.csv", b"file\n1.png\n"),
            ("b/1.png", b"1"),
            ("a/manifest.csv", b"file\n2.png\n"),
            ("a/2.png", b"2"),
        ],
    );
    assert_eq!(listed(&items), [("a", "2.png", None), ("b", "1.png", None)]);
    assert_eq!(read(&items[0].place()), b"2");
}

#[test]
fn a_row_may_lead_into_an_archive_or_stand_for_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let put =
        |name: &str, content: &[(&str, &[u8])]| std::fs::write(dir.path().join(name), zip(&files(content))).unwrap();
    put("images.zip", &[("img/1.png", b"1"), ("img/2.png", b"2")]);
    put("masks.zip", &[("1.png", b"m")]);
    write(dir.path(), "folder.zip/3.png", "3");
    write(
        dir.path(),
        "manifest.csv",
        "file,patient_id,mask_file\nimages.zip/img/1.png,p,masks.zip/1.png\nimages.zip,q,\nimages.zip/img/9.png,,\n\
         folder.zip/3.png,,\nimages.zip,q,masks.zip/1.png\nimages.zip/img/1.png,,masks.zip\n",
    );
    let items = list_folder(dir.path());
    let files: Vec<(&str, Option<&str>)> = listed(&items).into_iter().map(|(_, file, fault)| (file, fault)).collect();
    assert_eq!(
        files,
        [
            ("images.zip/img/1.png", None),
            ("images.zip/img/1.png", None),
            ("images.zip/img/2.png", None),
            ("images.zip/img/9.png", None),
            ("folder.zip/3.png", None),
            ("images.zip", Some("mask_of_archive")),
            ("images.zip/img/1.png", Some("mask_is_archive")),
        ]
    );
    assert_eq!((read(&items[0].place()), read(&items[0].mask_place().unwrap())), (b"1".to_vec(), b"m".to_vec()));
    assert_eq!((read(&items[2].place()), items[2].patient.as_deref()), (b"2".to_vec(), Some("q")));
    assert!(matches!(items[3].place(), Place::Nowhere));
    assert_eq!(read(&items[4].place()), b"3");
}

#[test]
fn an_input_that_is_a_broken_archive_is_refused_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.zip", "no archive");
    let input = dir.path().join("a.zip").to_string_lossy().into_owned();
    let error = list(std::slice::from_ref(&input)).unwrap_err().to_string();
    assert_eq!(error, format!("input `{input}` cannot be used: the file is no zip archive, or is cut: make it again"));
}

#[test]
fn the_fingerprint_of_a_member_tells_its_content_and_its_archive() {
    let dir = tempfile::tempdir().unwrap();
    let key = crate::ingest::PseudonymKey::from_secret("test");
    let print = |bytes: &[u8], seconds: u64| {
        let path = dir.path().join("a.zip");
        std::fs::write(&path, zip(&files(&[("1.png", bytes)]))).unwrap();
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        list_folder(&path)[0].fingerprint(&key)
    };
    assert_eq!(print(b"one", 1), print(b"one", 1));
    assert_ne!(print(b"one", 1), print(b"two", 1));
    assert_ne!(print(b"one", 1), print(b"one", 2));
}
