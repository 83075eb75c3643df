//! The architecture, held over the source text: who may import whom, and what pure code never
//! touches. The table is the one in `src/ARCHITECTURE.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder (or file) under `src`, and the crate's modules that it may name. The first that fits a
/// path is its layer.
const LAYERS: [(&str, &[&str]); 12] = [
    ("model/", &["model"]),
    ("engine/", &["engine", "model"]),
    ("sim/world/", &["sim::world", "sim::log", "model"]),
    ("sim/", &["sim", "model"]),
    ("rehearse/", &["rehearse", "engine", "sim", "model"]),
    ("cloud/", &["cloud", "model"]),
    ("config/", &["config", "model", "exit"]),
    ("store/", &["store", "engine", "model", "exit"]),
    ("judge/", &["judge", "sim", "store", "config", "engine", "model"]),
    (
        "daemon/",
        &["daemon", "store", "cloud", "config", "engine", "model", "clock", "exit", "failpoint"],
    ),
    ("api/", &["api", "daemon", "store", "engine", "model", "exit"]),
    ("clock.rs", &["clock", "model"]),
];

/// Files without a layer: they may name anything, or nothing is there to name.
const ABOVE: [&str; 5] = ["cli/", "main.rs", "lib.rs", "exit.rs", "failpoint.rs"];

/// What stands at the top of the project. A stray note among it is a mistake.
const TOP: [&str; 17] = [
    ".ci",
    ".config",
    ".git",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "build.rs",
    "config",
    "deny.toml",
    "docs",
    "migrations",
    "rustfmt.toml",
    "src",
    "tests",
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

/// The text without comments and without what is compiled for tests only.
fn code_of(text: &str) -> String {
    let mut code = Vec::new();
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines);
        } else {
            code.push(line);
        }
    }
    code.join("\n")
}

/// Passes over one item: rustfmt sets its closing brace where its first line begins.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>) {
    let Some(first) = lines.find(|line| !line.trim_start().starts_with("#[")) else { return };
    if first.ends_with([';', '}']) {
        return;
    }
    let indent = first.len() - first.trim_start().len();
    let end = format!("{}}}", &first[..indent]);
    assert!(lines.any(|line| line == end), "no end of: {first}");
}

/// The modules named as `crate::module::…`, alone or in a group, with one level below for the
/// simulated cloud.
fn named_modules(code: &str) -> Vec<String> {
    let after = code.split("crate::").skip(1);
    after
        .flat_map(|rest| rest.strip_prefix('{').map_or_else(|| vec![rest], members))
        .map(module)
        .collect()
}

/// What a `use crate::{…}` groups.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(group[from..at].trim());
                from = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|member| !member.is_empty());
    found
}

/// The module that a path (and whatever follows it) begins with.
fn module(path: &str) -> String {
    let end = path.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':'));
    let mut parts = path[..end.unwrap_or(path.len())].split("::").filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or_default();
    match (first, parts.next()) {
        ("sim", Some(second)) => format!("sim::{second}"),
        _ => first.to_owned(),
    }
}

/// A file as it might stand, with every shape that the reading has to see through.
const SHAPES: &str = "
#[cfg(test)]
mod example;
use crate::{engine::{Event, Fact}, store::Store};
// use crate::comment::Only;
#[cfg(test)]
#[path = \"elsewhere.rs\"]
mod tests {
    use crate::judge::Verdict;
    fn inner() {
    }
}
fn late() -> crate::sim::world::Instance {
    tokio::spawn()
}
";

#[test]
fn only_items_for_tests_are_passed_over_and_groups_are_taken_apart() {
    let code = code_of(SHAPES);
    assert_eq!(named_modules(&code), ["engine", "store", "sim::world"]);
    assert!(code.contains("tokio::spawn"), "{code}");
}

#[test]
fn the_top_of_the_project_holds_nothing_but_what_belongs_there() {
    let listed =
        Command::new("git").arg("ls-files").current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let listed = listed.unwrap();
    let names = if listed.status.success() {
        let text = String::from_utf8(listed.stdout).unwrap();
        text.lines().map(|path| path.split('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    } else {
        // An unpacked archive: everything but what a build leaves.
        let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "target").collect()
    };
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(TOP.contains(&name.as_str()), "{name} does not belong at the top of the project");
    }
}

#[test]
fn every_module_imports_only_what_its_layer_allows() {
    let (mut broken, mut checked) = (Vec::new(), 0);
    for (path, code) in sources() {
        if ABOVE.iter().any(|above| path.starts_with(above)) {
            continue;
        }
        let layer = LAYERS.iter().find(|(folder, _)| path.starts_with(folder));
        let (_, allowed) = layer.unwrap_or_else(|| panic!("{path} belongs to no layer"));
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
fn every_section_that_a_comment_cites_is_written_down() {
    let decisions = include_str!("../../docs/decisions.md");
    let headings = decisions.lines().filter_map(|line| line.strip_prefix("## "));
    let sections: Vec<String> = headings.map(str::to_lowercase).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut cited) = (Vec::new(), 0);
    collect(&root, &mut files);
    for file in files {
        let (file, text) = (file.display().to_string(), fs::read_to_string(&file).unwrap());
        assert!(!text.contains("(design"), "{file} cites a page that is not in the repository");
        for citation in text.split("docs/decisions.md: ").skip(1) {
            let section = citation.split(')').next().unwrap().to_lowercase();
            assert!(sections.contains(&section), "{file} cites the section {section:?}");
            cited += 1;
        }
    }
    assert!(cited > 10, "only {cited} citations were found");
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
