//! `[credentials.NAME]`: who Refit is to the cloud.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::model::CredentialName;
use crate::model::access::Secrets;
use crate::model::policy::CredentialPolicy;

use super::Context;
use super::endpoint::{BaseUrl, Http, METADATA_ENDPOINT};
use super::kind::{Choice, Kind, Text};
use super::problem::Problem;
use super::secret::{Reference, SecretReference, fingerprint, resolve};
use super::section::Section;

/// How a credential proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CredentialKind {
    AccessKey,
    Password,
    Agency,
}

use CredentialKind::{AccessKey, Agency, Password};

const KINDS: Choice<CredentialKind> =
    Choice(&[("access-key", AccessKey), ("password", Password), ("agency", Agency)]);

/// Every key of a credential and the kind it belongs to.
const KEYS: [(&str, CredentialKind); 7] = [
    ("access_key", AccessKey),
    ("secret_key", AccessKey),
    ("security_token", AccessKey),
    ("domain", Password),
    ("user", Password),
    ("password", Password),
    ("metadata_endpoint", Agency),
];

type Credentials = (BTreeMap<CredentialName, CredentialPolicy>, BTreeMap<CredentialName, Secrets>);

pub fn read(root: &mut Section<'_>, context: &Context<'_>) -> Credentials {
    let mut policies = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    for (name, mut section) in root.named("credentials") {
        let found = credential(&mut section, context);
        if section.is_present() {
            section.close();
        }
        let Some(found) = found else { continue };
        let name = name.into_inner();
        let renewable = !matches!(found, Secrets::AccessKey { .. });
        let fingerprint = fingerprint(&name, &found).into();
        let name = CredentialName::from(name);
        policies.insert(name.clone(), CredentialPolicy { renewable, fingerprint });
        secrets.insert(name, found);
    }
    (policies, secrets)
}

fn credential(section: &mut Section<'_>, context: &Context<'_>) -> Option<Secrets> {
    let kind = section.is_present().then(|| section.required("kind", &KINDS)).flatten();
    for (key, owner) in KEYS {
        // Asked for here, so that a key of another kind is not called unknown.
        if section.item(key).is_some()
            && let Some(kind) = kind
            && kind != owner
        {
            let message = format!("this key has no meaning for kind {}", KINDS.print(&kind));
            let help = format!("leave it out, or write kind = {}", KINDS.print(&owner));
            section.problem_at(key, Problem::new(message).help(help));
        }
    }
    match kind? {
        AccessKey => {
            let access_key = secret(section, "access_key", context);
            let secret_key = secret(section, "secret_key", context);
            let token = section.optional("security_token", &SecretReference, "none");
            let security_token =
                token.and_then(|token| resolved(section, "security_token", &token, context));
            Some(Secrets::AccessKey {
                access_key: access_key?,
                secret_key: secret_key?,
                security_token,
            })
        }
        Password => {
            let domain = section.required("domain", &Text("the account's name"));
            let user = section.required("user", &Text("the user's name"));
            let password = secret(section, "password", context);
            Some(Secrets::Password {
                domain: domain?.into(),
                user: user?.into(),
                password: password?,
            })
        }
        Agency => {
            let kind = BaseUrl(Http::Metadata);
            let endpoint = section.or_default("metadata_endpoint", &kind, METADATA_ENDPOINT.into());
            Some(Secrets::Agency { metadata_endpoint: endpoint.into() })
        }
    }
}

fn secret(
    section: &mut Section<'_>,
    key: &'static str,
    context: &Context<'_>,
) -> Option<SecretString> {
    let reference = section.required(key, &SecretReference)?;
    resolved(section, key, &reference, context)
}

/// The secret itself; why it cannot be had is reported.
fn resolved(
    section: &Section<'_>,
    key: &str,
    reference: &Reference,
    context: &Context<'_>,
) -> Option<SecretString> {
    resolve(reference, context.base, context.environment)
        .map_err(|problem| section.problem_at(key, problem))
        .ok()
}
