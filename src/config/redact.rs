//! Hides what may be a secret in a line that is about to be shown.
//!
//! Works on text alone, so that it also holds in a file that does not parse. It hides too much
//! rather than too little: inside a credential's table everything but a few harmless keys and the
//! references (rule S15).

use std::ops::Range;

use super::finding::Excerpt;

/// What of a line may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// All but secrets.
    Line,
    /// No value: nobody knows what an unknown key holds.
    Key,
}

/// Stands for what is hidden; it has one length, whatever it hides.
const HIDDEN: &str = "…";

/// How alike a name must be to "credentials", from 0 to 1, to be a misspelling of it.
const LIKENESS: f64 = 0.8;

/// Keys of a credential that hold no secret.
const HARMLESS: [&str; 4] = ["kind", "domain", "user", "metadata_endpoint"];

/// Words that make a line suspect outside a credential's table too.
const SUSPECT: [&str; 7] = ["secret", "passw", "token", "access", "credentials.", "_key", "auth"];

/// Whether the first of `lines`, which run backwards, stands in a table of credentials.
pub fn is_in_credentials<'a>(mut lines: impl Iterator<Item = &'a str>) -> bool {
    lines.find_map(header).is_some_and(|first| is_like_credentials(&first))
}

fn is_like_credentials(name: &str) -> bool {
    name.contains("cred") || strsim::jaro_winkler(name, "credentials") > LIKENESS
}

/// The first part of a table's header, in lower case. A quoted one may as well be an element of a
/// list, so it counts only where it is a table of credentials.
fn header(line: &str) -> Option<String> {
    let name = line.trim_start().strip_prefix('[')?;
    let name = name.trim_start_matches(['[', ' ', '\t']);
    let bare = name.trim_start_matches(['"', '\'']).to_ascii_lowercase();
    let first = bare.split(['.', ']', '"', '\'', ' ']).next().unwrap_or_default();
    (name.len() == bare.len() || is_like_credentials(first)).then(|| first.to_owned())
}

/// The line with its secrets hidden, and the mark moved along.
pub fn line(text: &str, mark: Range<usize>, show: Show, in_credentials: bool) -> Excerpt {
    let shown = Excerpt { text: text.to_owned(), mark };
    let is_header = header(text).is_some();
    let excerpt = match value_start(text) {
        _ if is_header => {
            let end = text.find(']').map_or(text.len(), |end| end + 1);
            let rest = text[end..].strip_prefix(']').unwrap_or(&text[end..]);
            hide_from(shown, text.len() - rest.len())
        }
        Some(value) if is_suspect(text, value, in_credentials) => {
            hide_from(shown, reference_end(text, value).unwrap_or(value))
        }
        Some(value) if show == Show::Key => without_values(shown, value),
        None if in_credentials || is_named_suspect(text) => {
            let indent = text.len() - text.trim_start().len();
            hide_from(shown, indent)
        }
        _ => shown,
    };
    without_passwords(excerpt)
}

fn hide_from(excerpt: Excerpt, from: usize) -> Excerpt {
    let end = excerpt.text.len();
    if excerpt.text[from..].trim().is_empty() {
        return excerpt;
    }
    replace(&excerpt.text, excerpt.mark, from..end)
}

/// Leaves the marked key of the line, and the first one if the mark is further on.
fn without_values(excerpt: Excerpt, value: usize) -> Excerpt {
    let mark = excerpt.mark.clone();
    if mark.start < value {
        return hide_from(excerpt, value);
    }
    match value_start(&excerpt.text[mark.end..]) {
        Some(after) => {
            let excerpt = hide_from(excerpt, mark.end + after);
            if value < mark.start {
                replace(&excerpt.text, excerpt.mark, value..mark.start)
            } else {
                excerpt
            }
        }
        None => hide_from(excerpt, value),
    }
}

/// Where the value of `key = value` begins.
fn value_start(text: &str) -> Option<usize> {
    let equals = text.find('=')?;
    let value = &text[equals + 1..];
    Some(equals + 1 + value.len() - value.trim_start().len())
}

fn is_suspect(text: &str, value: usize, in_credentials: bool) -> bool {
    let key = text[..value].trim_end_matches(['=', ' ', '\t']).trim();
    if in_credentials { !HARMLESS.contains(&key) } else { is_named_suspect(text) }
}

fn is_named_suspect(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SUSPECT.iter().any(|word| lower.contains(word))
}

/// The end of a value that is a reference, not a secret: what follows it on the line is hidden.
fn reference_end(text: &str, value: usize) -> Option<usize> {
    let quoted = &text[value..];
    let quote = quoted.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let inner = &quoted[1..];
    let inner = &inner[..inner.find(quote)?];
    let is_reference =
        ["env:", "file:", "credential:"].iter().any(|scheme| inner.starts_with(scheme));
    is_reference.then_some(value + inner.len() + 2)
}

/// Hides the user and password of every address.
fn without_passwords(mut excerpt: Excerpt) -> Excerpt {
    let mut from = 0;
    while let Some(at) = excerpt.text[from..].find("://") {
        let start = from + at + 3;
        let rest = &excerpt.text[start..];
        let authority = rest.find(['"', '\'', ' ', '\t', ',']).unwrap_or(rest.len());
        if let Some(length) = rest[..authority].rfind('@') {
            excerpt = replace(&excerpt.text, excerpt.mark, start..start + length);
        }
        from = start;
    }
    excerpt
}

/// Puts [`HIDDEN`] in the place of `hidden`.
fn replace(text: &str, mark: Range<usize>, hidden: Range<usize>) -> Excerpt {
    let moved = |at: usize, inside: usize| {
        if at <= hidden.start {
            at
        } else if at >= hidden.end {
            at - hidden.len() + HIDDEN.len()
        } else {
            inside
        }
    };
    let start = moved(mark.start, hidden.start);
    let end = moved(mark.end, hidden.start + HIDDEN.len()).max(start);
    let text = format!("{}{HIDDEN}{}", &text[..hidden.start], &text[hidden.end..]);
    Excerpt { text, mark: start..end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, marked: &str, show: Show, in_credentials: bool) -> (String, String) {
        let start = text.find(marked).expect("the mark stands in the text");
        let excerpt = line(text, start..start + marked.len(), show, in_credentials);
        let mark = excerpt.text[excerpt.mark.clone()].to_owned();
        (excerpt.text, mark)
    }

    #[test]
    fn a_secret_is_hidden_and_its_place_marked() {
        let found = shown("secret_key = \"hunter2\" # mine", "\"hunter2\"", Show::Line, true);
        assert_eq!(found, ("secret_key = …".into(), "…".into()));
    }

    #[test]
    fn a_reference_is_shown_and_what_follows_it_hidden() {
        let found = shown("secret_key = \"env:SK\" # hunter2", "\"env:SK\"", Show::Line, true);
        assert_eq!(found, ("secret_key = \"env:SK\"…".into(), "\"env:SK\"".into()));
    }

    #[test]
    fn harmless_keys_of_a_credential_are_shown() {
        let text = "kind = \"acess-key\"";
        assert_eq!(shown(text, "kind", Show::Line, true).0, text);
    }

    #[test]
    fn an_unknown_key_is_shown_without_any_value() {
        let found = shown("a = { sk = \"hunter2\", b = \"x\" }", "b", Show::Key, false);
        assert_eq!(found, ("a = …b = …".into(), "b".into()));
        let found = shown("sk = \"hunter2\"", "sk", Show::Key, false);
        assert_eq!(found, ("sk = …".into(), "sk".into()));
    }

    #[test]
    fn a_password_in_an_address_is_hidden() {
        let found = shown("proxy = \"http://u:p@ss@host:1\"", "host", Show::Line, false);
        assert_eq!(found, ("proxy = \"http://…@host:1\"".into(), "host".into()));
    }

    #[test]
    fn a_credential_is_recognised_by_its_header_however_it_is_spelt() {
        for header in
            ["[credentials.ops]", "[ credentials ]", "[[\"credentials\".a]]", "[crednetials.a"]
        {
            assert!(is_in_credentials(["x = 1", header, "[projects.a]"].into_iter()), "{header}");
        }
        assert!(!is_in_credentials(["x = 1", "[projects.a]", "[credentials.a]"].into_iter()));
    }

    #[test]
    fn an_element_of_a_list_is_no_header() {
        assert!(is_in_credentials(["[\"hunter2\" x]", "[credentials.a]"].into_iter()));
        assert_eq!(shown("[\"hunter2\" x],", "x", Show::Line, true).0, "…");
    }
}
