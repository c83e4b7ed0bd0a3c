//! Listings of manifests and folders on disk.

use super::*;

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
    assert_eq!(items[0].path(), dir.path().join("set/a/b.png"));
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
    assert!(refused("a.png").ends_with("expected a folder or a manifest whose name ends in `.csv`"));
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
