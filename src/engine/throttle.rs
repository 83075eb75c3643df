//! 429: what the cloud limits, for how long, and whom a limit binds.

use crate::model::classify::RETRY_AFTER_MAX;
use crate::model::{LearnedLimit, LimitScope, Millis, Steady, Wall};

use super::Engine;
use super::event::{Fact, Quota};
use super::index::ProjectIx;
use super::planted::Defect;

/// A 429's pause when it names no time.
const THROTTLE_PAUSE: Millis = Millis::from_secs(60);

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
        let retry_after = retry_after.filter(|_| !self.is_planted(Defect::RetryAfterIgnored));
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

    /// What a 429 has to do with how fast the project goes now; `None` where its own rate rules.
    pub(super) fn throttle_words(&self, ix: ProjectIx, quota: Quota) -> Option<String> {
        let project = &self.projects[ix.at()];
        let (bucket, what, rate) = match quota {
            Quota::Starts => (&project.starts, "starts", "upgrade_rate"),
            Quota::Reads => (&project.reads, "reads", "read_rate"),
        };
        let name = &project.name;
        let limit = bucket.learned().map(|limit| format!("{} per {}", limit.limit, limit.per));
        match (bucket.paused_until(self.now), limit) {
            (Some(_), Some(limit)) => {
                Some(format!("the cloud answered 429: {what} of project {name} pause ({limit})"))
            }
            (Some(_), None) => {
                Some(format!("the cloud answered 429: {what} of project {name} pause"))
            }
            (None, Some(limit)) => Some(format!(
                "the cloud lets project {name} have {limit}, less than its {rate}: learned from \
                 a 429"
            )),
            (None, None) => None,
        }
    }

    /// The same of reads that pause now, and until when.
    pub(super) fn reads_paused(&self, ix: ProjectIx) -> Option<(String, Wall)> {
        let until = self.projects[ix.at()].reads.paused_until(self.now)?;
        Some((self.throttle_words(ix, Quota::Reads)?, self.wall_at(until)))
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
