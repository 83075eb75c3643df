//! Where tokens and temporary keys come from: IAM, and the machine's metadata address.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::model::{AnswerNote, Millis, Wall, classify};

use super::request::{Authority, secret_value};
use super::transport::{BODY_MAX_BYTES, Received, Site, Transport, exchange};
use super::{WallClock, text, wire};

/// A token lives 24 hours, and no temporary key longer (API facts, sections 2.2 and 2.3).
const LIFE_MAX: Millis = Millis::from_hours(24);

/// The life of something that came without a readable end: the shortest that IAM gives.
const LIFE_UNTOLD: Millis = Millis::from_mins(15);

/// One exchange with the metadata address; the SDK allows 3 s to connect and 3 s to read.
const METADATA_TIMEOUT: Duration = Duration::from_secs(6);

/// The longest token that a header may carry; real ones have a few kB.
const TOKEN_MAX_BYTES: usize = 32 * 1024;

const METADATA_TTL: HeaderName = HeaderName::from_static("x-metadata-token-ttl-seconds");
const METADATA_TOKEN: HeaderName = HeaderName::from_static("x-metadata-token");
const METADATA_TTL_SECONDS: HeaderValue = HeaderValue::from_static("21600");

/// The text of the metadata address for a machine without an agency.
const NO_AGENCY: &str = "Please configure Cloud Service Agency first";

/// Something fresh to ask with.
#[derive(Debug)]
pub struct Issued {
    pub authority: Authority,
    pub life: Millis,
}

/// Nothing fresh came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueError {
    /// No answer, or none that tells anything of the credential: try again with backoff.
    Unavailable(AnswerNote),
    /// The credential itself is wrong: never try again by itself (API facts, section 5.3).
    Refused(AnswerNote),
    /// Right, but without permission for this project, or the project does not exist.
    Forbidden(AnswerNote),
}

impl IssueError {
    pub fn into_note(self) -> AnswerNote {
        match self {
            IssueError::Unavailable(note)
            | IssueError::Refused(note)
            | IssueError::Forbidden(note) => note,
        }
    }
}

/// One project's way to its issuer.
#[derive(Clone, Copy)]
pub struct Issuer<'a> {
    pub transport: &'a Transport,
    pub clock: &'a dyn WallClock,
    pub iam: &'a Site,
    /// Only for an agency.
    pub metadata: Option<&'a Site>,
    pub project_id: &'a Arc<str>,
    /// One whole exchange with IAM.
    pub timeout: Duration,
}

impl Issuer<'_> {
    /// An IAM token for this project (API facts, section 2.2).
    pub async fn password_token(
        &self,
        domain: &str,
        user: &str,
        password: &SecretString,
    ) -> Result<Issued, IssueError> {
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "domain": {"name": domain}, "name": user, "password": password.expose_secret(),
            }}},
            "scope": {"project": {"id": &**self.project_id}},
        }});
        let path = "/v3/auth/tokens?nocatalog=true";
        let mut request = request(Method::POST, self.iam, path, self.timeout)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.to_string().into());
        let secrets = std::slice::from_ref(password);
        let answer = self.ask(self.transport.reads(self.iam), request, secrets).await?;
        let failure = || note(&answer, secrets);
        match answer.status {
            200 | 201 => {}
            403 | 404 => return Err(IssueError::Forbidden(failure())),
            // 408 and 429 tell nothing of the password.
            408 | 429 => return Err(IssueError::Unavailable(failure())),
            400..=499 => return Err(IssueError::Refused(failure())),
            _ => return Err(IssueError::Unavailable(failure())),
        }
        let token = answer
            .header("x-subject-token")
            .filter(|token| !token.is_empty() && token.len() <= TOKEN_MAX_BYTES)
            .ok_or_else(|| unavailable("the answer of IAM holds no token"))?;
        let told: Option<Value> =
            answer.body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok());
        let expires = told.as_ref().and_then(|told| told["token"]["expires_at"].as_str());
        Ok(Issued { authority: Authority::Token(token.into()), life: self.life(&answer, expires)? })
    }

    /// The temporary keys of the machine's agency (API facts, section 2.3).
    pub async fn agency_keys(&self) -> Result<Issued, IssueError> {
        let mut answer = self.security_key(None).await?;
        if answer.status == 401 && !says_no_agency(&answer) {
            let token = self.metadata_token().await?;
            answer = self.security_key(Some(token)).await?;
        }
        match answer.status {
            200 => {}
            401 | 403 | 404 => return Err(IssueError::Refused(note(&answer, &[]))),
            _ => return Err(IssueError::Unavailable(note(&answer, &[]))),
        }
        let told: Value = match &answer.body {
            Ok(body) => serde_json::from_slice(body)
                .map_err(|_| unavailable("the metadata address sent no JSON"))?,
            Err(reason) => return Err(unavailable(reason)),
        };
        let keys = ["credential", "credentials"]
            .into_iter()
            .find_map(|field| told.get(field))
            .ok_or_else(|| unavailable("the metadata address sent no keys"))?;
        let (authority, expires) = keys_in(keys)
            .ok_or_else(|| unavailable("the metadata address sent incomplete keys"))?;
        Ok(Issued { authority, life: self.life(&answer, expires)? })
    }

    async fn security_key(&self, token: Option<HeaderValue>) -> Result<Received, IssueError> {
        let site = self.metadata()?;
        let mut request =
            request(Method::GET, site, "/openstack/latest/securitykey", METADATA_TIMEOUT)?;
        if let Some(token) = token {
            request.headers_mut().insert(METADATA_TOKEN, token);
        }
        self.ask(self.transport.reads(site), request, &[]).await
    }

    /// Hosts without a token mode answer 404, 405 or 503; then the 401 before stays unexplained.
    async fn metadata_token(&self) -> Result<HeaderValue, IssueError> {
        let site = self.metadata()?;
        let path = "/meta-data/latest/api/token";
        let mut request = request(Method::PUT, site, path, METADATA_TIMEOUT)?;
        request.headers_mut().insert(METADATA_TTL, METADATA_TTL_SECONDS);
        let answer = self.ask(self.transport.reads(site), request, &[]).await?;
        if answer.status != 200 {
            return Err(IssueError::Unavailable(note(&answer, &[])));
        }
        let token = answer.body.as_ref().ok().and_then(|body| std::str::from_utf8(body).ok());
        token
            .map(str::trim)
            .filter(|token| !token.is_empty() && token.len() <= TOKEN_MAX_BYTES)
            .and_then(|token| secret_value(token).ok())
            .ok_or_else(|| unavailable("the metadata address sent no token"))
    }

    fn metadata(&self) -> Result<&Site, IssueError> {
        self.metadata.ok_or_else(|| unavailable("no metadata address"))
    }

    async fn ask(
        &self,
        client: &Client,
        request: Request,
        secrets: &[SecretString],
    ) -> Result<Received, IssueError> {
        exchange(client, request, BODY_MAX_BYTES)
            .await
            .map_err(|reason| unavailable(&text::masked(&reason, secrets)))
    }

    /// Measured on the issuer's clock, which need not agree with ours.
    fn life(&self, answer: &Received, expires: Option<&str>) -> Result<Millis, IssueError> {
        let Some(expires) = expires.and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
            return Ok(LIFE_UNTOLD);
        };
        let issued = answer.header("date").and_then(classify::http_date);
        let life = Wall(expires.as_millisecond()) - issued.unwrap_or_else(|| self.clock.now());
        match life > Millis::ZERO {
            true => Ok(life.min(LIFE_MAX)),
            false => Err(unavailable("what was issued is already over")),
        }
    }
}

fn request(
    method: Method,
    site: &Site,
    path: &str,
    timeout: Duration,
) -> Result<Request, IssueError> {
    let address = Url::parse(&format!("{}{path}", site.base))
        .map_err(|_| unavailable("the issuer's address is not usable"))?;
    let mut request = Request::new(method, address);
    *request.timeout_mut() = Some(timeout);
    Ok(request)
}

/// Every spelling that the official SDK accepts.
fn keys_in(keys: &Value) -> Option<(Authority, Option<&str>)> {
    let field = |spellings: [&str; 3]| {
        let told = spellings.into_iter().find_map(|name| keys.get(name)?.as_str());
        told.filter(|text| !text.is_empty())
    };
    let authority = Authority::Key {
        access_key: field(["access", "accessKeyId", "access_key_id"])?.into(),
        secret_key: field(["secret", "secretAccessKey", "secret_access_key"])?.into(),
        security_token: Some(field(["securitytoken", "securityToken", "security_token"])?.into()),
    };
    Some((authority, field(["expires_at", "expiration", "expiresAt"])))
}

fn says_no_agency(answer: &Received) -> bool {
    answer.body.as_ref().is_ok_and(|body| String::from_utf8_lossy(body).contains(NO_AGENCY))
}

fn note(answer: &Received, secrets: &[SecretString]) -> AnswerNote {
    let told = answer.body.as_ref().ok().and_then(|body| wire::error_body(body).ok());
    let told = told.unwrap_or_default();
    let message = told.message.unwrap_or_else(|| "no reason given".into());
    AnswerNote {
        status: Some(answer.status),
        code: told.code.map(|code| classify::normal_code(&text::masked(&code, secrets))),
        message: Some(text::message(&format!("credential not issued: {message}"), secrets)),
        request_id: answer.header("x-iam-trace-id").map(|id| text::request_id(id, secrets)),
        retry_after: None,
    }
}

fn unavailable(reason: &str) -> IssueError {
    let message = text::message(&format!("credential not issued: {reason}"), &[]);
    IssueError::Unavailable(AnswerNote { message: Some(message), ..AnswerNote::default() })
}
