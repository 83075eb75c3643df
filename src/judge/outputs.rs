//! S15: no output shows a secret, in any spelling.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Findings;
use super::evidence::Evidence;

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    let needles = Needles::new(&evidence.secrets);
    for output in &evidence.outputs {
        let shown = needles.found_in(&output.bytes);
        for number in 0..evidence.secrets.len() {
            let is_shown = shown.contains(&number);
            // The breach names no secret either.
            findings.expect(15, !is_shown, || format!("{} shows secret no. {number}", output.name));
        }
    }
}

/// Every spelling of every secret, found in one pass: a database is read byte by byte once.
struct Needles {
    /// Each with the number of its secret.
    spellings: Vec<(Vec<u8>, usize)>,
    /// Whether some spelling begins with these two bytes.
    begins: Vec<bool>,
}

impl Needles {
    fn new(secrets: &[String]) -> Needles {
        let numbered = secrets.iter().enumerate();
        let spellings: Vec<_> = numbered
            .flat_map(|(number, secret)| {
                spellings(secret).into_iter().map(move |spelling| (spelling, number))
            })
            .collect();
        let mut begins = vec![false; 1 << 16];
        for (spelling, _) in &spellings {
            begins[pair(spelling[0], spelling[1])] = true;
        }
        Needles { spellings, begins }
    }

    fn found_in(&self, bytes: &[u8]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for (at, two) in bytes.windows(2).enumerate() {
            if self.begins[pair(two[0], two[1])] {
                let rest = &bytes[at..];
                let here = self.spellings.iter().filter(|(spelling, _)| rest.starts_with(spelling));
                found.extend(here.map(|(_, number)| *number));
            }
        }
        found
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// Raw, base64, hex in both cases, URL-escaped, JSON-escaped.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let json = serde_json::to_string(secret).expect("a string always serialises");
    let upper = secret.bytes().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02X}").expect("a String takes every write");
        text
    });
    let mut all = vec![
        secret.to_owned(),
        hex::encode(secret),
        upper,
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        json.trim_matches('"').to_owned(),
    ];
    all.extend((0..3).map(|shift| base64_core(secret.as_bytes(), shift)));
    // A part of a single byte would be found everywhere.
    all.into_iter().filter(|text| text.len() > 1).map(String::into_bytes).collect()
}

/// The base64 characters that do not depend on what stands around the secret, when it begins
/// `shift` bytes into a group of three.
fn base64_core(secret: &[u8], shift: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let skip = (3 - shift) % 3;
    let whole = secret.get(skip..).unwrap_or_default();
    let groups = whole.chunks_exact(3).flat_map(|group| {
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        [18, 12, 6, 0].map(|by| ALPHABET[(bits >> by & 63) as usize] as char)
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Judgement, Output, Rule, judge};
    use super::*;

    const SECRET: &str = "canary/sec+ret\"0123456789";

    fn shows(text: &str) -> bool {
        let output = Output { name: "log".into(), bytes: text.as_bytes().to_vec() };
        let evidence = Evidence {
            outputs: vec![output],
            secrets: vec![SECRET.to_owned()],
            ..Evidence::default()
        };
        matches!(judge(&evidence).0[&Rule(15)], Judgement::Broken(_))
    }

    #[test]
    fn every_spelling_of_a_secret_is_found_and_other_text_is_not() {
        assert!(!shows("nothing of interest"));
        assert!(shows(&format!("key={SECRET}")));
        assert!(shows(&hex::encode(SECRET)));
        assert!(shows(&hex::encode(SECRET).to_uppercase()));
        assert!(shows(&serde_json::to_string(&format!("x{SECRET}")).unwrap()));
        assert!(shows(&utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string()));
        // base64 of "canary…" alone, and behind one and two other bytes.
        assert!(shows("Y2FuYXJ5L3NlYytyZXQiMDEyMzQ1Njc4OQ=="));
        assert!(shows("eGNhbmFyeS9zZWMrcmV0IjAxMjM0NTY3ODk="));
        assert!(shows("eHhjYW5hcnkvc2VjK3JldCIwMTIzNDU2Nzg5"));
    }
}
