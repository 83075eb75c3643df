//! What was decided about a request, before it takes its shape on the wire.

use std::sync::Arc;

use serde_json::{Value, json};

use super::iam::IamAnswer;
use super::render;
use crate::model::{Millis, TaskId};
use crate::sim::world::knobs::Types;
use crate::sim::world::{Content, Decision, ErrorBody, RetryAfter, Step, WorldReply};

/// A decided answer, not yet rendered: that happens outside the world's lock.
pub(super) struct Decided {
    pub decision: Decision,
    pub status: u16,
    pub body: Body,
    pub headers: Vec<(&'static str, String)>,
    pub latency: Millis,
    pub applied: bool,
    pub task: Option<TaskId>,
    /// Who called, for the log.
    pub credential: Option<Arc<str>>,
}

/// The body of an answer.
pub(super) enum Body {
    Error(ErrorBody),
    Content(Content),
    /// IAM's and the metadata address's own.
    Json(Value),
}

impl Decided {
    /// A refusal that the world was never asked about.
    pub fn refused(status: u16, error: ErrorBody) -> Decided {
        Decided {
            decision: Decision::Rejected,
            status,
            body: Body::Error(error),
            headers: Vec::new(),
            latency: Millis::ZERO,
            applied: false,
            task: None,
            credential: None,
        }
    }

    pub fn of_world(reply: WorldReply) -> Decided {
        let retry_after = reply.retry_after.map(|retry_after| match retry_after {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Date(at) => render::http_date(at),
            RetryAfter::Text(text) => text.to_string(),
        });
        Decided {
            decision: reply.decision,
            status: reply.status,
            body: reply.error.map_or(Body::Content(reply.content), Body::Error),
            headers: retry_after.map(|text| ("retry-after", text)).into_iter().collect(),
            latency: reply.latency,
            applied: reply.applied,
            task: reply.task,
            credential: None,
        }
    }

    pub fn of_iam(answer: IamAnswer, step: &Step) -> Decided {
        let refused = answer.status >= 400 && step.decision == Decision::Ok;
        let token = answer.token.map(|token| ("x-subject-token", token));
        Decided {
            decision: if refused { Decision::Rejected } else { step.decision },
            status: answer.status,
            body: Body::Json(answer.body),
            headers: token.into_iter().collect(),
            latency: step.delay.map_or(Millis::ZERO, |delay| delay.0),
            applied: false,
            task: None,
            credential: answer.user.map(Arc::from),
        }
    }

    /// The error code that is answered.
    pub fn code(&self) -> Option<Arc<str>> {
        match &self.body {
            Body::Error(error) => Some(error.code.clone()),
            Body::Content(_) | Body::Json(_) => None,
        }
    }
}

impl Body {
    /// The body as JSON, where there is one.
    pub fn render(self, status: u16, types: Types, request_id: &str) -> Option<Value> {
        match self {
            Body::Error(error) => Some(render::error(&error, request_id)),
            Body::Json(body) => Some(body),
            // A deleted record is told in words; an empty backup list by the status alone.
            Body::Content(Content::Nothing) => {
                (status == 200).then(|| json!({ "message": "success" }))
            }
            Body::Content(content) => render::content(&content, types),
        }
    }
}
