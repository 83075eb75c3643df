//! The upgrade call: the gateway, the faults, the service's own refusals, and the start.

use std::sync::Arc;

use super::advance::Starter;
use super::decision::{CallKind, Decision};
use super::instance::{Moment, SimInstance};
use super::knobs::{
    Duplicate, EmptyBody, ErrorCodes, NamedVersion, NewestAnswer, NotEnabled, ProxyOnPlain,
    RetryAfterForm, UpgradeCall,
};
use super::profile::Step;
use super::reply::{Content, ErrorBody, RetryAfter, WorldReply};
use super::spec::Capability;
use super::{Place, World};
use crate::model::{InstanceId, InstanceStatus, Millis, UpgradeBody, Wall};

/// A refusal: HTTP status, error code, message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub u16, pub &'static str, pub &'static str);

pub(super) const NO_INSTANCE: Refusal = Refusal(404, "DCS.3022", "This instance does not exist.");
pub(super) const NO_API: Refusal =
    Refusal(404, "APIGW.0101", "The API does not exist or has not been published.");
pub(super) const NO_URL: Refusal = Refusal(404, "DCS.4001", "The URL does not exist.");
const BAD_PROJECT: Refusal = Refusal(400, "DCS.4002", "Invalid project ID format.");

impl World {
    /// `POST /v2/{project}/instances/{instance}/minor-version/upgrade`. `attempt` is the caller's
    /// name for the call, kept with what was applied.
    pub fn upgrade(
        &mut self,
        now: Wall,
        project: &str,
        instance: &InstanceId,
        body: &UpgradeBody,
        attempt: Option<&str>,
    ) -> WorldReply {
        self.advance(now);
        let Some(project_index) = self.project_by_id.get(project).copied() else {
            return self.refused(BAD_PROJECT);
        };
        let step = self.decide(CallKind::Upgrade, project_index, Some(instance.as_str()));
        if !step.applies() {
            return self.faulted(&step);
        }
        let place = self.find(project, instance.as_str());
        if let Some(place) = place {
            let instance = self.instance_mut(place);
            instance.upgrade_requests += 1;
            let moment = Moment::BeforeUpgrade(instance.upgrade_requests);
            self.others_act(place, moment);
        }
        let outcome = match self.refusal(project_index, place, body) {
            Some(refusal) => Err(refusal),
            None => place.ok_or(NO_INSTANCE),
        };
        match outcome {
            Err(refusal) => {
                let mut reply = self.refused(refusal);
                if step.decision != Decision::Ok {
                    // The refusal meets the fault on its way back.
                    reply.decision = step.decision;
                    reply.latency = self.latency(&step);
                    self.overlay(&mut reply, &step);
                }
                reply
            }
            Ok(place) => {
                let starter = Starter::Caller { attempt: attempt.map(Arc::from) };
                let task = self.start_upgrade(place, body, starter);
                let mut reply = self.reply(&step, Content::Accepted { task: task.clone() });
                reply.applied = true;
                reply.task = Some(task);
                self.overlay(&mut reply, &step);
                reply
            }
        }
    }

    /// A reply with the step's decision and latency, status 200.
    pub(super) fn reply(&self, step: &Step, content: Content) -> WorldReply {
        let latency = self.latency(step);
        WorldReply {
            decision: step.decision,
            status: 200,
            error: None,
            retry_after: None,
            content,
            applied: false,
            task: None,
            latency,
            server_time: self.now + latency,
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) -> WorldReply {
        let Refusal(status, code, message) = refusal;
        let mut reply = self.reply(&Step::from(Decision::Rejected), Content::Nothing);
        reply.status = status;
        reply.error = Some(ErrorBody::new(&self.code(code), message));
        reply
    }

    /// The reply of a step that never reaches the service.
    pub(super) fn faulted(&self, step: &Step) -> WorldReply {
        let mut reply = self.reply(step, Content::Nothing);
        let (status, code, message) = match step.decision {
            Decision::Throttled => {
                reply.retry_after = self.retry_after(step.delay.map_or(Millis(60_000), |at| at.0));
                (
                    429,
                    "APIGW.0308",
                    "The throttling threshold has been reached: policy user over ratelimit,\
                     limit:60,time:1 minute",
                )
            }
            Decision::Unauthorized => (
                401,
                "APIGW.0301",
                "Incorrect IAM authentication information: verify aksk signature fail",
            ),
            Decision::TokenExpired => (401, "APIGW.0307", "The token must be updated."),
            Decision::Forbidden => (403, "DCS.2003", "You do not have permission to do this."),
            Decision::Absent => (NO_API.0, NO_API.1, NO_API.2),
            Decision::Redirect => (307, "APIGW.0106", "Moved."),
            Decision::Rejected => (400, "DCS.4026", "The operation is not allowed."),
            _ => server_error(step.status.unwrap_or(500)),
        };
        reply.status = step.status.unwrap_or(status);
        reply.error = Some(ErrorBody::new(&self.code(code), message));
        self.overlay(&mut reply, step);
        reply
    }

    /// What the step says about status, code and message, over what is there; and the errors that
    /// come after applying.
    pub(super) fn overlay(&self, reply: &mut WorldReply, step: &Step) {
        if step.decision == Decision::ApplyThen500 {
            let (status, code, message) = server_error(step.status.unwrap_or(500));
            reply.status = status;
            reply.error = Some(ErrorBody::new(&self.code(code), message));
            reply.content = Content::Nothing;
        }
        if let Some(status) = step.status {
            reply.status = status;
        }
        if step.code.is_some() || step.message.is_some() {
            let old = reply.error.take();
            let code = step.code.clone().or(old.as_ref().map(|error| error.code.clone()));
            let message = step.message.clone().or(old.map(|error| error.message));
            reply.error = Some(ErrorBody {
                code: code.unwrap_or_else(|| "DCS.5000".into()),
                message: message.unwrap_or_else(|| "An internal error occurred.".into()),
            });
        }
        if let Some(text) = &step.retry_after {
            reply.retry_after = Some(RetryAfter::Text(text.clone()));
        }
    }

    /// Why the service refuses, if it does.
    fn refusal(&self, project: usize, place: Option<Place>, body: &UpgradeBody) -> Option<Refusal> {
        self.refusal_of_call(project).or_else(|| {
            if body.is_empty() && self.knobs.empty_body == EmptyBody::Refused {
                return Some(Refusal(400, "DCS.4004", "The request body is empty."));
            }
            let place = match place {
                Some(place) if !self.instance(place).deleted => place,
                _ => return Some(NO_INSTANCE),
            };
            self.refusal_of_instance(self.instance(place), body)
        })
    }

    /// Refusals that have nothing to do with the instance.
    pub(super) fn refusal_of_call(&self, project: usize) -> Option<Refusal> {
        match self.knobs.upgrade_call {
            UpgradeCall::AbsentAtGateway => return Some(NO_API),
            UpgradeCall::AbsentAtService => return Some(NO_URL),
            UpgradeCall::Present => {}
        }
        let project = &self.projects[project];
        match project.capability {
            Capability::Absent => return Some(NO_API),
            Capability::NotEnabled => {
                return Some(match self.knobs.not_enabled {
                    NotEnabled::Forbidden => {
                        Refusal(403, "DCS.2003", "The function is not enabled for this account.")
                    }
                    NotEnabled::BadRequest => {
                        Refusal(400, "DCS.4999", "The function is in restricted use.")
                    }
                    NotEnabled::Missing => NO_API,
                });
            }
            Capability::Present => {}
        }
        self.knobs.forbidden.has(&project.name).then_some(Refusal(
            403,
            "DCS.2003",
            "A policy does not allow the operation.",
        ))
    }

    fn refusal_of_instance(&self, instance: &SimInstance, body: &UpgradeBody) -> Option<Refusal> {
        let duplicate = match self.knobs.duplicate {
            Duplicate::Upgrading => Some(Refusal(400, "DCS.4116", "The instance is upgrading.")),
            Duplicate::State => Some(Refusal(400, "DCS.4026", "The operation is not allowed.")),
            Duplicate::TaskRunning => Some(Refusal(400, "DCS.4017", "A task is running.")),
            Duplicate::RunsTwice => None,
        };
        match &instance.base.status {
            InstanceStatus::Running => {}
            InstanceStatus::Frozen => {
                return Some(Refusal(400, "DCS.4120", "The instance is frozen."));
            }
            _ => return Some(Refusal(400, "DCS.4049", "The instance is not running.")),
        }
        if !instance.running.is_empty() && duplicate.is_some() {
            return duplicate;
        }
        if instance.busy.is_some() {
            return Some(Refusal(400, "DCS.4096", "The instance is being backed up."));
        }
        if !instance.is_supported() {
            return Some(Refusal(400, "DCS.4008", "The instance version does not support this."));
        }
        let named = |asked: &Option<Arc<str>>| asked.as_deref().is_some_and(|it| it != "latest");
        if self.knobs.named_version == NamedVersion::Refused
            && (named(&body.engine) || named(&body.proxy))
        {
            return Some(Refusal(400, "DCS.4800", "Invalid parameter engine_minor_version."));
        }
        if body.proxy.is_some()
            && instance.proxy.is_none()
            && self.knobs.proxy_on_plain == ProxyOnPlain::Refused
        {
            return Some(Refusal(400, "DCS.4062", "Invalid parameter proxy_minor_version."));
        }
        if instance.is_newest(body) {
            return match self.knobs.newest_answer {
                NewestAnswer::Current => Some(Refusal(
                    400,
                    "DCS.4053",
                    "The upgrade instance version equals to current version.",
                )),
                NewestAnswer::Odd => Some(Refusal(400, "DCS.4990", "Nothing to upgrade.")),
                NewestAnswer::Accepted => None,
            };
        }
        (!instance.upgradable).then_some(Refusal(
            400,
            "DCS.4008",
            "The instance version does not support this.",
        ))
    }

    fn retry_after(&self, wait: Millis) -> Option<RetryAfter> {
        let seconds = (wait.0 + 999) / 1_000;
        match self.knobs.retry_after {
            RetryAfterForm::Absent => None,
            RetryAfterForm::Seconds => Some(RetryAfter::Seconds(seconds)),
            RetryAfterForm::Date => Some(RetryAfter::Date(self.now + Millis::from_secs(seconds))),
            RetryAfterForm::Absurd => Some(RetryAfter::Seconds(1_000_000_000)),
            RetryAfterForm::Negative => Some(RetryAfter::Seconds(-5)),
        }
    }

    /// The code in the form that the knob sends (API facts, section 5).
    pub(super) fn code(&self, code: &str) -> String {
        match code.strip_prefix("DCS.") {
            Some(digits) if self.knobs.error_codes == ErrorCodes::Numeric => {
                let family = match digits.as_bytes().first() {
                    Some(b'1') => "401",
                    Some(b'2') => "403",
                    Some(b'3') => "404",
                    Some(b'5') => "500",
                    _ => "400",
                };
                format!("111{family}{}", &digits[digits.len() - 3..])
            }
            _ => code.into(),
        }
    }
}

/// The bodies of server errors by their status.
fn server_error(status: u16) -> (u16, &'static str, &'static str) {
    match status {
        502 => (502, "APIGW.0202", "Backend unavailable."),
        503 => (503, "APIGW.0613", "The service is unavailable."),
        504 => (504, "APIGW.0203", "Backend timeout."),
        status => (status, "DCS.5006", "Failed to submit the job."),
    }
}
