//! Whatever the bytes, loading ends with settings or findings, never with a panic.

use std::path::Path;

use proptest::prelude::*;
use refit::config::{self, Colour};

use crate::config_environment::FakeEnvironment;

/// Loads, renders every way, and checks what must hold for any input.
fn load(bytes: &[u8]) {
    let mut environment = FakeEnvironment::usual();
    environment.write("refit.toml", bytes, 0o644);
    let path = Path::new("refit.toml");
    let findings = match config::load(path, &environment) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.exit().code(), 0);
            let text = config::effective::render(&config::effective(&loaded));
            environment.write("refit.toml", text.as_str(), 0o644);
            let again = config::load(path, &environment);
            let again = again.unwrap_or_else(|findings| panic!("{findings}\n{text}"));
            assert_eq!(loaded.config.settings, again.config.settings, "{text}");
            loaded.warnings
        }
        Err(findings) => {
            assert!(matches!(findings.exit().code(), 77 | 78), "{findings}");
            findings
        }
    };
    for colour in [Colour::Plain, Colour::Styled] {
        assert!(!findings.render(colour).contains("s3cr3t"), "{findings}");
    }
    assert!(!findings.to_json().to_string().contains("s3cr3t"), "{findings}");
}

/// What a slip of the hand, or of another program, puts in the place of a token.
const TOKENS: [&str; 24] = [
    "",
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "\n",
    "\u{0}",
    "\u{feff}",
    "-1",
    "0",
    "1e400",
    "nan",
    "9223372036854775808",
    "\"0s\"",
    "\"99999999999d\"",
    "0000-01-01",
    "9999-12-31T23:59:60",
    "\"自動\"",
    "[[[[",
    "\"\"",
];

/// A good file with some of its parts replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0usize..12, prop::sample::select(&TOKENS[..]));
    prop::collection::vec(edit, 1..5).prop_map(|edits| {
        let mut bytes = config::EXAMPLE.as_bytes().to_vec();
        for (place, length, token) in edits {
            let start = place.index(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, token.bytes());
        }
        bytes
    })
}

/// A good file with the value of one line replaced, so that it stays TOML more often.
fn revalued() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), prop::sample::select(&TOKENS[..]));
    prop::collection::vec(edit, 1..4).prop_map(|edits| {
        let mut lines: Vec<String> = config::EXAMPLE.lines().map(str::to_owned).collect();
        for (place, token) in edits {
            let line = &mut lines[place.index(config::EXAMPLE.lines().count())];
            if let Some((key, _)) = line.split_once('=') {
                *line = format!("{key}= {token}");
            }
        }
        lines.join("\n").into_bytes()
    })
}

/// A seed that failed becomes a fixture, not a file beside this one.
fn settings() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn no_bytes_make_loading_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        load(&bytes);
    }

    #[test]
    fn no_text_makes_loading_panic(text in "(\\PC|[\\[\\]\"'=.{}\n\t#a-z_]){0,200}") {
        load(text.as_bytes());
    }

    #[test]
    fn no_slip_in_a_good_file_makes_loading_panic(bytes in mutated()) {
        load(&bytes);
    }

    #[test]
    fn no_value_in_a_good_file_makes_loading_panic(bytes in revalued()) {
        load(&bytes);
    }
}
