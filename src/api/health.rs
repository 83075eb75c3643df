//! `/healthz` and `/readyz`: whether the loop turns, and whether work can be taken on.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::daemon::Handle;

pub(super) fn routes(handle: Handle) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(handle)
}

async fn healthz(State(handle): State<Handle>) -> (StatusCode, &'static str) {
    if handle.is_turning() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loop stands still\n")
    }
}

async fn readyz(State(handle): State<Handle>) -> (StatusCode, Json<Value>) {
    let reasons = handle.not_ready_because();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons })))
}
