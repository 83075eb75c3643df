//! Requests as they leave: path, query, body, and what proves who asks.

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue,
};
use reqwest::{Method, Request, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::model::call::{INSTANCE_TASK_ROWS, PAGE_ROWS};
use crate::model::{InstanceId, ReadCall, UpgradeBody, Wall};

use super::signing::{self, Signable};
use super::transport::{BODY_MAX_BYTES, PAGE_MAX_BYTES, Site};
use super::wire;

const JSON: &str = "application/json";
const SDK_DATE: HeaderName = HeaderName::from_static("x-sdk-date");
const PROJECT_ID: HeaderName = HeaderName::from_static("x-project-id");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-security-token");
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// One call, not yet signed.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Bytes,
    /// How much of the answer's body is taken in.
    pub body_max: usize,
}

/// What proves who asks.
#[derive(Debug, Clone)]
pub enum Authority {
    /// Signs (API facts, section 2.1).
    Key { access_key: SecretString, secret_key: SecretString, security_token: Option<SecretString> },
    /// Is sent (API facts, section 2.2).
    Token(SecretString),
}

impl Authority {
    pub fn secrets(&self) -> Vec<SecretString> {
        match self {
            Authority::Token(token) => vec![token.clone()],
            Authority::Key { access_key, secret_key, security_token } => {
                let mut secrets = vec![access_key.clone(), secret_key.clone()];
                secrets.extend(security_token.clone());
                secrets
            }
        }
    }
}

/// There is no such call.
#[derive(Debug, thiserror::Error)]
pub enum BadCall {
    /// It would mean another call.
    #[error("the instance id is not usable in a path")]
    Path,
    /// What the cloud does with an empty object is unknown (API facts, section 3.4; rule S10).
    #[error("the upgrade moves nothing")]
    EmptyBody,
}

/// The request cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Unsendable {
    /// Says nothing of the value, which is secret.
    #[error("the credential is not usable in a header")]
    Credential,
    #[error("the address is not usable")]
    Address,
}

/// A header value came out of something that is configured, and in all likelihood secret.
impl From<InvalidHeaderValue> for Unsendable {
    fn from(_: InvalidHeaderValue) -> Unsendable {
        Unsendable::Credential
    }
}

/// One read of DCS.
pub fn read(project_id: &str, call: &ReadCall) -> Result<Call, BadCall> {
    let project = format!("/v2/{project_id}");
    let (path, query, body_max) = match call {
        ReadCall::InventoryPage { offset } => {
            (format!("{project}/instances"), page(PAGE_ROWS, *offset), PAGE_MAX_BYTES)
        }
        ReadCall::Instance { instance } => (of(&project, instance, "")?, vec![], BODY_MAX_BYTES),
        ReadCall::Versions { instance } => {
            (of(&project, instance, "/version")?, vec![], BODY_MAX_BYTES)
        }
        ReadCall::InstanceTasks { instance, since, offset } => {
            let query = since_page(*since, INSTANCE_TASK_ROWS, *offset);
            (of(&project, instance, "/tasks")?, query, PAGE_MAX_BYTES)
        }
        ReadCall::TaskCentre { since, offset } => {
            (format!("{project}/tasks"), since_page(*since, PAGE_ROWS, *offset), PAGE_MAX_BYTES)
        }
    };
    Ok(Call { method: Method::GET, path, query, body: Bytes::new(), body_max })
}

/// The upgrade (API facts, section 3.4).
pub fn upgrade(
    project_id: &str,
    instance: &InstanceId,
    body: &UpgradeBody,
) -> Result<Call, BadCall> {
    if body.is_empty() {
        return Err(BadCall::EmptyBody);
    }
    Ok(Call {
        method: Method::POST,
        path: of(&format!("/v2/{project_id}"), instance, "/minor-version/upgrade")?,
        query: vec![],
        body: body.to_json().into(),
        body_max: BODY_MAX_BYTES,
    })
}

/// Where a call goes, and for which project of the cloud.
#[derive(Debug, Clone, Copy)]
pub struct Addressee<'a> {
    pub site: &'a Site,
    pub project_id: &'a str,
}

/// Puts a call together for sending at once: a signature dates from `now`.
///
/// Signed are only `Host`, `X-Sdk-Date`, `Content-Type`, `X-Project-Id` and `X-Security-Token`: a
/// proxy that rewrites any other header must not break the signature.
pub fn authorized(
    call: Call,
    to: Addressee<'_>,
    authority: &Authority,
    now: Wall,
) -> Result<Request, Unsendable> {
    let Addressee { site, project_id } = to;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    match authority {
        Authority::Token(token) => {
            headers.insert(AUTH_TOKEN, secret_value(token.expose_secret())?);
        }
        Authority::Key { access_key, secret_key, security_token } => {
            let security_token = security_token.as_ref().map(ExposeSecret::expose_secret);
            let date = signing::sdk_date(now);
            let mut signed = vec![
                ("Host", &*site.host),
                ("X-Sdk-Date", &date),
                ("Content-Type", JSON),
                ("X-Project-Id", project_id),
            ];
            signed.extend(security_token.map(|token| ("X-Security-Token", token)));
            let signature = signature(&call, site, &signed, secret_key);
            let authorization = signature.authorization(access_key.expose_secret());
            headers.insert(SDK_DATE, HeaderValue::from_str(&date)?);
            headers.insert(PROJECT_ID, HeaderValue::from_str(project_id)?);
            headers.insert(AUTHORIZATION, secret_value(&authorization)?);
            if let Some(token) = security_token {
                headers.insert(SECURITY_TOKEN, secret_value(token)?);
            }
        }
    }
    let mut request = Request::new(call.method.clone(), address(&call, site)?);
    *request.headers_mut() = headers;
    if !call.body.is_empty() {
        *request.body_mut() = Some(call.body.into());
    }
    Ok(request)
}

/// A header value that no `Debug` prints.
pub fn secret_value(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The User-Agent of one attempt: it joins the cloud's log to our intents (rules S1 to S3), and is
/// not signed.
pub fn attempt_agent(attempt: &str, daemon: &str) -> String {
    format!("{} (attempt={}; daemon={})", product(), plain(attempt), plain(daemon))
}

/// The User-Agent of everything else.
pub fn daemon_agent(daemon: &str) -> String {
    format!("{} (daemon={})", product(), plain(daemon))
}

fn product() -> &'static str {
    concat!("refit/", env!("CARGO_PKG_VERSION"))
}

/// Percent-encodes what would end the comment or the header.
fn plain(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"();\\%".contains(&byte);
    text.bytes()
        .map(|byte| match is_plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

fn signature(
    call: &Call,
    site: &Site,
    headers: &[(&str, &str)],
    secret_key: &SecretString,
) -> signing::Signature {
    let path = format!("{}{}", site.prefix, call.path);
    let request = Signable {
        method: call.method.as_str(),
        path: &path,
        query: &call.query,
        headers,
        body: &call.body,
    };
    signing::sign(&request, secret_key.expose_secret())
}

fn address(call: &Call, site: &Site) -> Result<Url, Unsendable> {
    let mut address = format!("{}{}", site.base, call.path);
    if !call.query.is_empty() {
        address = format!("{address}?{}", signing::canonical_query(&call.query));
    }
    Url::parse(&address).map_err(|_| Unsendable::Address)
}

fn of(project: &str, instance: &InstanceId, call: &str) -> Result<String, BadCall> {
    match wire::is_path_id(instance.as_str()) {
        true => Ok(format!("{project}/instances/{instance}{call}")),
        false => Err(BadCall::Path),
    }
}

fn page(limit: usize, offset: usize) -> Vec<(String, String)> {
    vec![("limit".into(), limit.to_string()), ("offset".into(), offset.to_string())]
}

/// `start_time` is `yyyyMMddHHmmss` in UTC, of the cloud's clock (API facts, section 4.4).
fn since_page(since: Wall, limit: usize, offset: usize) -> Vec<(String, String)> {
    let start = Timestamp::from_millisecond(since.0.max(0)).unwrap_or(Timestamp::MAX);
    let mut query = page(limit, offset);
    query.push(("start_time".into(), start.strftime("%Y%m%d%H%M%S").to_string()));
    query
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::cloud::transport::Plain;

    const PROJECT: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn reads_ask_for_what_the_facts_say() {
        let since = Wall(1_769_903_999_999);
        let instance = InstanceId::from("c830053e-d5a3");
        let rows = [
            (ReadCall::InventoryPage { offset: 2_000 }, "/instances?limit=1000&offset=2000"),
            (ReadCall::Instance { instance: instance.clone() }, "/instances/c830053e-d5a3"),
            (ReadCall::Versions { instance: instance.clone() }, "/instances/c830053e-d5a3/version"),
            (
                ReadCall::InstanceTasks { instance, since, offset: 0 },
                "/instances/c830053e-d5a3/tasks?limit=100&offset=0&start_time=20260131235959",
            ),
            (
                ReadCall::TaskCentre { since, offset: 0 },
                "/tasks?limit=1000&offset=0&start_time=20260131235959",
            ),
        ];
        let site = Site::new("http://127.0.0.1:8", Plain::Loopback, None, None).unwrap();
        for (call, expected) in rows {
            let call = read(PROJECT, &call).unwrap();
            let address = address(&call, &site).unwrap();
            assert_eq!(address.as_str(), format!("http://127.0.0.1:8/v2/{PROJECT}{expected}"));
        }
    }

    #[test]
    fn an_id_that_would_lead_elsewhere_is_put_into_no_path() {
        for id in ["", "..", "a/b", "a%2Fb", "a?b", "a#b", "é", &"a".repeat(200)] {
            assert!(read(PROJECT, &ReadCall::Instance { instance: id.into() }).is_err(), "{id}");
            let body = UpgradeBody { engine: Some("latest".into()), proxy: None };
            assert!(upgrade(PROJECT, &id.into(), &body).is_err(), "{id}");
        }
    }

    #[test]
    fn an_empty_upgrade_is_no_call() {
        assert!(upgrade(PROJECT, &"c830053e".into(), &UpgradeBody::default()).is_err());
    }

    #[test]
    fn requests_are_signed_as_the_official_sdk_signs_them() {
        let file: Value = serde_json::from_str(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/signing-vectors.json"
        )))
        .unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        let mut met = 0;
        for vector in vectors {
            let name = vector["name"].as_str().unwrap();
            let field = |field: &str| vector[field].as_str();
            let path = field("resource_path").unwrap().to_owned();
            let instance = path.split('/').nth(4).unwrap_or_default();
            let call = match name {
                "dcs_list_instances_page1" => {
                    read(PROJECT, &ReadCall::InventoryPage { offset: 0 }).unwrap()
                }
                "dcs_show_version" => {
                    read(PROJECT, &ReadCall::Versions { instance: instance.into() }).unwrap()
                }
                "dcs_show_instance" => {
                    read(PROJECT, &ReadCall::Instance { instance: instance.into() }).unwrap()
                }
                "dcs_center_tasks" => {
                    let since = Wall(1_769_817_600_000);
                    read(PROJECT, &ReadCall::TaskCentre { since, offset: 0 }).unwrap()
                }
                _ => continue,
            };
            let base = format!("https://{}", field("host").unwrap());
            let site = Site::new(&base, Plain::Loopback, None, None).unwrap();
            let authority = Authority::Key {
                access_key: field("ak").unwrap().into(),
                secret_key: field("sk").unwrap().into(),
                security_token: field("security_token").map(Into::into),
            };
            let to = Addressee { site: &site, project_id: PROJECT };
            let request = authorized(call, to, &authority, Wall(1_769_903_999_000)).unwrap();
            let sent = request.headers()[AUTHORIZATION].to_str().unwrap();
            assert_eq!(Some(sent), vector["output"]["authorization"].as_str(), "{name}");
            met += 1;
        }
        assert_eq!(met, 4);
    }

    #[test]
    fn no_debug_shows_what_authorizes() {
        let secret = "canary-0123456789";
        let site = Site::new("http://127.0.0.1:8", Plain::Loopback, None, None).unwrap();
        for authority in [
            Authority::Token(secret.into()),
            Authority::Key {
                access_key: secret.into(),
                secret_key: secret.into(),
                security_token: Some(secret.into()),
            },
        ] {
            let call = read(PROJECT, &ReadCall::InventoryPage { offset: 0 }).unwrap();
            let to = Addressee { site: &site, project_id: PROJECT };
            let request = authorized(call, to, &authority, Wall(0)).unwrap();
            let shown = format!("{request:?} {authority:?} {:?}", request.headers());
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn the_agent_names_the_attempt_and_cannot_be_broken_out_of() {
        let agent = attempt_agent("weekly/sg-prod/c830053e/2.3", "d-1");
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!("refit/{version} (attempt=weekly/sg-prod/c830053e/2.3; daemon=d-1)");
        assert_eq!(agent, expected);
        assert!(daemon_agent("a)\r\nX: y").ends_with("(daemon=a%29%0D%0AX:%20y)"));
    }
}
