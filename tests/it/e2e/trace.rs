//! What a daemon does to the files of its store, as strace writes it down.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything that changes a file or its name, or makes that durable.
const CALLS: &str = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat2,unlink";

/// Longer than any write of the store.
const DATA_MOST: &str = "16777216";

/// One call that succeeded.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it began, in microseconds of the wall clock.
    pub at: u64,
    pub what: Change,
}

/// What it changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// The file is there, and empty if it was to be emptied.
    Open {
        path: PathBuf,
        emptied: bool,
    },
    Write {
        path: PathBuf,
        at: usize,
        bytes: Vec<u8>,
    },
    /// At the place where the one before ended.
    Append {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    Length {
        path: PathBuf,
        length: usize,
    },
    /// Of a file or of a directory.
    Sync {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
}

/// The command under strace: still a child of ours, with its tracer beside it; one file per thread
/// below that prefix.
pub fn traced(command: &Command, prefix: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-ff", "-ttt", "-y", "-xx", "-s", DATA_MOST, "-e"])
        .arg(format!("trace={CALLS}"))
        .arg("-o")
        .arg(prefix)
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .current_dir(command.get_current_dir().expect("the command has a place of its own"));
    for (name, value) in command.get_envs() {
        strace.env(name, value.unwrap_or_default());
    }
    strace
}

/// Whether the tracer has written down the end of every thread.
pub fn is_whole(prefix: &Path) -> bool {
    files(prefix).iter().all(|file| {
        let text = fs::read_to_string(file).unwrap();
        text.lines().next_back().is_some_and(|line| line.contains(" +++ "))
    })
}

fn files(prefix: &Path) -> Vec<PathBuf> {
    let name = format!("{}.", prefix.file_name().unwrap().to_str().unwrap());
    let entries = fs::read_dir(prefix.parent().unwrap()).unwrap().map(|entry| entry.unwrap());
    let of_threads = entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with(&name));
    of_threads.map(|entry| entry.path()).collect()
}

/// The calls of all threads on files in that directory, in the order in which they began.
pub fn calls(prefix: &Path, directory: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    for file in files(prefix) {
        let text = fs::read_to_string(file).unwrap();
        calls.extend(text.lines().filter_map(call));
    }
    calls.retain(|call| call.paths().iter().all(|path| path.starts_with(directory)));
    calls.sort_by_key(|call| call.at);
    calls
}

impl Call {
    fn paths(&self) -> Vec<&Path> {
        match &self.what {
            Change::Open { path, .. }
            | Change::Write { path, .. }
            | Change::Append { path, .. }
            | Change::Length { path, .. }
            | Change::Sync { path }
            | Change::Remove { path } => vec![path],
            Change::Rename { from, to } => vec![from, to],
        }
    }
}

/// `None` for what is no call, failed, or changes nothing.
fn call(line: &str) -> Option<Call> {
    let (at, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") = ")?;
    if result.starts_with('-') || arguments.contains(">(deleted)") {
        return None;
    }
    let (seconds, micros) = at.split_once('.')?;
    let at = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
    let what = match name {
        "openat" => Change::Open {
            path: PathBuf::from(texts(arguments).into_iter().next()?),
            emptied: arguments.contains("O_TRUNC"),
        },
        "pwrite64" => Change::Write {
            path: of_descriptor(arguments)?,
            at: last_number(arguments)?,
            bytes: data(arguments)?,
        },
        "write" => Change::Append { path: of_descriptor(arguments)?, bytes: data(arguments)? },
        "fsync" | "fdatasync" => Change::Sync { path: of_descriptor(arguments)? },
        "ftruncate" => {
            Change::Length { path: of_descriptor(arguments)?, length: last_number(arguments)? }
        }
        "unlink" => Change::Remove { path: texts(arguments).into_iter().next()?.into() },
        "rename" | "renameat2" => {
            let mut paths = texts(arguments).into_iter();
            Change::Rename { from: paths.next()?.into(), to: paths.next()?.into() }
        }
        _ => return None,
    };
    // Opening to read makes no file.
    let reads = name == "openat" && !arguments.contains("O_CREAT");
    (!reads).then_some(Call { at, what })
}

/// The path that strace names behind a descriptor: `3</path>`.
fn of_descriptor(arguments: &str) -> Option<PathBuf> {
    let (_, rest) = arguments.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    Some(String::from_utf8(unescaped(path)).ok()?.into())
}

/// What stands between quotes.
fn texts(arguments: &str) -> Vec<String> {
    let quoted = arguments.split('"').skip(1).step_by(2);
    quoted.filter_map(|text| String::from_utf8(unescaped(text)).ok()).collect()
}

fn data(arguments: &str) -> Option<Vec<u8>> {
    assert!(!arguments.contains("\"..."), "strace cut a write short");
    arguments.split('"').nth(1).map(unescaped)
}

fn last_number(arguments: &str) -> Option<usize> {
    arguments.rsplit_once(", ")?.1.parse().ok()
}

/// Every byte stands there as `\x2f`.
fn unescaped(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    };
    text.as_bytes().chunks_exact(4).map(|escape| digits(&escape[2..])).collect()
}
