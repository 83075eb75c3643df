//! Text that came over the wire, made fit to keep: bounded, control characters escaped, secrets
//! masked.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use crate::model::text::is_disruptive;

use super::signing;

/// The bound of a message in an answer's note; the cloud's own pages allow as much.
pub const MESSAGE_MAX_CHARS: usize = 1_024;

/// The bound of a name, word or version that an answer carries.
pub const TEXT_MAX_CHARS: usize = 1_024;

/// The bound of an id, and of a request id.
pub const ID_MAX_CHARS: usize = 128;

/// Shorter secrets are not masked: they would blacken every text, and guard nothing.
const MASKED_MIN_CHARS: usize = 4;

const MASK: &str = "[secret]";

/// A message for an event, a log line or evidence: at most [`MESSAGE_MAX_CHARS`], on one line.
pub fn message(raw: &str, secrets: &[SecretString]) -> Arc<str> {
    escaped(&masked(raw, secrets), MESSAGE_MAX_CHARS).into()
}

/// A request id, fit to be quoted to the cloud's support.
pub fn request_id(raw: &str, secrets: &[SecretString]) -> Arc<str> {
    escaped(&masked(raw, secrets), ID_MAX_CHARS).into()
}

/// The first `limit` characters.
pub fn cut(raw: &str, limit: usize) -> &str {
    raw.char_indices().nth(limit).map_or(raw, |(end, _)| &raw[..end])
}

/// Masks before cutting, so that no half of a secret survives at the cut; in every form that
/// rule S15 names.
pub fn masked(raw: &str, secrets: &[SecretString]) -> String {
    let mut text = raw.to_owned();
    for secret in secrets.iter().map(ExposeSecret::expose_secret) {
        if secret.chars().count() >= MASKED_MIN_CHARS {
            for form in forms(secret) {
                text = text.replace(&form, MASK);
            }
        }
    }
    text
}

/// Raw, URL-escaped, JSON-escaped, hex and base64.
fn forms(secret: &str) -> [String; 5] {
    let json = serde_json::Value::from(secret).to_string();
    [
        secret.to_owned(),
        signing::encode(secret),
        json[1..json.len() - 1].to_owned(),
        hex::encode(secret),
        BASE64_STANDARD_NO_PAD.encode(secret),
    ]
}

/// Characters that disrupt a line become `\u{…}`; never longer than `limit`.
fn escaped(raw: &str, limit: usize) -> String {
    let mut text = String::new();
    let mut left = limit;
    for character in raw.chars() {
        let piece = match is_disruptive(character) {
            true => character.escape_unicode().to_string(),
            false => character.to_string(),
        };
        let Some(rest) = left.checked_sub(piece.chars().count()) else {
            break;
        };
        left = rest;
        text.push_str(&piece);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_bounded_and_on_one_line() {
        assert_eq!(&*message("a\nb\u{1b}[2J", &[]), "a\\u{a}b\\u{1b}[2J");
        assert_eq!(&*message("\u{202e}evil", &[]), "\\u{202e}evil");
        assert_eq!(message(&"é".repeat(5_000), &[]).chars().count(), MESSAGE_MAX_CHARS);
        assert!(message(&"\n".repeat(5_000), &[]).chars().count() <= MESSAGE_MAX_CHARS);
    }

    #[test]
    fn an_echoed_secret_is_masked_whole_even_at_the_cut() {
        let secret = SecretString::from("s3cr3t/+ key");
        let secrets = [secret];
        let echoed = format!("{}s3cr3t/+ key", "x".repeat(MESSAGE_MAX_CHARS - 4));
        assert!(!message(&echoed, &secrets).contains("s3c"));
        for form in
            ["s3cr3t/+ key", "s3cr3t%2F%2B%20key", "7333637233742f2b206b6579", "czNjcjN0Lysga2V5"]
        {
            assert_eq!(&*message(&format!("in {form} out"), &secrets), "in [secret] out");
        }
        let quoted = [SecretString::from("pass\"word")];
        assert_eq!(&*message(r#"{"p":"pass\"word"}"#, &quoted), r#"{"p":"[secret]"}"#);
    }
}
