//! Where a project is reached and with which secrets. `config` resolves these, `cloud` uses them,
//! the engine never sees them.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use super::id::CredentialName;
use super::time::Millis;

/// How to reach one project.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub region: Arc<str>,
    /// The cloud's project id: 32 hex digits, or a UUID.
    pub project_id: Arc<str>,
    pub credential: CredentialName,
    /// Base URL without a trailing slash: https, or http on loopback.
    pub dcs: Arc<str>,
    pub iam: Arc<str>,
    /// PEM file of extra trusted roots.
    pub ca_file: Option<PathBuf>,
    /// Proxy URL.
    pub proxy: Option<Arc<str>>,
    /// One whole request.
    pub request_timeout: Millis,
}

/// Secrets, resolved from their references. `Debug` shows none of them.
#[derive(Debug, Clone)]
pub enum Secrets {
    AccessKey {
        access_key: SecretString,
        secret_key: SecretString,
        security_token: Option<SecretString>,
    },
    Password {
        domain: Arc<str>,
        user: Arc<str>,
        password: SecretString,
    },
    /// Temporary keys of the machine's agency.
    Agency {
        metadata_endpoint: Arc<str>,
    },
}
