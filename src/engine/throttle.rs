//! 429: what the cloud limits, for how long, and whom a limit binds.

use crate::model::{LearnedLimit, LimitScope, Millis, Steady};

use super::Engine;
use super::event::{Fact, Quota};
use super::index::ProjectIx;

/// A 429's pause when it names no time.
const THROTTLE_PAUSE: Millis = Millis::from_secs(60);

/// No Retry-After is obeyed for longer (rule S3).
const RETRY_AFTER_MAX: Millis = Millis::from_hours(1);

impl Engine {
    /// A 429: learns the limit, pauses that quota.
    pub(super) fn throttled(
        &mut self,
        ix: ProjectIx,
        quota: Quota,
        limit: Option<LearnedLimit>,
        retry_after: Option<Millis>,
    ) -> Steady {
        let window = limit.map_or(THROTTLE_PAUSE, |limit| limit.per);
        let pause = retry_after.map_or(window, |after| Millis(after.0.max(window.0)));
        let until = self.now + Millis(pause.0.clamp(1_000, RETRY_AFTER_MAX.0));
        let bound_by = self.bound_by(ix, limit);
        let sharers = bound_by.len() as u32;
        for bound in bound_by {
            let now = self.now;
            let project = &mut self.projects[bound.at()];
            let bucket = match quota {
                Quota::Starts => &mut project.starts,
                Quota::Reads => &mut project.reads,
            };
            let news = bucket.paused_until(now).is_none();
            bucket.pause(until);
            if let Some(limit) = limit {
                bucket.learn(now, limit, sharers);
            }
            self.touch_project(bound);
            if news {
                let until = self.wall_at(until);
                self.record_project(bound, Fact::QuotaPaused { quota, until, limit });
            }
            self.wake_project(bound, until);
        }
        until
    }

    /// The projects that a stated limit binds: those that share what it counts by. A 429 that
    /// states none binds its own project.
    pub(super) fn bound_by(&self, ix: ProjectIx, limit: Option<LearnedLimit>) -> Vec<ProjectIx> {
        let host = |ix: ProjectIx| {
            self.settings.projects.get(self.project_name(ix)).map(|policy| &policy.host)
        };
        let credential = |ix: ProjectIx| self.projects[ix.at()].credential;
        let all = (0..self.projects.len() as u32).map(ProjectIx);
        match limit.map(|limit| limit.scope) {
            Some(LimitScope::User) => all.filter(|&it| credential(it) == credential(ix)).collect(),
            Some(LimitScope::Ip) => all.filter(|&it| host(it) == host(ix)).collect(),
            Some(LimitScope::Api | LimitScope::App) | None => vec![ix],
        }
    }
}
