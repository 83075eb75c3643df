//! Credentials: unproven until an answer shows that they work, stopped at the first refusal
//! (rule S12): the cloud locks a key for everyone after five.

use std::sync::Arc;

use crate::model::{AnswerNote, CredentialName, Millis, Wall};

use super::Engine;
use super::event::Fact;
use super::hold::{Hold, HoldKind, shell_word};
use super::index::{CredentialIx, ProjectIx};
use super::request::Request;
use super::tables::Renewal;
use super::timers::Timer;

/// An operator may have a static key tried again until it was refused so often. A try is a single
/// request, so that one more still leaves one to the five that lock the key.
const REFUSALS_MOST: u32 = 3;

/// After this it may be tried once more: the key may have been mended in the cloud, with the secret
/// unchanged. The cloud's own lock ends after five minutes.
const KEY_RESTS_FOR: Millis = Millis::from_hours(1);

/// What the cloud says of a key that it has locked.
const LOCKED: &str = "failed to reach the limit";

/// Between two tries of a renewal that could not reach its server; doubles up to a minute.
const RENEWAL_BACKOFF: Millis = Millis::from_secs(2);

impl Engine {
    /// A request with the project's credential is begun; tells which generation it uses.
    pub(super) fn credential_used(&mut self, project: ProjectIx) -> u32 {
        let credential = &mut self.credentials[self.projects[project.at()].credential.at()];
        credential.in_flight += 1;
        credential.generation
    }

    /// A request with the project's credential was answered; `worked` if it was let in.
    pub(super) fn credential_answered(
        &mut self,
        project: ProjectIx,
        generation: u32,
        worked: bool,
    ) {
        let ix = self.projects[project.at()].credential;
        let credential = &mut self.credentials[ix.at()];
        credential.in_flight =
            credential.in_flight.checked_sub(1).expect("an answer comes once per request");
        let is_current = generation == credential.generation;
        if worked && is_current && !credential.proven && credential.stopped.is_none() {
            credential.proven = true;
            credential.renewal = match credential.renewal {
                Renewal::UnderWay => Renewal::UnderWay,
                Renewal::Possible | Renewal::Unproven => Renewal::Possible,
            };
            let name = credential.name.clone();
            if std::mem::take(&mut credential.refusals) > 0 {
                self.touch_credential(ix);
            }
            self.record_process(Fact::CredentialProven { credential: name });
        }
        self.mark_projects_with(ix);
    }

    /// 401: nothing more is begun with this credential. A token or agency key is renewed once.
    pub(super) fn credential_refused(
        &mut self,
        project: ProjectIx,
        generation: u32,
        renewable: bool,
        note: &AnswerNote,
    ) {
        let ix = self.projects[project.at()].credential;
        let credential = &mut self.credentials[ix.at()];
        if generation == credential.generation && !credential.renewable {
            credential.refusals = credential.refusals.saturating_add(1);
            self.touch_credential(ix);
        }
        let credential = &mut self.credentials[ix.at()];
        if credential.stopped.is_some()
            || credential.renewal == Renewal::UnderWay
            || generation != credential.generation
        {
            return;
        }
        credential.proven = false;
        let (name, was) = (credential.name.clone(), credential.renewal);
        if renewable && credential.renewable && was == Renewal::Possible {
            credential.renewal = Renewal::UnderWay;
            self.out.requests.push(Request::Renew { credential: name });
            return;
        }
        let code = note.code.as_deref().unwrap_or("401");
        let message = note.message.as_deref().unwrap_or("the cloud refused the credential");
        self.stop_credential(ix, &format!("{code}: {message}"));
    }

    fn stop_credential(&mut self, ix: CredentialIx, why: &str) {
        let (why, wall): (Arc<str>, Wall) = (why.into(), self.wall);
        let credential = &mut self.credentials[ix.at()];
        credential.stopped = Some(why.clone());
        credential.stopped_at = Some(wall);
        credential.proven = false;
        let credential = credential.name.clone();
        self.touch_credential(ix);
        self.record_process(Fact::CredentialStopped { credential, why });
        self.gate_changed();
    }

    /// A renewal ended. One that was refused stops the credential; one that could not be reached
    /// is tried again, and meanwhile nothing is begun.
    pub(super) fn renewed(&mut self, name: &CredentialName, result: Result<(), AnswerNote>) {
        let Some(&ix) = self.credential_index.get(name) else {
            return self.anomaly(format!("a renewal of the unknown credential {name}"));
        };
        if self.credentials[ix.at()].renewal != Renewal::UnderWay {
            return self.anomaly(format!("a renewal of {name} that was not asked for"));
        }
        match result {
            Ok(()) => {
                let credential = &mut self.credentials[ix.at()];
                credential.renewal = Renewal::Unproven;
                credential.generation += 1;
                credential.renewal_failures = 0;
                credential.proven = false;
                self.mark_projects_with(ix);
            }
            Err(note) if matches!(note.status, Some(400..=407 | 409..=428 | 430..=499)) => {
                self.credentials[ix.at()].renewal = Renewal::Possible;
                let status = note.status.unwrap_or_default();
                let message = note.message.as_deref().unwrap_or("renewal refused");
                self.stop_credential(ix, &format!("{status}: {message}"));
            }
            Err(note) => {
                let credential = &mut self.credentials[ix.at()];
                credential.renewal_failures += 1;
                let wait = RENEWAL_BACKOFF.0 << credential.renewal_failures.min(5);
                let at = self.now + Millis(wait);
                self.timers.push(at, Timer::Credential(ix));
                // Nothing else is asked meanwhile, so that nothing else would tell.
                for project in self.credentials[ix.at()].projects.clone() {
                    self.cloud_missed(project, &note, at);
                }
            }
        }
    }

    pub(super) fn credential_due(&mut self, ix: CredentialIx) {
        let credential = &self.credentials[ix.at()];
        if credential.renewal == Renewal::UnderWay && !self.is_stopping {
            let credential = credential.name.clone();
            self.out.requests.push(Request::Renew { credential });
        }
    }

    pub(super) fn resume_credential(&mut self, ix: CredentialIx) -> bool {
        let credential = &mut self.credentials[ix.at()];
        if credential.stopped.take().is_none() {
            return false;
        }
        credential.stopped_at = None;
        credential.proven = false;
        credential.renewal = Renewal::Possible;
        let name = credential.name.clone();
        self.touch_credential(ix);
        self.record_process(Fact::CredentialResumed { credential: name });
        self.gate_changed();
        true
    }

    /// Until when a static key rests that was refused too often to be tried at a mere order.
    pub(super) fn key_rests_until(&self, ix: CredentialIx) -> Option<Wall> {
        let credential = &self.credentials[ix.at()];
        let until = credential.stopped_at? + KEY_RESTS_FOR;
        (credential.refusals >= REFUSALS_MOST && self.wall < until).then_some(until)
    }

    /// Why nothing is begun with it and what helps, where it is stopped. A static key cannot change
    /// while this process runs; a token or an agency's key is fetched anew with every try.
    pub(super) fn credential_hold(&self, ix: CredentialIx) -> Option<Hold> {
        let credential = &self.credentials[ix.at()];
        let (name, why) = (&credential.name, credential.stopped.as_deref()?);
        let (mend, resume) = ("refit check --effective", resume_command(name));
        let hold = if credential.renewable {
            let detail = format!("{name} is stopped: {why}");
            Hold::new(HoldKind::Credential, detail).next(resume).or(mend)
        } else {
            // A stop that an earlier version wrote has no count.
            let refused = times(credential.refusals.max(1));
            let locked = if why.contains(LOCKED) { "; the cloud has locked the key" } else { "" };
            let detail = format!(
                "{name} is stopped: {why}{locked}; refused {refused}, and the cloud locks a key \
                 for everyone after five: mend the secret where it is read, then restart the \
                 service"
            );
            let hold = Hold::new(HoldKind::Credential, detail).next(mend);
            let rests = self.key_rests_until(ix).is_some();
            if rests { hold } else { hold.or(resume) }
        };
        Some(Hold { since: credential.stopped_at, ..hold })
    }

    fn mark_projects_with(&mut self, ix: CredentialIx) {
        for at in 0..self.credentials[ix.at()].projects.len() {
            let project = self.credentials[ix.at()].projects[at];
            self.mark_project(project);
        }
    }
}

fn resume_command(name: &CredentialName) -> String {
    format!("refit resume --credential {}", shell_word(name.as_str()))
}

/// `once`, `3 times`.
pub(super) fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
