//! Programs that nobody here wrote: what they make of ours is what users get.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::{Process, free_port, wait_for};

/// Names the folder that the clients are installed in.
const VARIABLE: &str = "VISMAE_TEST_CLIENTS";

/// The folder of the clients; none where they are not installed, which is said.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os(VARIABLE).map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("left out: no clients, which `cargo xtask test` installs and names by {VARIABLE}");
    }
    folder
}

/// Python with the clients on its path; none where they are not installed.
pub fn python() -> Option<Command> {
    python_with(Path::new(""))
}

/// As [`python`], with the modules of one more folder.
pub fn python_with(modules: &Path) -> Option<Command> {
    let path = format!("{}:{}", folder()?.display(), modules.display());
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", path).env("HF_HUB_OFFLINE", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    Some(python)
}

/// buf, which judges protocols; none where it is not installed.
pub fn buf() -> Option<Command> {
    Some(Command::new(folder()?.join("bin/buf")))
}

/// A file of the folder of clients' scripts.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Lets anybody do anything with the objects of the bucket: credentials come from the environment of a process, and a test must
/// not change its own.
const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::vismae/*"}]}"#;

/// A real S3 server on this machine, which forgets everything when it is dropped.
#[derive(Debug)]
pub struct S3 {
    port: u16,
    _server: Process,
}

impl S3 {
    /// Starts the server with one bucket, `vismae`, which takes requests with any credentials or none; no server where it is not
    /// installed.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start() -> Option<Self> {
        let port = free_port();
        let mut server = python()?;
        server.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let server = Self { port, _server: Process::start(server) };
        wait_for("the S3 server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let answer = server.put("/vismae", "");
        assert!(answer.contains(" 200 OK"), "no bucket: {answer}");
        let answer = server.put("/vismae?policy", POLICY);
        assert!(answer.contains(" 20"), "no policy: {answer}");
        Some(server)
    }

    /// The port it listens on, on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The variables by which programs find it.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// The bytes of an object, whose path begins with the bucket.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a server");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").expect("a request is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
        let body = answer.split_off(head + 4);
        let head = String::from_utf8_lossy(&answer);
        assert!(head.contains(" 200 "), "no `{path}`: {head}");
        body
    }

    fn put(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a server");
        let length = body.len();
        let request = format!("PUT {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).expect("a request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in text");
        answer
    }
}
