//! The socket's routes: `/v1/status`, `/v1/plan`, `/v1/forecast`, `/v1/why`, `/v1/targets`,
//! `/v1/rows`, `/v1/events`, `/v1/orders`.
//!
//! Bodies are the engine's own views as JSON. 200 done · 400 not understood · 404 unknown ·
//! 409 refused in this state · 503 the loop does not answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::daemon::Handle;
use crate::daemon::handle::NoAnswer;
use crate::engine::order::Refusal;
use crate::engine::view::{Candidate, Why};
use crate::engine::{Command, Event, Order, Plan, Reply, Rows, Status};
use crate::model::{TargetId, Wall};
use crate::store::{EventFilter, EventOrder, ReadOnly, StoreError};

use super::peer::Actor;

/// Of an order's reason: it stands in the ledger and in every status, and is to be read there.
pub const REASON_MAX_BYTES: usize = 1_000;

/// What is posted to `/v1/orders`: an order without its actor, whom the kernel names.
#[derive(Debug, Serialize, Deserialize)]
pub struct OrderBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    #[serde(flatten)]
    pub command: Command,
}

/// A page of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsAnswer {
    pub events: Vec<Event>,
    /// The targets in it, each with its instance's name.
    #[serde(default)]
    pub names: Vec<Candidate>,
}

/// What is said instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub message: String,
}

/// The query of `/v1/events`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EventsQuery {
    /// Only events with a greater `seq`.
    after: u64,
    campaign: Option<String>,
    /// `campaign/project/instance`; overrides `campaign`.
    target: Option<String>,
    /// The name of the event: `accepted`, `paused`.
    event: Option<String>,
    /// Milliseconds since 1970, UTC.
    since_ms: Option<i64>,
    order: EventsFrom,
    limit: Option<u32>,
}

/// The query of `/v1/targets`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetsQuery {
    /// A name or an id, alone or after `campaign/project/`.
    called: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventsFrom {
    #[default]
    Oldest,
    Newest,
}

#[derive(Debug, Clone)]
struct Site {
    handle: Handle,
    store: ReadOnly,
}

pub(super) fn routes(handle: Handle, store: ReadOnly) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/plan", get(plan))
        .route("/v1/forecast", get(forecast))
        .route("/v1/why/{campaign}/{project}/{instance}", get(why))
        .route("/v1/targets", get(targets))
        .route("/v1/rows", get(rows))
        .route("/v1/events", get(events))
        .route("/v1/orders", post(order))
        .with_state(Site { handle, store })
}

async fn status(State(site): State<Site>) -> Result<Json<Status>, Refused> {
    Ok(Json(site.handle.status().await?))
}

async fn plan(State(site): State<Site>) -> Result<Json<Plan>, Refused> {
    Ok(Json(site.handle.plan().await?))
}

/// What the store holds, for a rehearsal by somebody who may not read it.
async fn rows(State(site): State<Site>) -> Result<Json<Rows>, Refused> {
    Ok(Json(site.store.load().await?))
}

async fn forecast(State(site): State<Site>) -> Result<Response, Refused> {
    let refused =
        |message: &str| Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, message.into()));
    match site.handle.forecast().await {
        Err(NoAnswer::TooSlow(_)) => refused("the forecast is still being made; ask again later"),
        Err(error) => Err(error.into()),
        Ok(Some(text)) => {
            Ok(([(CONTENT_TYPE, "application/json")], text.to_string()).into_response())
        }
        Ok(None) => refused("no forecast can be made here; the log says why"),
    }
}

async fn why(
    State(site): State<Site>,
    Path((campaign, project, instance)): Path<(String, String, String)>,
) -> Result<Json<Why>, Refused> {
    let target =
        TargetId { campaign: campaign.into(), project: project.into(), instance: instance.into() };
    match site.handle.why(target.clone()).await? {
        Some(why) => Ok(Json(why)),
        None => Err(Refused::new(StatusCode::NOT_FOUND, format!("no target is called {target}"))),
    }
}

async fn targets(
    State(site): State<Site>,
    Query(query): Query<TargetsQuery>,
) -> Result<Json<Vec<Candidate>>, Refused> {
    Ok(Json(site.handle.called(query.called).await?))
}

async fn events(
    State(site): State<Site>,
    Query(query): Query<EventsQuery>,
) -> Result<Json<EventsAnswer>, Refused> {
    let target = query.target.map(|text| text.parse()).transpose();
    let target = target.map_err(|error: crate::model::id::BadId| {
        Refused::new(StatusCode::BAD_REQUEST, error.to_string())
    })?;
    let filter = EventFilter {
        campaign: query.campaign.map(Into::into),
        target,
        after_seq: query.after,
        since: query.since_ms.map(Wall),
        kind: query.event,
        order: match query.order {
            EventsFrom::Oldest => EventOrder::OldestFirst,
            EventsFrom::Newest => EventOrder::NewestFirst,
        },
        limit: query.limit,
    };
    let events = site.store.events(&filter).await?;
    let targets: BTreeSet<TargetId> = events.iter().filter_map(Event::target).collect();
    let names = match targets.is_empty() {
        true => Vec::new(),
        false => site.handle.names(targets.into_iter().collect()).await?,
    };
    Ok(Json(EventsAnswer { events, names }))
}

async fn order(
    State(site): State<Site>,
    Extension(actor): Extension<Option<Actor>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Reply>), Refused> {
    let body: OrderBody = serde_json::from_slice(&body)
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    if body.reason.as_ref().is_some_and(|reason| reason.len() > REASON_MAX_BYTES) {
        let message = format!("a reason holds {REASON_MAX_BYTES} bytes at most");
        return Err(Refused::new(StatusCode::BAD_REQUEST, message));
    }
    let Some(actor) = actor else {
        let message = "the kernel does not say who you are";
        return Err(Refused::new(StatusCode::FORBIDDEN, message.into()));
    };
    let order = Order { actor: actor.text().await, reason: body.reason, command: body.command };
    let reply = site.handle.order(order).await?;
    let status = match &reply {
        Reply::Done { .. } => StatusCode::OK,
        Reply::Refused { refusal: Refusal::NotNow, .. } => StatusCode::CONFLICT,
        Reply::Refused { refusal: Refusal::Unknown, .. } => StatusCode::NOT_FOUND,
    };
    Ok((status, Json(reply)))
}

/// Any answer but the one that was asked for.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, message: String) -> Refused {
        Refused { status, message }
    }
}

impl From<NoAnswer> for Refused {
    fn from(error: NoAnswer) -> Refused {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(Problem { message: self.message })).into_response()
    }
}
