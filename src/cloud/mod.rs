//! The DCS and IAM client: one call in, one class out (docs/decisions.md: from POST to proof).
//!
//! It never repeats a request by itself, never follows a redirect and never decides: the engine
//! paces, retries and stops. An upgrade is sent at most once per call of [`Cloud::submit`], after
//! a last check that runs when the connection stands. Secrets leave only in headers and bodies of
//! requests, never in a note, an error or a `Debug`.

mod answer;
mod credential;
mod issuer;
mod last_check;
mod request;
pub mod signing;
mod text;
mod transport;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::access::{Endpoint, Secrets};
use crate::model::answer::Answered;
use crate::model::{
    AnswerNote, AttemptId, CredentialName, InstanceId, ProjectName, ReadAnswer, ReadCall,
    ReadFailure, SubmitAnswer, UpgradeBody, Wall,
};

use credential::{Credential, Grant};
use issuer::{IssueError, Issuer};
use last_check::{LastCheck, Progress};
use request::Call;
use transport::{Plain, Site, Transport};

pub use transport::{BODY_MAX_BYTES, PAGE_MAX_BYTES, TransportError, install_tls_provider};
pub use wire::{Unreadable, inventory_page};

/// The wall clock that signatures are dated by.
pub trait WallClock: Send + Sync {
    fn now(&self) -> Wall;
}

impl<F: Fn() -> Wall + Send + Sync> WallClock for F {
    fn now(&self) -> Wall {
        self()
    }
}

/// One upgrade to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmitOrder {
    pub attempt: AttemptId,
    pub project: ProjectName,
    pub instance: InstanceId,
    pub body: UpgradeBody,
}

/// What became of a [`SubmitOrder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted<R> {
    Answered(Answered<SubmitAnswer>),
    /// The last check said no: nothing was sent.
    Refused(R),
}

/// The client cannot be made as the configuration asks.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    #[error("project {project} names the credential {credential}, which there is not")]
    NoSuchCredential { project: ProjectName, credential: CredentialName },
    #[error("project {project} cannot be reached")]
    Unreachable { project: ProjectName, source: TransportError },
}

/// The cloud, as all configured projects reach it.
pub struct Cloud {
    projects: BTreeMap<ProjectName, Project>,
    transport: Transport,
    daemon_id: Arc<str>,
    clock: Arc<dyn WallClock>,
}

struct Project {
    endpoint: Endpoint,
    dcs: Site,
    iam: Site,
    /// Only for an agency.
    metadata: Option<Site>,
    credential: Arc<Credential>,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let projects: Vec<_> = self.projects.keys().collect();
        f.debug_struct("Cloud").field("projects", &projects).finish_non_exhaustive()
    }
}

impl Cloud {
    /// Makes the clients; asks nobody. `daemon_id` goes into every User-Agent.
    pub fn new(
        endpoints: BTreeMap<ProjectName, Endpoint>,
        credentials: BTreeMap<CredentialName, Secrets>,
        daemon_id: &str,
        clock: Arc<dyn WallClock>,
    ) -> Result<Cloud, CloudError> {
        let credentials: BTreeMap<_, _> = credentials
            .into_iter()
            .map(|(name, secrets)| (name, Arc::new(Credential::new(secrets))))
            .collect();
        let agent = request::daemon_agent(daemon_id);
        let mut transport = Transport::default();
        let mut projects = BTreeMap::new();
        for (name, endpoint) in endpoints {
            let credential = credentials.get(&endpoint.credential).ok_or_else(|| {
                CloudError::NoSuchCredential {
                    project: name.clone(),
                    credential: endpoint.credential.clone(),
                }
            })?;
            let project = Project::new(endpoint, Arc::clone(credential))
                .and_then(|project| project.add_to(&mut transport, &agent))
                .map_err(|source| CloudError::Unreachable { project: name.clone(), source })?;
            projects.insert(name, project);
        }
        Ok(Cloud { projects, transport, daemon_id: daemon_id.into(), clock })
    }

    /// Sends one upgrade, once.
    ///
    /// `last_check` runs when the connection stands, right before the first byte; what it refuses
    /// is not sent. It must not block. Whatever fails before it said yes was not sent; whatever
    /// fails after is uncertain.
    pub async fn submit<R: Send + 'static>(
        &self,
        order: &SubmitOrder,
        last_check: impl Fn() -> Result<(), R> + Send + Sync + 'static,
    ) -> Submitted<R> {
        let Some(project) = self.projects.get(&order.project) else {
            let answer = SubmitAnswer::NotSent;
            return Submitted::Answered(answer::local(answer, "the project is not configured"));
        };
        let project_id = &project.endpoint.project_id;
        let call = match request::upgrade(project_id, &order.instance, &order.body) {
            Ok(call) => call,
            Err(error) => {
                let answer = SubmitAnswer::Rejected { suspicious: false };
                return Submitted::Answered(answer::local(answer, &error.to_string()));
            }
        };
        let grant = match project.credential.grant(self.issuer(project)).await {
            Ok(grant) => grant,
            Err(failure) => return Submitted::Answered(answer::submit_ungranted(failure)),
        };
        let agent = request::attempt_agent(&order.attempt.to_string(), &self.daemon_id);
        let request = match self.request(project, call, &grant, Some(&agent)) {
            Ok(request) => request,
            Err(error) => {
                let answer = SubmitAnswer::CredentialRefused { renewable: false };
                return Submitted::Answered(answer::local(answer, &error.to_string()));
            }
        };
        let check = LastCheck::new(last_check);
        let client = self.transport.submits(&project.dcs);
        let outcome = check.guard(transport::exchange(client, request, BODY_MAX_BYTES)).await;
        let context = answer::Context::new(&project.credential, &grant, &*self.clock);
        match (check.progress(), outcome) {
            (Progress::Refused(refusal), _) => Submitted::Refused(refusal),
            (Progress::NoConnection, Err(reason)) => {
                Submitted::Answered(context.unanswered(SubmitAnswer::NotSent, &reason))
            }
            (Progress::NoConnection, Ok(received)) => {
                // Only a connection that was used before can bring this about, and none ever is.
                tracing::error!(attempt = %order.attempt, "an upgrade left without its last check");
                Submitted::Answered(context.submitted(Ok(received)))
            }
            (Progress::Sent, outcome) => Submitted::Answered(context.submitted(outcome)),
        }
    }

    /// Makes one read, once.
    ///
    /// # Errors
    /// What kept the read from bringing anything, as a class to react to.
    pub async fn read(
        &self,
        project: &ProjectName,
        call: &ReadCall,
    ) -> Result<Answered<ReadAnswer>, Answered<ReadFailure>> {
        let Some(project) = self.projects.get(project) else {
            return Err(answer::local(ReadFailure::Rejected, "the project is not configured"));
        };
        let request = request::read(&project.endpoint.project_id, call)
            .map_err(|error| answer::local(ReadFailure::Rejected, &error.to_string()))?;
        let body_max = request.body_max;
        let grant =
            project.credential.grant(self.issuer(project)).await.map_err(answer::read_ungranted)?;
        let request = self.request(project, request, &grant, None).map_err(|error| {
            let failure = ReadFailure::CredentialRefused { renewable: false };
            answer::local(failure, &error.to_string())
        })?;
        let client = self.transport.reads(&project.dcs);
        let outcome = transport::exchange(client, request, body_max).await;
        answer::Context::new(&project.credential, &grant, &*self.clock).read(call, outcome)
    }

    /// Drops the credential's token or keys and fetches anew.
    ///
    /// # Errors
    /// Nothing new came; the note says why. An access key of the configuration can never be
    /// renewed.
    pub async fn renew(&self, credential: &CredentialName) -> Result<(), AnswerNote> {
        let users: Vec<_> = self
            .projects
            .values()
            .filter(|project| project.endpoint.credential == *credential)
            .collect();
        let Some(first) = users.first() else {
            return Err(answer::local((), "no project uses this credential").note);
        };
        let issuers: Vec<_> = users.iter().map(|project| self.issuer(project)).collect();
        first.credential.renew(&issuers).await.map_err(IssueError::into_note)
    }

    fn issuer<'a>(&'a self, project: &'a Project) -> Issuer<'a> {
        Issuer {
            transport: &self.transport,
            clock: &*self.clock,
            iam: &project.iam,
            metadata: project.metadata.as_ref(),
            project_id: &project.endpoint.project_id,
            timeout: project.endpoint.request_timeout.to_std(),
        }
    }

    fn request(
        &self,
        project: &Project,
        call: Call,
        grant: &Grant,
        agent: Option<&str>,
    ) -> Result<reqwest::Request, request::Unsendable> {
        let Endpoint { project_id, request_timeout, .. } = &project.endpoint;
        let now = self.clock.now();
        let to = request::Addressee { site: &project.dcs, project_id };
        let mut request = request::authorized(call, to, &grant.authority, now)?;
        *request.timeout_mut() = Some(request_timeout.to_std());
        if let Some(agent) = agent {
            request.headers_mut().insert(reqwest::header::USER_AGENT, agent.parse()?);
        }
        Ok(request)
    }
}

impl Project {
    fn new(endpoint: Endpoint, credential: Arc<Credential>) -> Result<Project, TransportError> {
        let site = |base: &str| {
            Site::new(base, Plain::Loopback, endpoint.ca_file.as_ref(), endpoint.proxy.as_ref())
        };
        let metadata = match credential.secrets() {
            Secrets::Agency { metadata_endpoint } => {
                Some(Site::new(metadata_endpoint, Plain::Metadata, None, None)?)
            }
            Secrets::AccessKey { .. } | Secrets::Password { .. } => None,
        };
        let (dcs, iam) = (site(&endpoint.dcs)?, site(&endpoint.iam)?);
        Ok(Project { endpoint, dcs, iam, metadata, credential })
    }

    fn add_to(self, transport: &mut Transport, agent: &str) -> Result<Project, TransportError> {
        for site in [Some(&self.dcs), Some(&self.iam), self.metadata.as_ref()].into_iter().flatten()
        {
            transport.add(site, agent)?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    fn cloud(dcs: &str, credential: &str, ca_file: Option<&str>) -> Result<Cloud, CloudError> {
        let endpoint = Endpoint {
            region: "sim-1".into(),
            project_id: "0123456789abcdef0123456789abcdef".into(),
            credential: credential.into(),
            dcs: dcs.into(),
            iam: "http://127.0.0.1:1".into(),
            ca_file: ca_file.map(Into::into),
            proxy: None,
            request_timeout: Millis::from_secs(30),
        };
        let secrets = Secrets::AccessKey {
            access_key: "canary-access".into(),
            secret_key: "canary-secret".into(),
            security_token: Some("bad\nheader canary".into()),
        };
        Cloud::new(
            [("p".into(), endpoint)].into(),
            [("main".into(), secrets)].into(),
            "daemon-1",
            Arc::new(|| Wall(0)),
        )
    }

    #[test]
    fn what_cannot_work_is_told_before_the_first_request() {
        let told = |result: Result<Cloud, CloudError>| match result {
            Ok(cloud) => panic!("made {cloud:?}"),
            Err(error) => match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        };
        assert_eq!(
            told(cloud("http://127.0.0.1:1", "other", None)),
            "project p names the credential other, which there is not"
        );
        assert_eq!(
            told(cloud("http://dcs.example.com", "main", None)),
            "project p cannot be reached: \"http://dcs.example.com\" is no address of a service: \
             https, or http on this machine"
        );
        let missing = told(cloud("https://dcs.example.com", "main", Some("/nowhere/ca.pem")));
        assert!(missing.ends_with("cannot read the certificates in /nowhere/ca.pem"), "{missing}");
        let no_pem = told(cloud("https://dcs.example.com", "main", Some("Cargo.toml")));
        assert!(no_pem.ends_with("no PEM certificate in Cargo.toml"), "{no_pem}");
    }

    #[tokio::test]
    async fn a_credential_that_fits_no_header_stops_the_credential_and_is_not_shown() {
        let cloud = cloud("http://127.0.0.1:1", "main", None).unwrap();
        let call = ReadCall::InventoryPage { offset: 0 };
        let failed = cloud.read(&"p".into(), &call).await.unwrap_err();
        assert_eq!(failed.answer, ReadFailure::CredentialRefused { renewable: false });
        assert!(!format!("{failed:?} {cloud:?}").contains("canary"));
    }
}
