//! What `cargo xtask bench corpus` measures of this crate, a contender to a process.
//!
//! A contender gets ready, says so in one line of JSON, and then answers each line it is given with one pass and one line of
//! what that took; it ends when its input does. So neither a start nor a warm-up is measured, and contenders can take turns.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a contender answers on its output")]

mod contender;
mod copy;
mod decode;
mod frames;
mod ingest;
mod order;
mod read;
mod settings;
mod shards;
mod write;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What may go wrong here ends the contender with one message.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(name = "corpus", about = "One contender of `cargo xtask bench corpus`")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Given by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draws the phantom corpus
    Phantom { folder: PathBuf },
    /// Writes square frames of real files, end to end, into one file that every contender reads
    Frames {
        file: PathBuf,
        /// How many; where the files give fewer, moved copies follow
        #[arg(long)]
        count: usize,
        #[arg(long, required = true)]
        input: Vec<PathBuf>,
    },
    /// Writes the frames as a corpus, as an ingest does
    Shards { frames: PathBuf, store: PathBuf },
    /// Contender: a plain copy in memory
    Copy { frames: PathBuf },
    /// Contender: one epoch of a corpus, in batches
    Read { store: PathBuf },
    /// Contender: the frames as a corpus on disk
    Write { frames: PathBuf, store: PathBuf },
    /// Contender: files to a committed corpus
    Ingest {
        store: PathBuf,
        #[arg(required = true)]
        input: Vec<PathBuf>,
    },
    /// Contender: the files of a list, on one thread, by format
    Decode { list: PathBuf },
    /// Contender: plan and seek of a corpus of millions of rows
    Order { rows: u64 },
    /// Contender: writing and reading with every level of zstd and size of row groups
    Settings { frames: PathBuf },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Phantom { folder } => frames::phantom(&folder),
        Command::Frames { file, count, input } => frames::gather(&file, count, &input),
        Command::Shards { frames, store } => shards::prepare(&frames, &store),
        Command::Copy { frames } => copy::run(&frames),
        Command::Read { store } => read::run(&store),
        Command::Write { frames, store } => write::run(&frames, &store),
        Command::Ingest { store, input } => ingest::run(&store, &input),
        Command::Decode { list } => decode::run(&list),
        Command::Order { rows } => order::run(rows),
        Command::Settings { frames } => settings::run(&frames),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut line = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                line += &format!(": {error}");
                source = error.source();
            }
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}
