//! One credential: what it asks with now, and when that must be fetched anew.
//!
//! Tokens and agency keys are cached and renewed by one fetch at a time, ahead of their end, so
//! that an issuer that is down for a while is not noticed. A renewal that the cloud's refusal
//! asked for is made once: what it brought, refused again before it was ever accepted, is not
//! renewable (docs/decisions.md: from POST to proof). A refused password is not tried again by
//! itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::model::access::Secrets;
use crate::model::classify::CredentialForm;
use crate::model::{AnswerNote, Millis, Wall};

use super::issuer::{IssueError, Issued, Issuer};
use super::request::Authority;

/// What is fetched is renewed so long before its end, or at three quarters of its life if that is
/// later: the official SDK's 40 minutes would renew keys of 15 minutes on every request.
const RENEW_AHEAD: Millis = Millis::from_mins(40);

/// The wait after a renewal ahead of the end that failed: what is held is still good.
const RENEW_RETRY: Millis = Millis::from_mins(1);

/// A refused password is not sent again before, whoever asks: failures lock the user.
const REFUSED_FOR: Millis = Millis::from_mins(1);

/// An agency's keys serve every project; a password's token serves one.
const EVERY_PROJECT: &str = "";

/// A named credential and what it holds.
#[derive(Debug)]
pub struct Credential {
    secrets: Secrets,
    /// Whoever has the permit fetches; the state's lock is never held across a wait.
    fetching: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    generation: u64,
    /// Renewed after a refusal, and nothing accepted since.
    on_probation: bool,
    refused: Option<(Wall, AnswerNote)>,
    slots: BTreeMap<Arc<str>, Slot>,
}

/// What is held for one project.
#[derive(Debug, Default)]
struct Slot {
    held: Option<Held>,
    /// Fetches that ended, and how the last one failed: those who waited for it share its end.
    ended: u64,
    failure: Option<IssueError>,
    /// The cloud refused what is, or was, held here.
    was_refused: bool,
}

#[derive(Debug)]
struct Held {
    authority: Authority,
    generation: u64,
    renew_at: Wall,
    expires_at: Wall,
}

/// Permission to ask once.
#[derive(Debug, Clone)]
pub struct Grant {
    pub authority: Authority,
    slot: Arc<str>,
    generation: u64,
}

enum Look {
    Fresh(Grant),
    /// Good, and due for renewal.
    Ageing(Grant),
    Missing {
        ended: u64,
    },
    Refused(IssueError),
}

impl Credential {
    pub fn new(secrets: Secrets) -> Credential {
        Credential { secrets, fetching: Semaphore::new(1), state: Mutex::default() }
    }

    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub fn form(&self) -> CredentialForm {
        match self.secrets {
            Secrets::AccessKey { .. } => CredentialForm::StaticKey,
            Secrets::Password { .. } | Secrets::Agency { .. } => CredentialForm::Token,
        }
    }

    /// What to ask with, fetched if need be.
    pub async fn grant(&self, issuer: Issuer<'_>) -> Result<Grant, IssueError> {
        let slot = match &self.secrets {
            Secrets::AccessKey { access_key, secret_key, security_token } => {
                let authority = Authority::Key {
                    access_key: access_key.clone(),
                    secret_key: secret_key.clone(),
                    security_token: security_token.clone(),
                };
                return Ok(Grant { authority, slot: EVERY_PROJECT.into(), generation: 0 });
            }
            Secrets::Password { .. } => Arc::clone(issuer.project_id),
            Secrets::Agency { .. } => EVERY_PROJECT.into(),
        };
        match self.look(&slot, issuer.clock.now()) {
            Look::Fresh(grant) => Ok(grant),
            Look::Ageing(grant) => match self.fetching.try_acquire() {
                Ok(_permit) => Ok(self.fetch(&slot, issuer).await.unwrap_or(grant)),
                Err(_) => Ok(grant),
            },
            Look::Missing { ended } => self.wait_for(&slot, ended, issuer).await,
            Look::Refused(failure) => Err(failure),
        }
    }

    /// Drops what is held and fetches anew: what was refused, else the first of `issuers`.
    pub async fn renew(&self, issuers: &[Issuer<'_>]) -> Result<(), IssueError> {
        let first = issuers.first().ok_or_else(|| cannot_renew("no project uses it"))?;
        let due: Vec<_> = match &self.secrets {
            Secrets::AccessKey { .. } => {
                return Err(cannot_renew("an access key is renewed in the configuration"));
            }
            Secrets::Agency { .. } => vec![(Arc::from(EVERY_PROJECT), *first)],
            Secrets::Password { .. } => {
                let slots = issuers.iter().map(|issuer| (Arc::clone(issuer.project_id), *issuer));
                let refused: Vec<_> =
                    slots.clone().filter(|(slot, _)| self.was_refused(slot)).collect();
                if refused.is_empty() { slots.take(1).collect() } else { refused }
            }
        };
        let _permit = self.permit().await;
        self.forget();
        for (slot, issuer) in due {
            self.fetch(&slot, issuer).await?;
        }
        Ok(())
    }

    /// The cloud accepted what was granted.
    pub fn accepted(&self, grant: &Grant) {
        let mut state = self.state();
        if state.holds(grant) {
            state.on_probation = false;
        }
    }

    /// The cloud refused what was granted. Whether a renewal may mend it.
    pub fn refused(&self, grant: &Grant) -> bool {
        if self.form() == CredentialForm::StaticKey {
            return false;
        }
        let mut state = self.state();
        let is_current = state.holds(grant);
        if let Some(slot) = state.slots.get_mut(&grant.slot).filter(|_| is_current) {
            slot.was_refused = true;
        }
        // Of what has been replaced since, a late refusal tells nothing.
        !is_current || !state.on_probation
    }

    /// Everything that no note about a request with this grant may show.
    pub fn secrets_beside(&self, grant: &Grant) -> Vec<SecretString> {
        let mut secrets = grant.authority.secrets();
        if let Secrets::Password { password, .. } = &self.secrets {
            secrets.push(password.clone());
        }
        secrets
    }

    fn look(&self, slot: &Arc<str>, now: Wall) -> Look {
        let state = self.state();
        let empty = Slot::default();
        let found = state.slots.get(slot).unwrap_or(&empty);
        match (&found.held, &state.refused) {
            (Some(held), _) if now < held.renew_at => Look::Fresh(held.grant(slot)),
            (Some(held), None) if now < held.expires_at => Look::Ageing(held.grant(slot)),
            (Some(held), Some(_)) if now < held.expires_at => Look::Fresh(held.grant(slot)),
            (_, Some((until, note))) if now < *until => {
                Look::Refused(IssueError::Refused(note.clone()))
            }
            _ => Look::Missing { ended: found.ended },
        }
    }

    /// Waits for its turn, and takes what whoever came first has fetched, or how that failed.
    async fn wait_for(
        &self,
        slot: &Arc<str>,
        seen: u64,
        issuer: Issuer<'_>,
    ) -> Result<Grant, IssueError> {
        let _permit = self.permit().await;
        match self.look(slot, issuer.clock.now()) {
            Look::Fresh(grant) | Look::Ageing(grant) => return Ok(grant),
            Look::Refused(failure) => return Err(failure),
            Look::Missing { ended } if ended != seen => {
                let failure = self.state().slots.get(slot).and_then(|slot| slot.failure.clone());
                if let Some(failure) = failure {
                    return Err(failure);
                }
            }
            Look::Missing { .. } => {}
        }
        self.fetch(slot, issuer).await
    }

    /// Fetches, while holding the permit.
    async fn fetch(&self, slot: &Arc<str>, issuer: Issuer<'_>) -> Result<Grant, IssueError> {
        let issued = match &self.secrets {
            Secrets::Password { domain, user, password } => {
                issuer.password_token(domain, user, password).await
            }
            Secrets::Agency { .. } => issuer.agency_keys().await,
            Secrets::AccessKey { .. } => Err(cannot_renew("an access key is never fetched")),
        };
        self.state().end_fetch(slot, issued, issuer.clock.now())
    }

    fn was_refused(&self, slot: &Arc<str>) -> bool {
        self.state().slots.get(slot).is_some_and(|slot| slot.was_refused)
    }

    fn forget(&self) {
        let mut state = self.state();
        state.on_probation |= state.slots.values().any(|slot| slot.was_refused);
        state.refused = None;
        for slot in state.slots.values_mut() {
            slot.held = None;
            slot.was_refused = false;
        }
    }

    async fn permit(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.fetching.acquire().await.expect("the semaphore is never closed")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn holds(&self, grant: &Grant) -> bool {
        let held = self.slots.get(&grant.slot).and_then(|slot| slot.held.as_ref());
        held.is_some_and(|held| held.generation == grant.generation)
    }

    fn end_fetch(
        &mut self,
        slot: &Arc<str>,
        issued: Result<Issued, IssueError>,
        now: Wall,
    ) -> Result<Grant, IssueError> {
        self.generation += 1;
        let generation = self.generation;
        let entry = self.slots.entry(Arc::clone(slot)).or_default();
        entry.ended += 1;
        match issued {
            Ok(Issued { authority, life }) => {
                let ahead = RENEW_AHEAD.min(Millis(life.0 / 4));
                let expires_at = now + life;
                let held = Held { authority, generation, renew_at: expires_at - ahead, expires_at };
                entry.failure = None;
                entry.was_refused = false;
                self.refused = None;
                Ok(entry.held.insert(held).grant(slot))
            }
            Err(failure) => {
                entry.failure = Some(failure.clone());
                if let Some(held) = &mut entry.held {
                    held.renew_at = now + RENEW_RETRY;
                }
                if let IssueError::Refused(note) = &failure {
                    self.refused = Some((now + REFUSED_FOR, note.clone()));
                }
                Err(failure)
            }
        }
    }
}

impl Held {
    fn grant(&self, slot: &Arc<str>) -> Grant {
        Grant {
            authority: self.authority.clone(),
            slot: Arc::clone(slot),
            generation: self.generation,
        }
    }
}

fn cannot_renew(reason: &str) -> IssueError {
    IssueError::Refused(AnswerNote { message: Some(reason.into()), ..AnswerNote::default() })
}
