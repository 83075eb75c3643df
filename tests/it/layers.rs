//! The architecture, held over the source text: who may import whom, and what pure code never
//! touches. The table is the one in `src/ARCHITECTURE.md`.

use std::fs;
use std::path::{Path, PathBuf};

/// Folder (or file) under `src`, and the crate's modules that it may name.
const LAYERS: [(&str, &[&str]); 13] = [
    ("model/", &["model"]),
    ("engine/", &["engine", "model"]),
    ("sim/world/", &["sim::world", "sim::log", "sim::knobs", "sim::faults", "model"]),
    ("sim/", &["sim", "model"]),
    ("rehearse/", &["rehearse", "engine", "sim", "model"]),
    ("cloud/", &["cloud", "model"]),
    ("config/", &["config", "model"]),
    ("store/", &["store", "engine", "model"]),
    ("judge/", &["judge", "sim", "store", "config", "engine", "model"]),
    (
        "daemon/",
        &["daemon", "api", "store", "cloud", "config", "engine", "model", "clock", "failpoint"],
    ),
    ("api/", &["api", "daemon", "store", "engine", "model"]),
    ("clock.rs", &["clock", "model"]),
    ("failpoint.rs", &["failpoint"]),
];

/// Folders of pure code.
const PURE: [&str; 4] = ["model/", "engine/", "rehearse/", "sim/world/"];

/// What pure code never names.
const IMPURE: [&str; 13] = [
    "tokio",
    "sqlx",
    "reqwest",
    "axum",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "SystemTime",
    "Instant::now",
    "HashMap",
    "HashSet",
    "async fn",
];

/// Every source file with its path below `src` and its text without comments and tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let code = files.iter().map(|path| {
        let below = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (below, code_of(&fs::read_to_string(path).unwrap()))
    });
    code.collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules named as `crate::module::…`, with one level below for the simulated cloud.
fn named_modules(code: &str) -> Vec<String> {
    let after = code.split("crate::").skip(1).filter(|rest| !rest.starts_with('{'));
    let names = after.map(|rest| {
        let path: String =
            rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
        let mut parts = path.split("::").filter(|part| !part.is_empty());
        let first = parts.next().unwrap_or_default();
        match (first, parts.next()) {
            ("sim", Some(second)) => format!("sim::{second}"),
            _ => first.to_owned(),
        }
    });
    names.collect()
}

#[test]
fn every_module_imports_only_what_its_layer_allows() {
    let (mut broken, mut checked) = (Vec::new(), 0);
    for (path, code) in sources() {
        let Some((_, allowed)) = LAYERS.iter().find(|(folder, _)| path.starts_with(folder)) else {
            continue;
        };
        for named in named_modules(&code) {
            checked += 1;
            let first = named.split("::").next().unwrap();
            if !allowed.iter().any(|name| *name == named || *name == first) {
                broken.push(format!("{path} names crate::{named}"));
            }
        }
    }
    assert!(
        checked > 100,
        "only {checked} imports were found: the reading of the source is broken"
    );
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn nobody_imports_the_command_line() {
    let outside = |path: &str| !path.starts_with("cli/") && path != "main.rs" && path != "lib.rs";
    for (path, code) in sources().into_iter().filter(|(path, _)| outside(path)) {
        assert!(!named_modules(&code).contains(&"cli".to_owned()), "{path} names crate::cli");
    }
}

#[test]
fn pure_modules_know_no_clock_file_socket_or_hash_order() {
    let mut checked = 0;
    for (path, code) in sources() {
        if !PURE.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        checked += 1;
        for word in IMPURE {
            let named = code.contains(word);
            assert!(!named, "{path} names {word}");
        }
    }
    assert!(checked > 40, "only {checked} pure files were found");
}

#[test]
fn no_file_names_a_place_outside_the_project() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
    let mut included = 0;
    for (path, code) in sources() {
        for home in ["/home/", "/root/", "/tmp/", "/Users/"] {
            assert!(!code.contains(home), "{path} names a place below {home}");
        }
        let beside = root.join("src").join(&path);
        for named in code.split("include_str!(\"").skip(1) {
            let named = named.split('"').next().unwrap();
            let file = beside.parent().unwrap().join(named).canonicalize().unwrap();
            assert!(file.starts_with(&root), "{path} includes {}", file.display());
            included += 1;
        }
    }
    assert!(included > 0, "no included file was found: the reading of the source is broken");
}
