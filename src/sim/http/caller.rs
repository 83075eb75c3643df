//! Who calls: the signature or the token of a request, and what comes of a wrong one.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};

use super::decided::Decided;
use super::heard::Heard;
use super::signature::{Authorization, Flaw, Signed, verify};
use super::{Inner, Shared};
use crate::model::Wall;
use crate::sim::world::{Bearer, ErrorBody, KeyRefusal, TokenRefusal};

const PREFIX: &str = "Incorrect IAM authentication information: ";

/// Who the caller proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// The id of an access key.
    Key(Arc<str>),
    /// The name of the user whose token was sent.
    User(Arc<str>),
}

impl Caller {
    /// What the log calls it.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Caller::Key(name) | Caller::User(name) => name,
        }
    }
}

/// The result of looking at a signature, before anything is counted.
pub(super) enum Signature {
    /// No `Authorization` at all.
    None,
    /// Not a key that can be checked.
    Refused {
        access: Arc<str>,
        why: KeyRefusal,
    },
    /// With the text of the refusal.
    Checked {
        access: Arc<str>,
        result: Result<(), &'static str>,
    },
    Malformed,
}

/// Checks a signature outside the world's lock: it is most of a request's work.
pub(super) fn check_signature(shared: &Shared, heard: &Heard) -> Signature {
    let Some(value) = heard.headers.get(header::AUTHORIZATION) else { return Signature::None };
    let authorization = value.to_str().ok().and_then(Authorization::parse);
    let Some(authorization) = authorization else { return Signature::Malformed };
    let access: Arc<str> = authorization.access.into();
    let now = shared.cloud_time();
    let bearer = shared.inner().world.access().bearer(now, &access);
    let bearer = match bearer {
        Ok(bearer) => bearer,
        Err(why) => return Signature::Refused { access, why },
    };
    let signed = Signed {
        method: &heard.method,
        path: &heard.path,
        query: &heard.query,
        headers: &heard.headers,
        body: &heard.body,
    };
    let result = match verify(now, &signed, &authorization, &bearer.secret) {
        Ok(()) => check_security_token(&bearer, &heard.headers),
        Err(Flaw::Date) => Err("verify aksk signature fail: signature expired"),
        Err(Flaw::Headers) => Err("verify aksk signature fail: signed headers"),
        Err(Flaw::Signature) => Err("verify aksk signature fail"),
    };
    Signature::Checked { access, result }
}

fn check_security_token(bearer: &Bearer, headers: &HeaderMap) -> Result<(), &'static str> {
    let sent = headers.get("x-security-token").map(HeaderValue::as_bytes);
    let wanted = bearer.security_token.as_ref().map(|token| token.as_bytes());
    if sent == wanted { Ok(()) } else { Err("decrypt token fail") }
}

/// An authentication that failed: 401 with one of its codes and texts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unauthenticated {
    code: &'static str,
    message: String,
    /// Who tried, as far as it is known.
    credential: Option<Arc<str>>,
}

impl From<Unauthenticated> for Decided {
    fn from(refusal: Unauthenticated) -> Decided {
        let Unauthenticated { code, message, credential } = refusal;
        Decided { credential, ..Decided::refused(401, ErrorBody::new(code, message)) }
    }
}

impl Inner {
    /// Finds out who calls and counts what a wrong signature does to a key.
    pub(super) fn authenticate(
        &mut self,
        now: Wall,
        heard: &Heard,
        project: Option<&str>,
        signature: Signature,
    ) -> Result<Caller, Unauthenticated> {
        let refused = |text: &str, credential: Option<Arc<str>>| {
            let message = format!("{PREFIX}{text}");
            Err(Unauthenticated { code: "APIGW.0301", message, credential })
        };
        match signature {
            Signature::None => self.check_token(now, heard, project),
            Signature::Malformed => refused("verify aksk signature fail", None),
            Signature::Refused { access, why } => {
                let text = match why {
                    KeyRefusal::Unknown => {
                        format!("Get secretKey failed,ak:{access},err:ak not exist")
                    }
                    KeyRefusal::Locked => "AK access failed to reach the limit,forbidden".into(),
                    KeyRefusal::Expired => "decrypt token fail".into(),
                };
                refused(&text, Some(access))
            }
            Signature::Checked { access, result: Err(text) } => {
                self.world.access().failed(now, &access);
                refused(text, Some(access))
            }
            Signature::Checked { access, result: Ok(()) } => {
                self.world.access().succeeded(&access);
                if project.is_some_and(|id| !self.world.access().opens(&access, id)) {
                    let message = "The project ID does not match the credential.".to_owned();
                    let credential = Some(access);
                    return Err(Unauthenticated { code: "DCS.1004", message, credential });
                }
                Ok(Caller::Key(access))
            }
        }
    }

    fn check_token(
        &mut self,
        now: Wall,
        heard: &Heard,
        project: Option<&str>,
    ) -> Result<Caller, Unauthenticated> {
        let Some(token) = heard.header("x-auth-token") else {
            let message = format!("{PREFIX}x-auth-token not found");
            return Err(Unauthenticated { code: "APIGW.0301", message, credential: None });
        };
        let user = self.world.access().user_of(token);
        let refused = |code: &'static str, text: &str| {
            Err(Unauthenticated { code, message: text.to_owned(), credential: user.clone() })
        };
        match self.world.access().check_token(now, token, project) {
            Ok(user) => Ok(Caller::User(user)),
            Err(TokenRefusal::Expired) => refused("APIGW.0307", "The token must be updated."),
            Err(TokenRefusal::OtherProject | TokenRefusal::NoProject) => {
                refused("DCS.1004", "The project ID does not match the token.")
            }
            Err(TokenRefusal::Unknown | TokenRefusal::WrongPassword) => {
                refused("APIGW.0301", &format!("{PREFIX}decrypt token fail"))
            }
        }
    }
}
