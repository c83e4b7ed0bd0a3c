//! The protocol in the hands of buf: how it is written, and that no change breaks programs made for what was released.

#![expect(clippy::unwrap_used, reason = "whatever goes wrong here ends the test")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vismae_tests::clients::buf;
use vismae_tests::cluster::files_under;

/// The folder of the protocol.
fn proto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto")
}

fn lint(proto: &Path) -> Option<Result<(), String>> {
    judge(&["lint".as_ref(), proto])
}

/// Compared with the image of the release, which `cargo xtask protocol` writes.
fn breaking(proto: &Path) -> Option<Result<(), String>> {
    judge(&["breaking".as_ref(), proto, "--against".as_ref(), &self::proto().join("released.binpb")])
}

/// What buf finds wrong, each line with its rule; none without buf.
fn judge(arguments: &[&Path]) -> Option<Result<(), String>> {
    let cache = TempDir::new().unwrap();
    let output = buf()?.args(arguments).arg("--error-format=json").env("BUF_CACHE_DIR", cache.path()).output().unwrap();
    if output.status.success() {
        return Some(Ok(()));
    }
    Some(Err([output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()))
}

/// A copy of the protocol in which every `from` has become `to`.
fn changed(file: &str, from: &str, to: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    for name in files_under(&proto()).iter().filter(|name| name.ends_with(".proto") || *name == "buf.yaml") {
        let text = fs::read_to_string(proto().join(name)).unwrap();
        let path = copy.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = if name == file { replaced(&text, from, to) } else { text };
        fs::write(path, text).unwrap();
    }
    copy
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no `{from}` to change");
    text.replace(from, to)
}

#[test]
fn the_protocol_keeps_the_rules_and_breaks_nothing_that_was_released() {
    let Some(found) = lint(&proto()) else { return };
    assert_eq!(found, Ok(()));
    assert_eq!(breaking(&proto()).unwrap(), Ok(()));
}

#[test]
fn a_protocol_that_is_badly_written_is_refused_by_the_rule() {
    for (file, from, to, rule) in [
        ("vismae/v1/jobs.proto", "STATE_UNSPECIFIED", "STATE_NONE", "ENUM_ZERO_VALUE_SUFFIX"),
        ("vismae/v1/pipeline.proto", "uint32 image_size", "uint32 imageSize", "FIELD_LOWER_SNAKE_CASE"),
        ("vismae/v1/jobs.proto", "service WorkerService", "service Workers", "SERVICE_SUFFIX"),
        ("vismae/v1/jobs.proto", "GetPipelineRequest", "PipelineQuery", "RPC_REQUEST_STANDARD_NAME"),
    ] {
        let Some(found) = lint(changed(file, from, to).path()) else { return };
        let told = found.unwrap_err();
        assert!(told.contains(rule), "{from} -> {to}: {told}");
    }
}

#[test]
fn a_change_that_breaks_programs_is_refused_and_an_addition_is_not() {
    for (file, from, to, rule) in [
        ("vismae/v1/jobs.proto", "  string request_id = 2;\n", "", "FIELD_NO_DELETE"),
        ("vismae/v1/jobs.proto", "bool validate_only = 3", "bool validate_only = 4", "FIELD_NO_DELETE"),
        ("vismae/v1/jobs.proto", "bool validate_only", "bool check_only", "FIELD_SAME_NAME"),
        ("vismae/v1/pipeline.proto", "double low = 1", "float low = 1", "FIELD_SAME_TYPE"),
        ("vismae/v1/jobs.proto", "returns (stream LogLine)", "returns (LogLine)", "RPC_SAME_SERVER_STREAMING"),
        ("vismae/v1/pipeline.proto", "FIT_CROP = 3", "FIT_CROP = 4", "ENUM_VALUE_NO_DELETE"),
    ] {
        let Some(found) = breaking(changed(file, from, to).path()) else { return };
        let told = found.unwrap_err();
        assert!(told.contains(rule), "{from} -> {to}: {told}");
    }
    let more = changed("vismae/v1/jobs.proto", "  bool validate_only", "  string more = 99;\n  bool validate_only");
    assert_eq!(breaking(more.path()), Some(Ok(())));
}
