//! Keys, users and tokens of the simulated cloud: who is let in, and who is locked out.
//!
//! Signatures are checked where requests are; this only counts what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::knobs::Knobs;
use super::spec::{UserSpec, WorldSpec};
use crate::model::{Millis, Wall, draw};

/// Failures in a row that lock a key, and for how long (API facts, section 2.1).
const FAILURES_THAT_LOCK: u32 = 5;
const LOCKED_FOR: Millis = Millis::from_mins(5);

/// Who may call.
#[derive(Debug, Clone)]
pub struct Access {
    seed: u64,
    token_life: Millis,
    agency_life: Millis,
    keys: BTreeMap<Arc<str>, Key>,
    users: Vec<(UserSpec, Scope)>,
    tokens: BTreeMap<Arc<str>, Token>,
    agency: Option<Scope>,
    issued: u64,
}

/// A project that a user or key belongs to.
#[derive(Debug, Clone)]
struct Scope {
    project_id: Arc<str>,
    region: Arc<str>,
    name: Arc<str>,
    user_id: Arc<str>,
}

#[derive(Debug, Clone, Default)]
struct Key {
    secret: Arc<str>,
    security_token: Option<Arc<str>>,
    projects: BTreeSet<Arc<str>>,
    expires_at: Option<Wall>,
    failures: u32,
    locked_until: Option<Wall>,
}

#[derive(Debug, Clone)]
struct Token {
    user: Arc<str>,
    project_id: Option<Arc<str>>,
    expires_at: Wall,
}

/// What a signature is to be checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    pub secret: Arc<str>,
    pub security_token: Option<Arc<str>>,
}

/// Why a key or signature does not count: APIGW.0301 with one of its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    Unknown,
    Locked,
    Expired,
}

/// The project that a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenScope {
    Id(String),
    Name(String),
    /// A domain, or nothing: such a token opens no project.
    None,
}

/// Why no token is issued, or one does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    WrongPassword,
    NoProject,
    Unknown,
    Expired,
    OtherProject,
}

/// A token of IAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    pub token: Arc<str>,
    pub issued_at: Wall,
    pub expires_at: Wall,
    pub project: Option<(Arc<str>, Arc<str>)>,
    pub user_id: Arc<str>,
}

/// Temporary keys of the metadata address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgencyKeys {
    pub access: Arc<str>,
    pub secret: Arc<str>,
    pub security_token: Arc<str>,
    pub expires_at: Wall,
}

impl Access {
    pub(super) fn new(spec: &WorldSpec, knobs: &Knobs, seed: u64) -> Access {
        let mut access = Access {
            seed,
            token_life: knobs.token_life.0,
            agency_life: knobs.agency_life.0,
            keys: BTreeMap::new(),
            users: Vec::new(),
            tokens: BTreeMap::new(),
            agency: None,
            issued: 0,
        };
        for project in &spec.projects {
            let scope = Scope {
                project_id: project.id.clone(),
                region: project.region.clone(),
                name: project.name.clone(),
                user_id: project.user_id.clone(),
            };
            for key in &project.access_keys {
                let known = access.keys.entry(key.access.clone()).or_default();
                known.secret = key.secret.clone();
                known.security_token = key.security_token.clone();
                known.projects.insert(project.id.clone());
            }
            access.users.extend(project.users.iter().map(|user| (user.clone(), scope.clone())));
            if project.agency && access.agency.is_none() {
                access.agency = Some(scope);
            }
        }
        access
    }

    /// The secret to check a signature with.
    ///
    /// # Errors
    /// Where the key is unknown, locked or expired; none of these counts as a failure.
    pub fn bearer(&self, now: Wall, access: &str) -> Result<Bearer, KeyRefusal> {
        let key = self.keys.get(access).ok_or(KeyRefusal::Unknown)?;
        if key.locked_until.is_some_and(|until| now < until) {
            return Err(KeyRefusal::Locked);
        }
        if key.expires_at.is_some_and(|at| now >= at) {
            return Err(KeyRefusal::Expired);
        }
        Ok(Bearer { secret: key.secret.clone(), security_token: key.security_token.clone() })
    }

    /// A signature was wrong: five in a row lock the key.
    pub fn failed(&mut self, now: Wall, access: &str) {
        if let Some(key) = self.keys.get_mut(access) {
            key.failures += 1;
            if key.failures >= FAILURES_THAT_LOCK {
                key.failures = 0;
                key.locked_until = Some(now + LOCKED_FOR);
            }
        }
    }

    pub fn succeeded(&mut self, access: &str) {
        if let Some(key) = self.keys.get_mut(access) {
            key.failures = 0;
            key.locked_until = None;
        }
    }

    /// Whether the key belongs to the project.
    pub fn opens(&self, access: &str, project_id: &str) -> bool {
        self.keys.get(access).is_some_and(|key| key.projects.contains(project_id))
    }

    /// Every token dies, as after a change of the password.
    pub fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    /// A token for a password (API facts, section 2.2).
    ///
    /// # Errors
    /// Where the password is wrong or the user has no such project.
    pub fn issue_token(
        &mut self,
        now: Wall,
        user: &UserSpec,
        scope: &TokenScope,
    ) -> Result<IssuedToken, TokenRefusal> {
        let mut known = self.users.iter().filter(|(each, _)| each == user).peekable();
        if known.peek().is_none() {
            return Err(TokenRefusal::WrongPassword);
        }
        let found = known.clone().find(|(_, project)| match scope {
            TokenScope::Id(id) => *id == *project.project_id,
            TokenScope::Name(name) => *name == *project.region || *name == *project.name,
            TokenScope::None => true,
        });
        let project = found.map(|(_, project)| project.clone()).ok_or(TokenRefusal::NoProject)?;
        self.issued += 1;
        let token: Arc<str> = self.secret_text("token", &user.name, 4).into();
        let expires_at = now + self.token_life;
        let scoped = *scope != TokenScope::None;
        self.tokens.insert(
            token.clone(),
            Token {
                user: user.name.clone(),
                project_id: scoped.then(|| project.project_id.clone()),
                expires_at,
            },
        );
        Ok(IssuedToken {
            token,
            issued_at: now,
            expires_at,
            project: scoped.then_some((project.project_id, project.region)),
            user_id: project.user_id,
        })
    }

    /// Whose token it is, or was.
    pub fn user_of(&self, token: &str) -> Option<Arc<str>> {
        self.tokens.get(token).map(|token| token.user.clone())
    }

    /// Whether the token opens the project; whose it is.
    ///
    /// # Errors
    /// Where it does not: never issued or revoked, expired, or of another project.
    pub fn check_token(
        &self,
        now: Wall,
        token: &str,
        project_id: Option<&str>,
    ) -> Result<Arc<str>, TokenRefusal> {
        let known = self.tokens.get(token).ok_or(TokenRefusal::Unknown)?;
        if now >= known.expires_at {
            return Err(TokenRefusal::Expired);
        }
        match (project_id, &known.project_id) {
            (Some(wanted), Some(own)) if *wanted == **own => Ok(known.user.clone()),
            (Some(_), _) => Err(TokenRefusal::OtherProject),
            (None, _) => Ok(known.user.clone()),
        }
    }

    /// Temporary keys, where a project has an agency.
    pub fn issue_agency_keys(&mut self, now: Wall) -> Option<AgencyKeys> {
        let scope = self.agency.clone()?;
        self.issued += 1;
        let text = |purpose: &str, blocks| self.secret_text(purpose, "agency", blocks);
        let access = text("agency access", 1).to_uppercase();
        let keys = AgencyKeys {
            access: format!("HST{access}").into(),
            secret: text("agency secret", 2).into(),
            security_token: text("agency token", 8).into(),
            expires_at: now + self.agency_life,
        };
        self.keys.insert(
            keys.access.clone(),
            Key {
                secret: keys.secret.clone(),
                security_token: Some(keys.security_token.clone()),
                projects: BTreeSet::from([scope.project_id]),
                expires_at: Some(keys.expires_at),
                ..Key::default()
            },
        );
        Some(keys)
    }

    /// `blocks` × 16 hex digits, other ones for each issue.
    fn secret_text(&self, purpose: &str, id: &str, blocks: u64) -> String {
        (0..blocks)
            .map(|block| {
                let bits = draw::bits(self.seed, purpose, id, self.issued * 16 + block);
                format!("{bits:016x}")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::world::WorldSpec;

    fn access(knobs: &Knobs) -> Access {
        Access::new(&WorldSpec::demo(1), knobs, 1)
    }

    fn key() -> Arc<str> {
        WorldSpec::demo(1).projects[0].access_keys[0].access.clone()
    }

    #[test]
    fn five_failures_in_a_row_lock_a_key_for_five_minutes() {
        let (mut access, key) = (access(&Knobs::default()), key());
        for _ in 0..4 {
            access.failed(Wall(0), &key);
        }
        access.succeeded(&key);
        for _ in 0..5 {
            assert!(access.bearer(Wall(0), &key).is_ok());
            access.failed(Wall(0), &key);
        }
        assert_eq!(access.bearer(Wall(299_999), &key), Err(KeyRefusal::Locked));
        assert!(access.bearer(Wall(300_000), &key).is_ok());
    }

    #[test]
    fn a_token_lives_as_long_as_the_knob_says_and_opens_its_project_only() {
        let mut knobs = Knobs::default();
        knobs.set("token_life=5s").unwrap();
        let spec = WorldSpec::demo(1);
        let (user, project) = (spec.projects[0].users[0].clone(), spec.projects[0].id.clone());
        let mut access = access(&knobs);
        let scope = TokenScope::Id(project.to_string());
        let token = access.issue_token(Wall(0), &user, &scope).unwrap().token;
        let check = |at, id: &str| access.check_token(Wall(at), &token, Some(id));
        assert_eq!(check(4_999, &project), Ok(user.name.clone()));
        assert_eq!(check(4_999, &spec.projects[1].id), Err(TokenRefusal::OtherProject));
        assert_eq!(check(5_000, &project), Err(TokenRefusal::Expired));
    }

    #[test]
    fn a_wrong_password_and_a_foreign_project_get_no_token() {
        let spec = WorldSpec::demo(1);
        let mut access = access(&Knobs::default());
        let mut user = spec.projects[0].users[0].clone();
        let nowhere = TokenScope::Name("nowhere".into());
        let refused = access.issue_token(Wall(0), &user, &nowhere);
        assert_eq!(refused, Err(TokenRefusal::NoProject));
        user.password = "wrong".into();
        let refused = access.issue_token(Wall(0), &user, &TokenScope::None);
        assert_eq!(refused, Err(TokenRefusal::WrongPassword));
    }
}
