//! `cargo xtask doctor`: what is installed, what is missing and how to get it.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::Result;

use crate::libtorch::{self, Libtorch};
use crate::pip::{self, PYTHON};
use crate::places::Places;
use crate::{settings, setup};

/// One line of the doctor's findings.
#[derive(Debug)]
enum Finding {
    /// It is there.
    Found(String),
    /// It is not, and nothing needs it to be.
    Optional { how_to_get: &'static str },
    /// It is not, and building or training needs it.
    Missing { why: String, how_to_get: &'static str },
}

/// Prints every finding; fails when something required is missing.
pub(crate) fn run() -> Result<ExitCode> {
    let places = Places::find()?;
    let mut missing = 0;
    for (name, finding) in findings(&places) {
        match finding {
            Finding::Found(detail) => println!("  ok       {name:<15}{detail}"),
            Finding::Optional { how_to_get } => println!("  absent   {name:<15}optional: {how_to_get}"),
            Finding::Missing { why, how_to_get } => {
                missing += 1;
                println!("  MISSING  {name:<15}{why}\n           {:<15}{how_to_get}", "");
            }
        }
    }
    match missing {
        0 => println!("everything that is needed is there"),
        count => println!("{count} needed things are missing"),
    }
    Ok(if missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings(places: &Places) -> Vec<(&'static str, Finding)> {
    let libtorch = usable_libtorch(places);
    let needs_fetching = libtorch.is_err();
    vec![
        ("rustc", tool("rustc", "install Rust from https://rustup.rs")),
        ("cargo", tool("cargo", "install Rust from https://rustup.rs")),
        ("rustfmt", tool("rustfmt", "rustup component add rustfmt")),
        ("clippy", tool("clippy-driver", "rustup component add clippy")),
        ("C++ compiler", compiler()),
        ("Python and pip", python(needs_fetching)),
        ("disk", disk(&places.cache, needs_fetching)),
        ("memory", Finding::Found(memory().unwrap_or_else(|| "unknown".to_owned()))),
        ("cores", Finding::Found(thread::available_parallelism().map_or("unknown".to_owned(), |n| n.to_string()))),
        ("libtorch", libtorch.map_or_else(|error| missing_libtorch(&error), |found| Finding::Found(describe(&found)))),
        ("NVIDIA devices", nvidia()),
        ("settings", settings_in_place(places)),
        ("compiled code", Finding::Found(places.target().display().to_string())),
        ("taskset", optional(&["taskset"], "keeps contenders of `bench` on one core; comes with util-linux")),
        ("chromium", optional(&["chromium", "chromium-browser", "google-chrome"], "looks at reports in tests by eye")),
        ("kubectl", optional(&["kubectl"], "applies deploy/ to a cluster, https://kubernetes.io/docs/tasks/tools")),
        ("docker", optional(&["docker", "podman"], "builds the images of deploy/")),
    ]
}

fn usable_libtorch(places: &Places) -> Result<Libtorch> {
    let folder = libtorch::chosen_by_user(places)
        .or_else(|| settings::libtorch(&places.settings()))
        .unwrap_or_else(|| places.site().join("torch"));
    Libtorch::at(&folder)
}

fn describe(libtorch: &Libtorch) -> String {
    let build = if libtorch.has_cuda() { "with CUDA and NCCL" } else { "CPU only" };
    format!("{} {build}, {}", libtorch.version, libtorch.folder.display())
}

fn missing_libtorch(error: &anyhow::Error) -> Finding {
    Finding::Missing { why: format!("{error:#}"), how_to_get: "cargo xtask setup" }
}

fn tool(name: &str, how_to_get: &'static str) -> Finding {
    match first_line(name) {
        Some(line) => Finding::Found(line),
        None => Finding::Missing { why: format!("`{name}` is not on the path"), how_to_get },
    }
}

fn optional(names: &[&str], how_to_get: &'static str) -> Finding {
    let on_path = |name: &str| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    };
    match names.iter().find_map(|name| on_path(name)) {
        Some(file) => Finding::Found(file.display().to_string()),
        None => Finding::Optional { how_to_get },
    }
}

fn compiler() -> Finding {
    setup::compiler().map_or_else(
        || Finding::Missing { why: "no `c++`, `g++` or `clang++`".to_owned(), how_to_get: "install g++ or clang" },
        Finding::Found,
    )
}

fn python(needed: bool) -> Finding {
    match pip::check_pip(PYTHON) {
        Ok(version) => Finding::Found(version),
        Err(error) if needed => {
            Finding::Missing { why: format!("{error:#}"), how_to_get: "install python3 and python3-pip" }
        }
        Err(_) => Finding::Optional {
            how_to_get: "fetches clients of tests and peers of benchmarks; libtorch is there already",
        },
    }
}

/// Space is looked at where the cache is, or will be.
fn disk(cache: &Path, needs_fetching: bool) -> Finding {
    let Some(free) = cache.ancestors().find_map(|folder| fs4::available_space(folder).ok()) else {
        return Finding::Found("unknown".to_owned());
    };
    let text = format!("{:.1} GB free for {}", free as f64 / 1e9, cache.display());
    if needs_fetching && free < libtorch::PIP.space {
        return Finding::Missing {
            why: text,
            how_to_get: "make room, or set VISMAE_CACHE to a folder on another disk",
        };
    }
    Finding::Found(text)
}

fn memory() -> Option<String> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes: f64 =
        text.lines().find(|line| line.starts_with("MemTotal:"))?.split_whitespace().nth(1)?.parse().ok()?;
    Some(format!("{:.1} GiB", kilobytes / (1 << 20) as f64))
}

fn nvidia() -> Finding {
    let listed = Command::new("nvidia-smi").arg("-L").output().ok().filter(|output| output.status.success());
    if let Some(output) = listed {
        let text = String::from_utf8_lossy(&output.stdout);
        return Finding::Found(text.lines().map(str::trim).collect::<Vec<_>>().join("; "));
    }
    let nodes = fs::read_dir("/dev").into_iter().flatten().flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix("nvidia").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    });
    match nodes.count() {
        0 => Finding::Optional { how_to_get: "without a GPU everything runs on the CPU" },
        count => Finding::Found(format!("{count} device nodes, but no `nvidia-smi`: is the driver installed?")),
    }
}

fn settings_in_place(places: &Places) -> Finding {
    let file = places.settings();
    match settings::libtorch(&file) {
        Some(_) => Finding::Found(file.display().to_string()),
        None => Finding::Optional { how_to_get: "not written yet; the first `setup`, `demo` or `test` does" },
    }
}

fn first_line(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}
