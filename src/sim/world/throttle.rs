//! The gateway's flow control: so many calls in a window of time, counted from its first call.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::CallKind;
use super::knobs::Knobs;
use super::profile::CallFilter;
use super::spec::{LimitSpec, ProjectSpec};
use crate::model::{LimitScope, Millis, Wall};

/// The windows that are being counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Throttle {
    windows: BTreeMap<Key, Window>,
}

/// Policy, whose calls, which calls, and the limit itself.
type Key = (&'static str, Arc<str>, CallFilter, u32, Millis);

#[derive(Debug, Clone, Copy)]
struct Window {
    begun: Wall,
    used: u32,
}

/// A limit was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    /// The gateway's sentence, which states the limit.
    pub message: String,
    /// Until the window ends.
    pub wait: Millis,
}

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'a> {
    pub user_id: &'a Arc<str>,
    pub project_id: &'a Arc<str>,
}

/// The limits of a project: its own, and those of the knobs.
pub(super) fn limits_of(project: &ProjectSpec, knobs: &Knobs) -> Vec<LimitSpec> {
    let mut limits = project.limits.clone();
    if let Some(limit) = knobs.upgrade_limit.0 {
        let calls = CallFilter::Only(CallKind::Upgrade);
        limits.push(LimitSpec { calls, policy: LimitScope::Api, limit });
    }
    if let Some(limit) = knobs.read_limit.0 {
        limits.push(LimitSpec { calls: CallFilter::Read, policy: LimitScope::User, limit });
    }
    limits
}

impl Throttle {
    /// Counts one call against every limit that binds it.
    pub fn check(
        &mut self,
        now: Wall,
        call: CallKind,
        caller: Caller<'_>,
        limits: &[LimitSpec],
    ) -> Result<(), Reached> {
        for spec in limits.iter().filter(|spec| spec.calls.has(call)) {
            let (policy, whose) = match spec.policy {
                LimitScope::User => ("user", caller.user_id.clone()),
                LimitScope::Ip => ("ip", Arc::from("")),
                LimitScope::Api => ("api", caller.project_id.clone()),
                LimitScope::App => ("app", caller.project_id.clone()),
            };
            let key = (policy, whose, spec.calls, spec.limit.calls, spec.limit.per);
            let window = self.windows.entry(key).or_insert(Window { begun: now, used: 0 });
            if now - window.begun >= spec.limit.per {
                *window = Window { begun: now, used: 0 };
            }
            if window.used >= spec.limit.calls {
                return Err(Reached {
                    message: spec.limit.sentence(policy),
                    wait: window.begun + spec.limit.per - now,
                });
            }
            window.used += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_admits_its_limit_and_states_it_when_reached() {
        let limit = LimitSpec {
            calls: CallFilter::Read,
            policy: LimitScope::User,
            limit: "2/1m".parse().unwrap(),
        };
        let (user_id, project_id) = ("u".into(), "p".into());
        let caller = Caller { user_id: &user_id, project_id: &project_id };
        let mut throttle = Throttle::default();
        let mut check =
            |at: i64, call| throttle.check(Wall(at), call, caller, std::slice::from_ref(&limit));
        assert_eq!(check(0, CallKind::List), Ok(()));
        assert_eq!(check(10, CallKind::Show), Ok(()));
        assert_eq!(check(20, CallKind::Upgrade), Ok(()));
        let reached = check(30_000, CallKind::Show).unwrap_err();
        assert_eq!(reached.wait, Millis(30_000));
        assert!(reached.message.contains("policy user over ratelimit,limit:2,time:1 minute"));
        assert_eq!(check(60_000, CallKind::Show), Ok(()));
    }
}
