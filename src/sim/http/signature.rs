//! Checks SDK-HMAC-SHA256 signatures (API facts, section 2.1).
//!
//! Written from the facts and apart from the client that signs, so that each finds the other's
//! mistakes: nothing of `cloud` is used here.

use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::model::{Millis, Wall};

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// How far the signing date may be from the gateway's clock.
const CLOCK_TOLERANCE: Millis = Millis::from_mins(15);

/// Everything but `A-Z a-z 0-9 - _ . ~` is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The parts of an `Authorization` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    pub access: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// A request as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    pub method: &'a str,
    /// Not decoded.
    pub path: &'a str,
    /// Not decoded, without the question mark.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A header that has to be signed is not, or a signed one was not sent.
    Headers,
    /// Signed more than 15 minutes from now, or no date at all.
    Date,
    Signature,
}

impl<'a> Authorization<'a> {
    /// Reads the header; none if it is of another algorithm or form.
    pub fn parse(header: &'a str) -> Option<Authorization<'a>> {
        let mut fields = header.strip_prefix(ALGORITHM)?.split(',').map(str::trim);
        let mut next = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let authorization = Authorization {
            access: next("Access")?,
            signed_headers: next("SignedHeaders")?,
            signature: next("Signature")?,
        };
        fields.next().is_none().then_some(authorization)
    }
}

/// Checks the signature with the secret it should have been made with.
pub(super) fn verify(
    now: Wall,
    request: &Signed<'_>,
    authorization: &Authorization<'_>,
    secret: &str,
) -> Result<(), Flaw> {
    let date = request.headers.get("x-sdk-date").and_then(|value| value.to_str().ok());
    let date = date.ok_or(Flaw::Date)?;
    let signed_at = parse_date(date).ok_or(Flaw::Date)?;
    if (now - signed_at).0.abs() > CLOCK_TOLERANCE.0 {
        return Err(Flaw::Date);
    }
    let signed: Vec<&str> = authorization.signed_headers.split(';').collect();
    if !signed.contains(&"host") || !signed.contains(&"x-sdk-date") {
        return Err(Flaw::Headers);
    }
    let canonical = canonical_request(request, &signed)?;
    let digest = hex::encode(Sha256::digest(&canonical));
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(format!("{ALGORITHM}\n{date}\n{digest}").as_bytes());
    let signature = hex::decode(authorization.signature).map_err(|_| Flaw::Signature)?;
    mac.verify_slice(&signature).map_err(|_| Flaw::Signature)
}

fn canonical_request(request: &Signed<'_>, signed: &[&str]) -> Result<Vec<u8>, Flaw> {
    let mut text = Vec::new();
    text.extend(request.method.to_uppercase().bytes());
    text.push(b'\n');
    text.extend(canonical_path(request.path).bytes());
    text.push(b'\n');
    text.extend(canonical_query(request.query).bytes());
    text.push(b'\n');
    for name in signed {
        let value = request.headers.get(*name).ok_or(Flaw::Headers)?;
        text.extend(name.bytes());
        text.push(b':');
        text.extend(value.as_bytes().trim_ascii());
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend(signed.join(";").bytes());
    text.push(b'\n');
    let stated = request.headers.get("x-sdk-content-sha256");
    match stated.filter(|_| !request.body.is_empty()) {
        Some(stated) => text.extend(stated.as_bytes()),
        None => text.extend(hex::encode(Sha256::digest(request.body)).bytes()),
    }
    Ok(text)
}

fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut canonical = decoded
        .split('/')
        .map(|segment| utf8_percent_encode(segment, ENCODED).to_string())
        .collect::<Vec<_>>()
        .join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

fn canonical_query(query: &str) -> String {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    pairs.sort();
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let encoded: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    encoded.join("&")
}

fn parse_date(text: &str) -> Option<Wall> {
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let instant = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(Wall(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../../tests/fixtures/signing-vectors.json");

    struct Vector {
        name: String,
        method: String,
        target: String,
        headers: HeaderMap,
        body: Vec<u8>,
        secret: String,
        authorization: String,
        canonical: String,
        at: Wall,
    }

    fn vectors() -> Vec<Vector> {
        let all: Value = serde_json::from_str(VECTORS).unwrap();
        let vectors = all["vectors"].as_array().unwrap().iter();
        vectors.filter(|vector| vector["algorithm"] == ALGORITHM).map(vector).collect()
    }

    fn vector(vector: &Value) -> Vector {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let output = &vector["output"];
        let mut headers = HeaderMap::new();
        for (name, value) in output["sent_headers"].as_object().unwrap() {
            let name = HeaderName::try_from(name).unwrap();
            let value = text(value).unwrap();
            headers.insert(name, HeaderValue::from_bytes(value.trim().as_bytes()).unwrap());
        }
        let body = match (&vector["body"], &vector["body_b64"]) {
            (Value::String(body), _) => body.clone().into_bytes(),
            (_, Value::String(coded)) => base64(coded),
            _ => Vec::new(),
        };
        Vector {
            name: text(&vector["name"]).unwrap(),
            method: text(&vector["method"]).unwrap(),
            target: text(&output["sent_uri"]).unwrap(),
            at: parse_date(headers["x-sdk-date"].to_str().unwrap()).unwrap(),
            headers,
            body,
            secret: text(&vector["sk"]).unwrap(),
            authorization: text(&output["authorization"]).unwrap(),
            canonical: text(&output["canonical_request"]).unwrap(),
        }
    }

    fn base64(coded: &str) -> Vec<u8> {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = coded.trim_end_matches('=').bytes();
        let bits: Vec<u8> = digits
            .flat_map(|digit| {
                let value = DIGITS.iter().position(|each| *each == digit).unwrap();
                (0..6).rev().map(move |bit| (value >> bit & 1) as u8)
            })
            .collect();
        let bytes = bits.chunks_exact(8);
        bytes.map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit)).collect()
    }

    fn check(vector: &Vector, now: Wall, secret: &str, body: &[u8]) -> Result<(), Flaw> {
        let (path, query) = vector.target.split_once('?').unwrap_or((&vector.target, ""));
        let headers = &vector.headers;
        let request = Signed { method: &vector.method, path, query, headers, body };
        let authorization = Authorization::parse(&vector.authorization).unwrap();
        verify(now, &request, &authorization, secret)
    }

    #[test]
    fn every_vector_of_the_algorithm_is_accepted() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 57);
        for vector in &vectors {
            let result = check(vector, vector.at, &vector.secret, &vector.body);
            assert_eq!(result, Ok(()), "{}\n{}", vector.name, vector.canonical);
        }
    }

    #[test]
    fn a_changed_body_secret_or_date_is_refused() {
        for vector in vectors() {
            let wrong = check(&vector, vector.at, "another secret", &vector.body);
            assert_eq!(wrong, Err(Flaw::Signature), "{}", vector.name);
            let late = vector.at + Millis::from_mins(15) + Millis(1);
            let wrong = check(&vector, late, &vector.secret, &vector.body);
            assert_eq!(wrong, Err(Flaw::Date), "{}", vector.name);
        }
        let mut all = vectors();
        all.retain(|vector| vector.name == "dcs_upgrade_both");
        let wrong = check(&all[0], all[0].at, &all[0].secret, b"{}");
        assert_eq!(wrong, Err(Flaw::Signature));
    }

    #[test]
    fn another_algorithm_or_form_is_no_authorization() {
        for header in [
            "V11-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00",
            "SDK-HMAC-SHA256 Access=a, Signature=00",
            "Bearer abc",
        ] {
            assert_eq!(Authorization::parse(header), None, "{header}");
        }
    }
}
