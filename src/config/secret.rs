//! Secrets: written as references, read from the environment, a file or systemd's credentials.
//!
//! No message here ever repeats a value, nor what was written where a reference should stand: it
//! may be the secret itself (rule S15).

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::model::access::Secrets;

use super::environment::Environment;
use super::kind::{Kind, print_text};
use super::problem::Problem;
use super::section::Item;
use super::source::reason;

/// A key or password of more bytes is something else.
const SECRET_LIMIT: u64 = 64 * 1024;

/// Permission bits that let every user of the machine in.
const OTHERS: u32 = 0o007;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `env:NAME`
    Variable(String),
    /// `file:PATH`
    File(String),
    /// `credential:NAME`, a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// A reference; anything else may be a secret and is refused unread.
pub struct SecretReference;

/// What a reference looks like.
const HELP: &str = "write \"env:NAME\", \"file:PATH\" or \"credential:NAME\"";

impl Kind for SecretReference {
    type Value = Reference;

    fn parse(&self, item: &Item<'_>) -> Result<Reference, Vec<Problem>> {
        let wrong = |message: &str| vec![Problem::credential(message).help(HELP).without_value()];
        let Some(written) = item.get_ref().as_str() else {
            return Err(wrong("expected a reference to a secret"));
        };
        if written.is_empty() {
            return Err(wrong("an empty string is no reference to a secret"));
        }
        let (scheme, rest) = written.split_once(':').unwrap_or_default();
        let is_plain = !rest.is_empty() && !rest.chars().any(char::is_control);
        match scheme {
            "env" if is_plain && !rest.contains('=') => Ok(Reference::Variable(rest.into())),
            "file" if is_plain => Ok(Reference::File(rest.into())),
            "credential" if is_plain && !rest.contains('/') && !rest.starts_with('.') => {
                Ok(Reference::Credential(rest.into()))
            }
            "env" if is_plain => Err(wrong("a variable's name holds no equals sign")),
            "credential" if is_plain => {
                Err(wrong("a credential's name holds no slash and does not begin with a dot"))
            }
            "env" | "file" | "credential" => Err(wrong("the reference names nothing to read")),
            _ => Err(wrong("a secret must not stand in the file")),
        }
    }

    fn print(&self, value: &Reference) -> String {
        print_text(&match value {
            Reference::Variable(name) => format!("env:{name}"),
            Reference::File(path) => format!("file:{path}"),
            Reference::Credential(name) => format!("credential:{name}"),
        })
    }

    fn example(&self) -> String {
        "\"env:NAME\"".into()
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = \"env:NAME\"`, \"file:PATH\" or \"credential:NAME\"")
    }
}

/// Reads what a reference names. A relative path counts from `base`, the file's own directory.
pub fn resolve(
    reference: &Reference,
    base: &Path,
    environment: &dyn Environment,
) -> Result<SecretString, Problem> {
    match reference {
        Reference::Variable(name) => {
            let value = environment.variable(name).ok_or_else(|| {
                Problem::credential(format!("the environment variable {name} is not set"))
                    .help(format!("set {name} where refit runs"))
            })?;
            let value = value.into_string().map_err(|_| {
                Problem::credential(format!("the environment variable {name} is not UTF-8"))
            })?;
            usable(value, &format!("the environment variable {name}"))
        }
        Reference::File(path) => read_file(&base.join(path), Mode::Checked, environment),
        Reference::Credential(name) => {
            let directory = environment.variable("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                Problem::credential("$CREDENTIALS_DIRECTORY is not set")
                    .help(format!("run under systemd with LoadCredential={name}:PATH"))
            })?;
            // systemd itself keeps others out of the directory.
            read_file(&PathBuf::from(directory).join(name), Mode::Trusted, environment)
        }
    }
}

/// Whether a file's permissions are looked at.
enum Mode {
    Checked,
    Trusted,
}

fn read_file(
    path: &Path,
    mode: Mode,
    environment: &dyn Environment,
) -> Result<SecretString, Problem> {
    let name = path.display().to_string();
    let content = environment.read(path, SECRET_LIMIT).map_err(|error| {
        Problem::credential(format!("cannot read {name}: {}", reason(&error)))
            .help("write the secret there, readable by the user that runs refit")
    })?;
    if matches!(mode, Mode::Checked) && content.mode & OTHERS != 0 {
        let message = format!("{name} is open to every user (mode {:04o})", content.mode);
        return Err(Problem::credential(message).help(format!("run: chmod o= {name}")));
    }
    if content.size > SECRET_LIMIT {
        let message = format!("{name} is larger than {SECRET_LIMIT} bytes");
        return Err(Problem::credential(message).help("name the file that holds only the secret"));
    }
    let value = String::from_utf8(content.bytes)
        .map_err(|_| Problem::credential(format!("{name} is not UTF-8")))?;
    let value = value.strip_suffix('\n').unwrap_or(&value);
    usable(value.strip_suffix('\r').unwrap_or(value).to_owned(), &name)
}

fn usable(value: String, place: &str) -> Result<SecretString, Problem> {
    let wrong = |what: &str| Problem::credential(format!("{place} {what}"));
    if value.is_empty() {
        Err(wrong("is empty").help("put the secret there"))
    } else if value.chars().any(|c| c.is_control()) {
        Err(wrong("holds a line break or another control character")
            .help("put the secret there alone, on one line"))
    } else {
        Ok(value.into())
    }
}

/// Keeps fingerprints of this program apart from every other hash of the same secret.
const SALT: &str = "refit credential fingerprint 1";

/// Salted SHA-256, in hex, of the secret values: changes when one of them does, tells nothing else.
pub fn fingerprint(name: &str, secrets: &Secrets) -> String {
    let parts = match secrets {
        Secrets::AccessKey { access_key, secret_key, security_token } => vec![
            "access-key",
            access_key.expose_secret(),
            secret_key.expose_secret(),
            security_token.as_ref().map_or("", ExposeSecret::expose_secret),
        ],
        Secrets::Password { domain, user, password } => {
            vec!["password", &**domain, &**user, password.expose_secret()]
        }
        Secrets::Agency { metadata_endpoint } => vec!["agency", &**metadata_endpoint],
    };
    let mut hash = Sha256::new();
    for part in [SALT, name].into_iter().chain(parts) {
        // The length keeps "ab", "c" apart from "a", "bc".
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}
