//! One request: who calls, what the world says, the line in the log, the answer.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, Response, header};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::caller::{Caller, Signature, check_signature};
use super::decided::Decided;
use super::heard::{Agent, Heard};
use super::iam::{self, IamAnswer};
use super::route::{NoRoute, Query, Route};
use super::shape::{Answer, Dropped, SimBody, shape};
use super::wire::Orders;
use super::{Inner, Shared, render};
use crate::model::{InstanceId, Millis, UpgradeBody, Wall};
use crate::sim::log::RequestLine;
use crate::sim::world::knobs::MetadataToken;
use crate::sim::world::{Ask, CallKind, Decision, ErrorBody, Step};

/// Longest life of a metadata token that is granted, in seconds.
const METADATA_TOKEN_SECONDS_MAX: i64 = 21_600;

/// Answers one request of connection `connection`.
pub(super) async fn serve(
    shared: Arc<Shared>,
    connection: u64,
    orders: Orders,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, Dropped> {
    let heard = Heard::read(request).await?;
    let route = Route::find(&heard.method, &heard.path, &heard.query);
    let signature = check_signature(&shared, &heard);
    let (decided, number) = {
        let mut inner = shared.inner();
        let decided = inner.decide(shared.cloud_time(), &heard, &route, signature);
        let number = inner.log_request(&shared, connection, &heard, &route, &decided);
        (decided, number)
    };
    if decided.latency > Millis::ZERO {
        tokio::time::sleep(decided.latency.to_std()).await;
    }
    let request_id = format!("{number:032x}");
    let headers = headers(&shared, &decided, &request_id);
    let Decided { decision, status, body, .. } = decided;
    let body = body.render(status, shared.types, &request_id);
    shape(Answer { decision, status, headers, body }, &orders)
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

impl Inner {
    fn decide(
        &mut self,
        now: Wall,
        heard: &Heard,
        route: &Result<Route, NoRoute>,
        signature: Signature,
    ) -> Decided {
        let route = match route {
            Ok(route) => route,
            Err(no_route) => return no_such_call(no_route),
        };
        match route {
            Route::Token => return self.token(now, heard),
            Route::SecurityKey => return self.security_key(now, heard),
            Route::MetadataToken => return self.metadata_token(now, heard),
            _ => {}
        }
        let project = route.project().map(|id| &**id);
        let caller = match self.authenticate(now, heard, project, signature) {
            Ok(caller) => caller,
            Err(refused) => return refused.into(),
        };
        let decided = match route {
            Route::Upgrade { project, instance } => self.upgrade(now, heard, project, instance),
            Route::Ask { project, ask } => Decided::of_world(self.world.ask(now, project, ask)),
            Route::MaintainWindows => {
                // It belongs to no project; any will do.
                let first = self.world.projects().next().map(|row| row.id);
                let project = first.unwrap_or_default();
                Decided::of_world(self.world.ask(now, &project, &Ask::MaintainWindows))
            }
            Route::Projects => self.projects(now, heard, &caller),
            Route::Token | Route::SecurityKey | Route::MetadataToken => {
                unreachable!("these were answered without a caller")
            }
        };
        Decided { credential: Some(caller.name().clone()), ..decided }
    }

    fn upgrade(
        &mut self,
        now: Wall,
        heard: &Heard,
        project: &str,
        instance: &InstanceId,
    ) -> Decided {
        let body = match serde_json::from_slice::<UpgradeBody>(&heard.body) {
            Ok(body) => body,
            Err(_) if heard.body.is_empty() => UpgradeBody::default(),
            Err(_) => {
                let error = ErrorBody::new("DCS.4005", "The request body is not JSON.");
                return Decided::refused(400, error);
            }
        };
        let attempt = Agent::of(&heard.headers).attempt;
        Decided::of_world(self.world.upgrade(now, project, instance, &body, attempt.as_deref()))
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

    fn metadata_token(&mut self, now: Wall, heard: &Heard) -> Decided {
        let step = self.world.decide_outside(now, CallKind::Metadata);
        if let Some(faulted) = fault_of_iam(&step) {
            return Decided::of_iam(faulted, &step);
        }
        if self.world.knobs().metadata_token == MetadataToken::Off {
            return Decided::of_iam(IamAnswer::error(404, "Not Found"), &step);
        }
        let seconds = heard.header("x-metadata-token-ttl-seconds").and_then(|it| it.parse().ok());
        let granted = seconds.filter(|it| (1..=METADATA_TOKEN_SECONDS_MAX).contains(it));
        let answer = match granted {
            None => IamAnswer::error(400, "X-Metadata-Token-Ttl-Seconds is invalid"),
            Some(seconds) => {
                let token = format!("metadata-{:08}", self.metadata_tokens.len() + 1);
                let expires_at = now + Millis::from_secs(seconds);
                self.metadata_tokens.insert(token.clone(), expires_at);
                // Plain text.
                IamAnswer::new(200, json!(token))
            }
        };
        Decided::of_iam(answer, &step)
    }

    fn security_key(&mut self, now: Wall, heard: &Heard) -> Decided {
        let step = self.world.decide_outside(now, CallKind::Metadata);
        if let Some(faulted) = fault_of_iam(&step) {
            return Decided::of_iam(faulted, &step);
        }
        let sent = heard.header("x-metadata-token").and_then(|it| self.metadata_tokens.get(it));
        let required = self.world.knobs().metadata_token == MetadataToken::Required;
        let answer = if required && sent.is_none_or(|expires_at| now >= *expires_at) {
            IamAnswer::error(401, "X-Metadata-Token is missing or invalid")
        } else {
            iam::security_key(self.world.access().issue_agency_keys(now))
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
            path: heard.target(),
            call: route.map(Route::call),
            project: route.and_then(|route| route.project().cloned()),
            instance: route.and_then(|route| route.instance().cloned()),
            attempt: agent.attempt,
            credential: decided.credential.clone(),
            body_sha256: (!heard.body.is_empty()).then(digest),
            decision: decided.decision,
            applied: decided.applied,
            status: (!dropped).then_some(decided.status),
            code: decided.code(),
            task_id: decided.task.clone(),
            latency_ms: decided.latency,
        };
        self.log_changes(shared);
        self.requests += 1;
        self.log.request(line);
        self.requests
    }
}

fn no_such_call(no_route: &NoRoute) -> Decided {
    match no_route {
        NoRoute::Unknown => {
            let text = "The API does not exist or has not been published.";
            Decided::refused(404, ErrorBody::new("APIGW.0101", text))
        }
        NoRoute::WrongMethod => {
            Decided::refused(405, ErrorBody::new("DCS.5001", "Method not allowed."))
        }
        NoRoute::BadParameter(name) => {
            let text = format!("Invalid {name} parameter in the request.");
            Decided::refused(400, ErrorBody::new("DCS.4063", text))
        }
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
