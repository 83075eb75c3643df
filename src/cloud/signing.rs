//! The request signature `SDK-HMAC-SHA256` (API facts, section 2.1), held to recorded vectors.
//!
//! Pure: the date, the headers and the exact body bytes are arguments. A signature dates from the
//! moment it is made, so sign after any queueing, right before sending, and again for every
//! attempt.

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::model::Wall;

pub const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// Carries the hash of the payload, or a word in its place, when it is not hashed here.
const PAYLOAD_HEADER: &str = "x-sdk-content-sha256";

const DATE_HEADER: &str = "x-sdk-date";

/// Everything but `A-Z a-z 0-9 - _ . ~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What gets signed: the request as it will be sent.
#[derive(Debug)]
pub struct Signable<'a> {
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    /// Raw pairs, in any order.
    pub query: &'a [(String, String)],
    /// The headers to sign, `Host` and `X-Sdk-Date` among them. A name that holds `_` is left out.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// The signature with the intermediate forms that the vectors state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub canonical_request: String,
    pub string_to_sign: String,
    /// Lower-case names joined with `;`.
    pub signed_headers: String,
    /// Lower-case hex.
    pub signature: String,
}

impl Signature {
    /// The value of the `Authorization` header.
    pub fn authorization(&self, access_key: &str) -> String {
        let Signature { signed_headers, signature, .. } = self;
        format!(
            "{ALGORITHM} Access={access_key}, SignedHeaders={signed_headers}, Signature={signature}"
        )
    }
}

/// Signs a request.
pub fn sign(request: &Signable<'_>, secret_key: &str) -> Signature {
    let headers = sorted_headers(request.headers);
    let value_of =
        |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let signed_headers =
        headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let header_lines: String =
        headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let payload = match value_of(PAYLOAD_HEADER) {
        Some(stated) if !request.body.is_empty() => stated.to_owned(),
        _ => hex::encode(Sha256::digest(request.body)),
    };
    let canonical_request = [
        request.method.to_ascii_uppercase(),
        canonical_path(request.path),
        canonical_query(request.query),
        header_lines,
        signed_headers.clone(),
        payload,
    ]
    .join("\n");
    let date = value_of(DATE_HEADER).unwrap_or_default();
    let digest = hex::encode(Sha256::digest(canonical_request.as_bytes()));
    let string_to_sign = format!("{ALGORITHM}\n{date}\n{digest}");
    let signature = hmac_hex(secret_key, &string_to_sign);
    Signature { canonical_request, string_to_sign, signed_headers, signature }
}

/// The instant as `X-Sdk-Date` wants it: `20260131T235959Z`.
pub fn sdk_date(now: Wall) -> String {
    match jiff::Timestamp::from_millisecond(now.0) {
        Ok(instant) => instant.strftime("%Y%m%dT%H%M%SZ").to_string(),
        // Outside years -9999 to 9999: no gateway accepts it, and none should.
        Err(_) => String::from("00000000T000000Z"),
    }
}

/// Pairs sorted by raw key and value, then encoded: the form that is signed and sent.
pub fn canonical_query(pairs: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort();
    let encoded: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    encoded.join("&")
}

/// One path segment or query part, percent-encoded as the signature demands.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Decoded, encoded segment by segment, and closed with a slash that is never sent.
fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut canonical = decoded.split('/').map(encode).collect::<Vec<_>>().join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

fn sorted_headers<'a>(headers: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
    let mut headers: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    headers.sort();
    headers
}

fn hmac_hex(secret_key: &str, message: &str) -> String {
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes())
        .expect("HMAC takes a key of any length");
    hmac.update(message.as_bytes());
    hex::encode(hmac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../tests/fixtures/signing-vectors.json");

    fn text<'a>(value: &'a Value, key: &str) -> &'a str {
        value[key].as_str().unwrap_or_default()
    }

    fn scalar(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The vector's query, a list expanded to one pair per element.
    fn query(vector: &Value) -> Vec<(String, String)> {
        let pairs = vector["query"].as_array().into_iter().flatten();
        pairs
            .flat_map(|pair| {
                let key = scalar(&pair[0]);
                let values = match &pair[1] {
                    Value::Array(list) => list.iter().map(scalar).collect(),
                    single => vec![scalar(single)],
                };
                values.into_iter().map(move |value| (key.clone(), value))
            })
            .collect()
    }

    fn body(vector: &Value) -> Vec<u8> {
        match vector["body_b64"].as_str() {
            Some(encoded) => decode_base64(encoded),
            None => text(vector, "body").as_bytes().to_vec(),
        }
    }

    fn decode_base64(encoded: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
        for byte in encoded.bytes().filter(|byte| *byte != b'=') {
            let digit = ALPHABET.iter().position(|letter| *letter == byte).unwrap();
            bits = bits << 6 | u32::try_from(digit).unwrap();
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
            }
        }
        bytes
    }

    #[test]
    fn every_vector_of_our_algorithm_is_met() {
        let file: Value = serde_json::from_str(VECTORS).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        let ours = vectors.iter().filter(|vector| text(vector, "algorithm") == ALGORITHM);
        let mut met = 0;
        for vector in ours {
            let (name, output) = (text(vector, "name"), &vector["output"]);
            let sent = output["sent_headers"].as_object().unwrap();
            let headers: Vec<_> =
                sent.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
            let query = query(vector);
            let signed = sign(
                &Signable {
                    method: text(vector, "method"),
                    path: text(vector, "resource_path"),
                    query: &query,
                    headers: &headers,
                    body: &body(vector),
                },
                text(vector, "sk"),
            );
            assert_eq!(signed.canonical_request, text(output, "canonical_request"), "{name}");
            assert_eq!(signed.string_to_sign, text(output, "string_to_sign"), "{name}");
            assert_eq!(signed.signed_headers, text(output, "signed_headers"), "{name}");
            assert_eq!(signed.signature, text(output, "signature"), "{name}");
            let authorization = signed.authorization(text(vector, "ak"));
            assert_eq!(authorization, text(output, "authorization"), "{name}");
            let sent_query =
                text(output, "sent_uri").split_once('?').map_or("", |(_, query)| query);
            assert_eq!(canonical_query(&query), sent_query, "{name}");
            met += 1;
        }
        assert_eq!(met, 57);
    }

    #[test]
    fn the_date_is_utc_to_the_second() {
        assert_eq!(sdk_date(Wall(1_769_903_999_999)), "20260131T235959Z");
    }
}
