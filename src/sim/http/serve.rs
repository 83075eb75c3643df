//! One request: who calls, what the world says, the line in the log, the answer.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, Response, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::iam::{self, IamAnswer};
use super::route::{NoRoute, Query, Route};
use super::shape::{Answer, Dropped, SimBody, shape};
use super::signature::{Authorization, Flaw, Signed, verify};
use super::wire::Orders;
use super::{Inner, Shared, render};
use crate::model::{Millis, UpgradeBody, Wall};
use crate::sim::log::RequestLine;
use crate::sim::world::knobs::MetadataToken;
use crate::sim::world::{
    Ask, Bearer, CallKind, Content, Decision, ErrorBody, KeyRefusal, RetryAfter, Step,
    TokenRefusal, WorldReply,
};

/// Nothing that the cloud understands is longer.
const BODY_MAX_BYTES: usize = 1 << 20;

/// Longest life of a metadata token that is granted, in seconds.
const METADATA_TOKEN_SECONDS_MAX: i64 = 21_600;

/// A request, read whole.
struct Heard {
    method: Arc<str>,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Who the caller proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Caller {
    Key(Arc<str>),
    Token,
}

/// What was decided, before it takes its shape.
struct Decided {
    decision: Decision,
    status: u16,
    code: Option<Arc<str>>,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
    latency: Millis,
    applied: bool,
    task: Option<crate::model::TaskId>,
    credential: Option<Arc<str>>,
}

/// Answers one request of connection `connection`.
pub(super) async fn serve(
    shared: Arc<Shared>,
    connection: u64,
    orders: Orders,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, Dropped> {
    let heard = read(request).await?;
    let route = Route::find(&heard.method, &heard.path, &heard.query);
    let signature = check_signature(&shared, &heard);
    let (decided, request_id) = {
        let mut inner = shared.inner();
        let decided = inner.decide(&shared, &heard, &route, signature);
        let number = inner.log_request(&shared, connection, &heard, &route, &decided);
        (decided, format!("{number:032x}"))
    };
    if decided.latency > Millis::ZERO {
        tokio::time::sleep(decided.latency.to_std()).await;
    }
    let headers = headers(&shared, &decided, &request_id);
    let mut body = decided.body;
    if let Some(Value::Object(fields)) = &mut body
        && let Some(id) = fields.get_mut("request_id")
    {
        *id = json!(request_id);
    }
    let answer = Answer { decision: decided.decision, status: decided.status, headers, body };
    shape(answer, &orders)
}

async fn read(request: Request<Incoming>) -> Result<Heard, Dropped> {
    let (head, body) = request.into_parts();
    // A caller that leaves while it sends was never understood.
    let body = Limited::new(body, BODY_MAX_BYTES).collect().await.map_err(|_| Dropped)?;
    Ok(Heard {
        method: head.method.as_str().into(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    })
}

fn headers(shared: &Shared, decided: &Decided, request_id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    add(HeaderName::from_static("x-request-id"), request_id);
    add(header::DATE, &render::http_date(shared.cloud_time()));
    for (name, value) in &decided.headers {
        add(HeaderName::from_static(name), value);
    }
    headers
}

/// The result of looking at a signature, before anything is counted.
enum Signature {
    /// No `Authorization` at all.
    None,
    /// Not a key that can be checked.
    Refused {
        access: Arc<str>,
        why: KeyRefusal,
    },
    Checked {
        access: Arc<str>,
        result: Result<(), &'static str>,
    },
    Malformed,
}

/// Checks a signature outside the world's lock: it is most of a request's work.
fn check_signature(shared: &Shared, heard: &Heard) -> Signature {
    let Some(value) = heard.headers.get(header::AUTHORIZATION) else { return Signature::None };
    let authorization = value.to_str().ok().and_then(Authorization::parse);
    let Some(authorization) = authorization else { return Signature::Malformed };
    let access: Arc<str> = authorization.access.into();
    let now = shared.cloud_time();
    let bearer = shared.inner().world.access().bearer(now, &access);
    let bearer = match bearer {
        Ok(bearer) => bearer,
        Err(why) => return Signature::Refused { access, why },
    };
    let signed = Signed {
        method: &heard.method,
        path: &heard.path,
        query: &heard.query,
        headers: &heard.headers,
        body: &heard.body,
    };
    let result = match verify(now, &signed, &authorization, &bearer.secret) {
        Ok(()) => check_security_token(&bearer, &heard.headers),
        Err(Flaw::Date) => Err("verify aksk signature fail: signature expired"),
        Err(Flaw::Headers) => Err("verify aksk signature fail: signed headers"),
        Err(Flaw::Signature) => Err("verify aksk signature fail"),
    };
    Signature::Checked { access, result }
}

fn check_security_token(bearer: &Bearer, headers: &HeaderMap) -> Result<(), &'static str> {
    let sent = headers.get("x-security-token").map(HeaderValue::as_bytes);
    let wanted = bearer.security_token.as_ref().map(|token| token.as_bytes());
    if sent == wanted { Ok(()) } else { Err("decrypt token fail") }
}

/// An authentication that failed: 401 APIGW.0301 with its text, or another code.
fn unauthenticated(code: &str, message: &str, credential: Option<Arc<str>>) -> Decided {
    let error = ErrorBody::new(code, message);
    Decided { credential, ..Decided::error(401, &error) }
}

impl Decided {
    fn error(status: u16, error: &ErrorBody) -> Decided {
        Decided {
            decision: Decision::Rejected,
            status,
            code: Some(error.code.clone()),
            body: Some(render::error(error, "")),
            headers: Vec::new(),
            latency: Millis::ZERO,
            applied: false,
            task: None,
            credential: None,
        }
    }

    fn of_world(reply: WorldReply, inner: &Inner) -> Decided {
        let code = reply.error.as_ref().map(|error| error.code.clone());
        let body = match &reply.error {
            Some(error) => Some(render::error(error, "")),
            None => render::content(&reply.content, inner.world.knobs().types),
        };
        let retry_after = reply.retry_after.as_ref().map(|retry_after| match retry_after {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Date(at) => render::http_date(*at),
            RetryAfter::Text(text) => text.to_string(),
        });
        // A deleted record is told in words; an empty backup list by the status alone.
        let body = match (&reply.content, reply.status) {
            (Content::Nothing, 200) if body.is_none() => Some(json!({ "message": "success" })),
            _ => body,
        };
        Decided {
            decision: reply.decision,
            status: reply.status,
            code,
            body,
            headers: retry_after.map(|text| ("retry-after", text)).into_iter().collect(),
            latency: reply.latency,
            applied: reply.applied,
            task: reply.task,
            credential: None,
        }
    }

    fn of_iam(answer: IamAnswer, step: &Step) -> Decided {
        let mut decided = Decided {
            decision: step.decision,
            status: answer.status,
            code: None,
            body: Some(answer.body),
            headers: Vec::new(),
            latency: step.delay.map_or(Millis::ZERO, |delay| delay.0),
            applied: false,
            task: None,
            credential: answer.user.map(Arc::from),
        };
        if answer.status >= 400 && step.decision == Decision::Ok {
            decided.decision = Decision::Rejected;
        }
        if let Some(token) = answer.token {
            decided.headers.push(("x-subject-token", token));
        }
        decided
    }
}

impl Inner {
    fn decide(
        &mut self,
        shared: &Shared,
        heard: &Heard,
        route: &Result<Route, NoRoute>,
        signature: Signature,
    ) -> Decided {
        let now = shared.cloud_time();
        let route = match route {
            Ok(route) => route,
            Err(NoRoute::Unknown) => {
                let text = "The API does not exist or has not been published.";
                return Decided::error(404, &ErrorBody::new("APIGW.0101", text));
            }
            Err(NoRoute::WrongMethod) => {
                return Decided::error(405, &ErrorBody::new("DCS.5001", "Method not allowed."));
            }
            Err(NoRoute::BadParameter(name)) => {
                let text = format!("Invalid {name} parameter in the request.");
                return Decided::error(400, &ErrorBody::new("DCS.4063", text));
            }
        };
        match route {
            Route::Token => return self.token(now, heard),
            Route::SecurityKey | Route::MetadataToken => return self.metadata(now, heard, route),
            _ => {}
        }
        let caller = match self.authenticate(now, heard, route, signature) {
            Ok(caller) => caller,
            Err(refused) => return refused,
        };
        let credential = match &caller {
            Caller::Key(access) => Some(access.clone()),
            Caller::Token => Some("token".into()),
        };
        Decided { credential, ..self.answer(now, heard, route, &caller) }
    }

    fn answer(&mut self, now: Wall, heard: &Heard, route: &Route, caller: &Caller) -> Decided {
        match route {
            Route::Upgrade { project, instance } => {
                let body = match serde_json::from_slice::<UpgradeBody>(&heard.body) {
                    Ok(body) => body,
                    Err(_) if heard.body.is_empty() => UpgradeBody::default(),
                    Err(_) => {
                        let error = ErrorBody::new("DCS.4005", "The request body is not JSON.");
                        return Decided::error(400, &error);
                    }
                };
                let attempt = Agent::of(&heard.headers).attempt;
                let reply = self.world.upgrade(now, project, instance, &body, attempt.as_deref());
                Decided::of_world(reply, self)
            }
            Route::Ask { project, ask } => {
                let reply = self.world.ask(now, project, ask);
                Decided::of_world(reply, self)
            }
            Route::MaintainWindows => {
                // It belongs to no project; any will do.
                let first = self.world.projects().next().map(|row| row.id);
                let reply = self.world.ask(now, &first.unwrap_or_default(), &Ask::MaintainWindows);
                Decided::of_world(reply, self)
            }
            Route::Projects => self.projects(now, heard, caller),
            Route::Token | Route::SecurityKey | Route::MetadataToken => {
                unreachable!("these were answered without a caller")
            }
        }
    }

    fn authenticate(
        &mut self,
        now: Wall,
        heard: &Heard,
        route: &Route,
        signature: Signature,
    ) -> Result<Caller, Decided> {
        const PREFIX: &str = "Incorrect IAM authentication information: ";
        let project = route.project().map(|id| &**id);
        let refused = |text: &str, access: Arc<str>| {
            unauthenticated("APIGW.0301", &format!("{PREFIX}{text}"), Some(access))
        };
        match signature {
            Signature::None => self.check_token(now, heard, project),
            Signature::Malformed => Err(unauthenticated(
                "APIGW.0301",
                &format!("{PREFIX}verify aksk signature fail"),
                None,
            )),
            Signature::Refused { access, why } => {
                let text = match why {
                    KeyRefusal::Unknown => {
                        format!("Get secretKey failed,ak:{access},err:ak not exist")
                    }
                    KeyRefusal::Locked => "AK access failed to reach the limit,forbidden".into(),
                    KeyRefusal::Expired => "decrypt token fail".into(),
                };
                Err(refused(&text, access))
            }
            Signature::Checked { access, result: Err(text) } => {
                self.world.access().failed(now, &access);
                Err(refused(text, access))
            }
            Signature::Checked { access, result: Ok(()) } => {
                self.world.access().succeeded(&access);
                if project.is_some_and(|id| !self.world.access().opens(&access, id)) {
                    let text = "The project ID does not match the credential.";
                    return Err(unauthenticated("DCS.1004", text, Some(access)));
                }
                Ok(Caller::Key(access))
            }
        }
    }

    fn check_token(
        &mut self,
        now: Wall,
        heard: &Heard,
        project: Option<&str>,
    ) -> Result<Caller, Decided> {
        let refused =
            |code: &str, text: &str| Err(unauthenticated(code, text, Some("token".into())));
        let token = heard.headers.get("x-auth-token").and_then(|value| value.to_str().ok());
        let Some(token) = token else {
            let text = "Incorrect IAM authentication information: x-auth-token not found";
            return Err(unauthenticated("APIGW.0301", text, None));
        };
        match self.world.access().check_token(now, token, project) {
            Ok(()) => Ok(Caller::Token),
            Err(TokenRefusal::Expired) => refused("APIGW.0307", "The token must be updated."),
            Err(TokenRefusal::OtherProject | TokenRefusal::NoProject) => {
                refused("DCS.1004", "The project ID does not match the token.")
            }
            Err(TokenRefusal::Unknown | TokenRefusal::WrongPassword) => refused(
                "APIGW.0301",
                "Incorrect IAM authentication information: decrypt token fail",
            ),
        }
    }

    fn token(&mut self, now: Wall, heard: &Heard) -> Decided {
        let step = self.world.decide_outside(now, CallKind::Token);
        if let Some(faulted) = fault_of_iam(&step) {
            return Decided::of_iam(faulted, &step);
        }
        let answer = match iam::parse_token_request(&heard.body) {
            None => IamAnswer::error(400, "The request body is invalid."),
            Some((user, scope)) => {
                let issued = self.world.access().issue_token(now, &user, &scope);
                iam::token(&user, issued)
            }
        };
        Decided::of_iam(answer, &step)
    }

    fn projects(&mut self, now: Wall, heard: &Heard, caller: &Caller) -> Decided {
        let step = self.world.decide_outside(now, CallKind::Projects);
        if let Some(faulted) = fault_of_iam(&step) {
            return Decided::of_iam(faulted, &step);
        }
        let mut rows: Vec<_> = self.world.projects().collect();
        if let Caller::Key(access) = caller {
            rows.retain(|row| self.world.access().opens(access, &row.id));
        }
        Decided::of_iam(iam::projects(rows.into_iter(), &Query::parse(&heard.query)), &step)
    }

    fn metadata(&mut self, now: Wall, heard: &Heard, route: &Route) -> Decided {
        let step = self.world.decide_outside(now, CallKind::Metadata);
        if let Some(faulted) = fault_of_iam(&step) {
            return Decided::of_iam(faulted, &step);
        }
        let required = self.world.knobs().metadata_token == MetadataToken::Required;
        let header = |name: &str| heard.headers.get(name).and_then(|value| value.to_str().ok());
        let answer = match route {
            Route::MetadataToken if !required => IamAnswer::error(404, "Not Found"),
            Route::MetadataToken => {
                let seconds = header("x-metadata-token-ttl-seconds").and_then(|it| it.parse().ok());
                match seconds.filter(|seconds| (1..=METADATA_TOKEN_SECONDS_MAX).contains(seconds)) {
                    None => IamAnswer::error(400, "X-Metadata-Token-Ttl-Seconds is invalid"),
                    Some(seconds) => {
                        let token = format!("metadata-{:08}", self.metadata_tokens.len() + 1);
                        let expires_at = now + Millis::from_secs(seconds);
                        self.metadata_tokens.insert(token.clone(), expires_at);
                        IamAnswer::new(200, json!(token))
                    }
                }
            }
            _ => {
                let known = header("x-metadata-token").and_then(|it| self.metadata_tokens.get(it));
                if required && known.is_none_or(|expires_at| now >= *expires_at) {
                    IamAnswer::error(401, "X-Metadata-Token is missing or invalid")
                } else {
                    iam::security_key(self.world.access().issue_agency_keys(now))
                }
            }
        };
        Decided::of_iam(answer, &step)
    }

    /// Writes what happened by itself, then the request; returns the request's number.
    fn log_request(
        &mut self,
        shared: &Shared,
        connection: u64,
        heard: &Heard,
        route: &Result<Route, NoRoute>,
        decided: &Decided,
    ) -> u64 {
        let agent = Agent::of(&heard.headers);
        let path = match heard.query.as_str() {
            "" => heard.path.clone(),
            query => format!("{}?{query}", heard.path),
        };
        let digest = || hex::encode(Sha256::digest(&heard.body)).into();
        let dropped =
            matches!(decided.decision, Decision::DropBeforeApply | Decision::ApplyThenDrop);
        let route = route.as_ref().ok();
        let line = RequestLine {
            seq: 0,
            t_mono_ns: shared.mono_ns(),
            t_wall: shared.wall(),
            daemon: agent.daemon,
            conn: connection,
            method: heard.method.clone(),
            path: path.into(),
            call: route.map(Route::call),
            project: route.and_then(|route| route.project().cloned()),
            instance: route.and_then(|route| route.instance().cloned()),
            attempt: agent.attempt,
            credential: decided.credential.clone(),
            body_sha256: (!heard.body.is_empty()).then(digest),
            decision: decided.decision,
            applied: decided.applied,
            status: (!dropped).then_some(decided.status),
            code: decided.code.clone(),
            task_id: decided.task.clone(),
            latency_ms: decided.latency,
        };
        self.log_changes(shared);
        self.requests += 1;
        self.log.request(line);
        self.requests
    }
}

/// The answer of a step by which IAM never gets to see the call.
fn fault_of_iam(step: &Step) -> Option<IamAnswer> {
    if step.applies() && step.decision != Decision::ApplyThen500 {
        return None;
    }
    let status = step.status.unwrap_or(match step.decision {
        Decision::Throttled => 429,
        Decision::Unauthorized | Decision::TokenExpired => 401,
        Decision::Forbidden => 403,
        Decision::Absent => 404,
        Decision::Redirect => 307,
        Decision::Rejected => 400,
        _ => 500,
    });
    let message = step.message.as_deref().unwrap_or("The service is temporarily unavailable.");
    Some(IamAnswer::error(status, message))
}

/// What a caller says of itself: `refit/VERSION (attempt=ID; daemon=ID)`.
struct Agent {
    attempt: Option<Arc<str>>,
    daemon: Option<Arc<str>>,
}

impl Agent {
    fn of(headers: &HeaderMap) -> Agent {
        let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let inside = text.and_then(|text| text.split_once('(')?.1.strip_suffix(')'));
        let field = |name: &str| {
            let mut fields = inside?.split(';').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).map(Arc::from)
        };
        Agent { attempt: field("attempt"), daemon: field("daemon") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(text: &str) -> (Option<Arc<str>>, Option<Arc<str>>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_str(text).unwrap());
        let Agent { attempt, daemon } = Agent::of(&headers);
        (attempt, daemon)
    }

    #[test]
    fn the_caller_names_its_attempt_and_itself() {
        let both = agent("refit/0.1.0 (attempt=weekly/north/abc/1.2; daemon=d7)");
        assert_eq!(both, (Some("weekly/north/abc/1.2".into()), Some("d7".into())));
        assert_eq!(agent("refit/0.1.0 (daemon=d7)"), (None, Some("d7".into())));
        assert_eq!(agent("huaweicloud-usdk-python/3.0"), (None, None));
    }
}
