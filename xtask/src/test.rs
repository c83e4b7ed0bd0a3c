//! `cargo xtask test`: formatting, lints and every test, with the time each took.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{cargo, clients, setup};

/// In their order. Every stage runs even after one has failed, so that one call shows all there is to mend.
const STAGES: [(&str, &[&str]); 4] = [
    ("formatting", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    // End-to-end tests start the two binaries as they are installed.
    // With the features of the whole workspace: for a part of it the dependencies would be built once more.
    ("binaries", &["build", "--workspace", "--bins", "--locked"]),
    ("tests", &["test", "--workspace", "--locked", "--no-fail-fast"]),
];

/// Runs every stage; the exit code tells whether all passed.
pub(crate) fn run() -> Result<ExitCode> {
    let start = Instant::now();
    let ready = setup::run()?;
    // Without a network the rest can be tested all the same.
    let clients = clients::install(&ready.places);
    if let Err(error) = &clients {
        println!("tests with programs of others are left out: {error:#}");
    }
    let mut results = vec![("set-up", true, start.elapsed())];
    for (name, arguments) in STAGES {
        println!("== {name}: cargo {}", arguments.join(" "));
        let start = Instant::now();
        let mut command = cargo::command(&ready, arguments);
        if let Ok(clients) = &clients {
            command.env("VISMAE_TEST_CLIENTS", clients);
        }
        let outcome = cargo::run(command);
        if let Err(error) = &outcome {
            println!("error: {error:#}");
        }
        results.push((name, outcome.is_ok(), start.elapsed()));
    }
    println!("{}", summary(&results));
    let passed = results.iter().all(|(_, passed, _)| *passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(results: &[(&str, bool, Duration)]) -> String {
    let line = |name: &str, word: &str, took: Duration| format!("  {name:<12}{word:<8}{:>7.1} s", took.as_secs_f64());
    let mut lines = vec!["== summary".to_owned()];
    for (name, passed, took) in results {
        lines.push(line(name, if *passed { "ok" } else { "FAILED" }, *took));
    }
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    let verdict = if failed == 0 { "ok".to_owned() } else { format!("{failed} bad") };
    lines.push(line("all", &verdict, results.iter().map(|(_, _, took)| *took).sum()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_each_stage_and_counts_the_failures() {
        let text = summary(&[("lints", true, Duration::from_millis(1500)), ("tests", false, Duration::from_secs(60))]);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "== summary",
                "  lints       ok          1.5 s",
                "  tests       FAILED     60.0 s",
                "  all         1 bad      61.5 s",
            ]
        );
    }
}
