//! IAM and the metadata address: tokens for passwords, projects, temporary keys (API facts,
//! sections 2.2, 2.3 and 3.15).

use serde::Deserialize;
use serde_json::{Value, json};

use super::route::Query;
use crate::model::Wall;
use crate::sim::world::{AgencyKeys, IssuedToken, ProjectRow, TokenRefusal, TokenScope, UserSpec};

/// An answer of IAM before faults shape it.
pub(super) struct IamAnswer {
    pub status: u16,
    pub body: Value,
    /// Goes into `X-Subject-Token`.
    pub token: Option<String>,
    /// Who asked, for the log.
    pub user: Option<String>,
}

impl IamAnswer {
    pub fn new(status: u16, body: Value) -> IamAnswer {
        IamAnswer { status, body, token: None, user: None }
    }

    /// IAM's own error shape: `code` is a number.
    pub fn error(status: u16, message: &str) -> IamAnswer {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            429 => "Too Many Requests",
            _ => "Service Unavailable",
        };
        let error = json!({ "code": status, "message": message, "title": title });
        IamAnswer::new(status, json!({ "error": error }))
    }
}

/// The body of `POST /v3/auth/tokens`, as far as it is understood.
#[derive(Deserialize)]
struct TokenRequest {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    identity: Identity,
    #[serde(default)]
    scope: Scope,
}

#[derive(Deserialize)]
struct Identity {
    methods: Vec<String>,
    password: Password,
}

#[derive(Deserialize)]
struct Password {
    user: User,
}

#[derive(Deserialize)]
struct User {
    name: String,
    password: String,
    domain: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize, Default)]
struct Scope {
    #[serde(default)]
    project: Option<ProjectScope>,
}

#[derive(Deserialize)]
struct ProjectScope {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// Who asks for a token, and for which project; none where the body is not of the form.
pub(super) fn parse_token_request(body: &[u8]) -> Option<(UserSpec, TokenScope)> {
    let TokenRequest { auth } = serde_json::from_slice(body).ok()?;
    if auth.identity.methods != ["password"] {
        return None;
    }
    let User { name, password, domain } = auth.identity.password.user;
    let user =
        UserSpec { domain: domain.name.into(), name: name.into(), password: password.into() };
    let scope = match auth.scope.project {
        Some(ProjectScope { id: Some(id), .. }) => TokenScope::Id(id),
        Some(ProjectScope { name: Some(name), .. }) => TokenScope::Name(name),
        _ => TokenScope::None,
    };
    Some((user, scope))
}

/// The answer to a request for a token.
pub(super) fn token(user: &UserSpec, issued: Result<IssuedToken, TokenRefusal>) -> IamAnswer {
    let mut answer = match issued {
        Ok(issued) => {
            let project = issued.project.map(|(id, region)| {
                json!({ "id": id, "name": region, "domain": { "name": user.domain } })
            });
            let token = json!({
                "expires_at": micros(issued.expires_at),
                "issued_at": micros(issued.issued_at),
                "methods": ["password"],
                "project": project,
                "user": {
                    "id": issued.user_id,
                    "name": user.name,
                    "domain": { "name": user.domain },
                },
                "roles": [{ "id": "0", "name": "op_gated_simulated" }],
            });
            let mut answer = IamAnswer::new(201, json!({ "token": token }));
            answer.token = Some(issued.token.to_string());
            answer
        }
        Err(TokenRefusal::NoProject) => IamAnswer::error(404, "The project does not exist."),
        Err(_) => IamAnswer::error(401, "The username or password is wrong."),
    };
    answer.user = Some(user.name.to_string());
    answer
}

/// `GET /v3/projects`: `rows` are those that the caller may see.
pub(super) fn projects(rows: impl Iterator<Item = ProjectRow>, query: &Query) -> IamAnswer {
    let wanted = |row: &ProjectRow| {
        query.get("name").is_none_or(|name| *name == *row.region || *name == *row.name)
    };
    let projects: Vec<Value> = rows
        .filter(wanted)
        .map(|row| {
            json!({
                "id": row.id,
                "name": row.region,
                "domain_id": "d78cbac186b744899480f25bd022f468",
                "parent_id": "d78cbac186b744899480f25bd022f468",
                "is_domain": false,
                "enabled": true,
                "description": row.name,
                "links": {
                    "self": format!("/v3/projects/{}", row.id), "next": null, "previous": null,
                },
            })
        })
        .collect();
    let links = json!({ "self": "/v3/projects", "next": null, "previous": null });
    IamAnswer::new(200, json!({ "projects": projects, "links": links }))
}

/// The keys of the metadata address.
pub(super) fn security_key(keys: Option<AgencyKeys>) -> IamAnswer {
    match keys {
        None => {
            let text = "Please configure Cloud Service Agency first";
            IamAnswer::new(401, json!({ "error": { "code": 401, "message": text } }))
        }
        Some(keys) => IamAnswer::new(
            200,
            json!({ "credential": {
                "access": keys.access,
                "secret": keys.secret,
                "securitytoken": keys.security_token,
                "expires_at": micros(keys.expires_at),
            } }),
        ),
    }
}

/// IAM's form of an instant: microseconds.
fn micros(at: Wall) -> String {
    at.rfc3339().replace('Z', "000Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_request_is_read_with_its_scope() {
        let body = br#"{"auth":{"identity":{"methods":["password"],"password":{"user":
            {"domain":{"name":"d"},"name":"u","password":"p"}}},"scope":{"project":{"id":"x"}}}}"#;
        let (user, scope) = parse_token_request(body).unwrap();
        assert_eq!((&*user.domain, &*user.name, &*user.password), ("d", "u", "p"));
        assert_eq!(scope, TokenScope::Id("x".into()));
        assert!(parse_token_request(b"{}").is_none());
    }

    #[test]
    fn instants_of_iam_have_microseconds() {
        assert_eq!(micros(Wall(1_578_128_722_701)), "2020-01-04T09:05:22.701000Z");
    }
}
