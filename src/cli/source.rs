//! Where `status`, `why` and `events` read: the running daemon, else the store that one left.
//!
//! Without a daemon the store is opened read-only and an engine is restored from its rows in
//! memory, so that states and holds are told by the same code either way. Nothing is written, no
//! lock is taken, and nothing is sent.

use std::io::ErrorKind;

use crate::api::EventsAnswer;
use crate::engine::hold::shell_word;
use crate::engine::input::Ownership;
use crate::engine::view::{Candidate, Why};
use crate::engine::{Engine, Event, Hold, HoldKind, Input, Plan, Status};
use crate::model::{Millis, Settings, Steady, TargetId};
use crate::store::{EventFilter, EventOrder, ReadOnly, StoreError, ensure_unused};

use super::failure::Failure;
use super::site::Site;
use super::socket::{ELSEWHERE, IN_A_WHILE, NoDaemon, Socket};
use super::{Context, moment, settings, target};

/// Why nothing starts from a store alone.
const NO_DAEMON: &str = "no daemon is running";

#[derive(Debug)]
pub enum Source {
    Daemon(Socket),
    Store(Box<Offline>),
}

/// A store without a daemon that answers, as an engine sees it.
#[derive(Debug)]
pub struct Offline {
    store: ReadOnly,
    engine: Engine,
    now: Steady,
    /// The process that drives it but listens elsewhere, or not yet: `process 12`.
    driven: Option<String>,
}

impl Source {
    /// The daemon, else the store.
    ///
    /// # Errors
    /// There is neither, this user may not ask, or what is there cannot be used.
    pub async fn open(context: &Context) -> Result<Source, Failure> {
        match Socket::open(&context.site) {
            Ok(socket) => Ok(Source::Daemon(socket)),
            Err(none @ NoDaemon::Forbidden(..)) => Err(none.into_failure(&context.site)),
            Err(none @ NoDaemon::Absent(..)) => {
                Ok(Source::Store(Box::new(Offline::open(context, none).await?)))
            }
        }
    }

    /// # Errors
    /// The daemon went away.
    pub async fn status(&self) -> Result<Status, Failure> {
        match self {
            Source::Daemon(socket) => socket.get("/v1/status").await,
            Source::Store(offline) => Ok(offline.status()),
        }
    }

    /// # Errors
    /// The daemon went away.
    pub async fn plan(&self) -> Result<Plan, Failure> {
        match self {
            Source::Daemon(socket) => socket.get_within(IN_A_WHILE, "/v1/plan").await,
            Source::Store(offline) => Ok(offline.engine.plan(offline.now)),
        }
    }

    /// The target that `text` means: an instance's name or id, alone or after
    /// `campaign/project/`.
    ///
    /// # Errors
    /// None or several, naming what could be meant; or the daemon went away.
    pub async fn find(&self, text: &str) -> Result<TargetId, Failure> {
        let found: Vec<Candidate> = match self {
            Source::Daemon(socket) => target::called(socket, text).await?,
            Source::Store(offline) => offline.engine.called(text),
        };
        if found.is_empty() {
            return Err(target::unknown(&self.plan().await?, text));
        }
        target::only(text, found)
    }

    /// Why one target is not moving; the target exists, or is told apart as unknown.
    ///
    /// # Errors
    /// No such target, or the daemon went away.
    pub async fn why(&self, id: &TargetId) -> Result<Why, Failure> {
        match self {
            Source::Daemon(socket) => {
                let route = format!("/v1/why/{}", path(id));
                match socket.find(&route).await? {
                    Some(why) => Ok(why),
                    None => Err(target::unknown(&self.plan().await?, &id.to_string())),
                }
            }
            Source::Store(offline) => offline.why(id),
        }
    }

    /// A page of the ledger, with the names of the instances in it.
    ///
    /// # Errors
    /// The daemon went away, or the store cannot be read.
    pub async fn events(&self, filter: &EventFilter) -> Result<EventsAnswer, Failure> {
        match self {
            Source::Daemon(socket) => socket.get(&format!("/v1/events?{}", query(filter))).await,
            Source::Store(offline) => {
                let events = offline.store.events(filter).await.map_err(store_failure)?;
                let names = offline.engine.named(events.iter().filter_map(Event::target).collect());
                Ok(EventsAnswer { events, names })
            }
        }
    }

    /// Said before anything that the store tells: it may be old.
    pub fn caveat(&self, site: &Site) -> Option<String> {
        match self {
            Source::Daemon(_) => None,
            Source::Store(offline) => Some(offline.caveat(site)),
        }
    }
}

impl Offline {
    async fn open(context: &Context, none: NoDaemon) -> Result<Offline, Failure> {
        let driven = match ensure_unused(&context.site.store) {
            Err(in_use @ StoreError::InUse { .. }) => Some(in_use.to_string()),
            // Whatever else is wrong with it is found below.
            _ => None,
        };
        let store = match ReadOnly::open(&context.site.store).await {
            Ok(store) => store,
            // Neither: then the missing daemon is what there is to say.
            Err(StoreError::Missing { .. } | StoreError::NoDirectory { .. }) => {
                return Err(none.into_failure(&context.site));
            }
            Err(error) => return Err(store_failure(error)),
        };
        let rows = store.load().await.map_err(store_failure)?;
        let mut settings = settings::load(&context.globals)?.config.settings;
        keep_fingerprints(&mut settings, &rows.credentials);
        let now = Steady(moment::now().0);
        let mut engine = Engine::restore(rows, Millis::ZERO, 0);
        engine.step(now, Input::Settings(settings.into()));
        engine.step(now, Input::Restarted);
        // Nobody is: so nothing that could start now seems about to.
        engine.step(now, Input::Ownership(Ownership::NotOwner));
        Ok(Offline { store, engine, now, driven })
    }

    /// Why nothing starts, or why that cannot be told.
    fn doubt(&self) -> &str {
        self.driven.as_deref().unwrap_or(NO_DAEMON)
    }

    fn caveat(&self, site: &Site) -> String {
        let store = site.store.display();
        match &self.driven {
            None => format!(
                "No daemon is running: this is what {store} holds.\n  next: {}",
                site.start_command()
            ),
            Some(in_use) => format!(
                "{in_use}, which is not answering here: this is what the store holds.\n  \
                 next: {ELSEWHERE}"
            ),
        }
    }

    fn status(&self) -> Status {
        let mut status = self.engine.status(self.now);
        // Of a daemon that is there nobody here knows what it starts.
        status.doubts = match self.driven {
            None => vec![NO_DAEMON.to_owned()],
            Some(_) => Vec::new(),
        };
        for hold in status.campaigns.iter_mut().filter_map(|campaign| campaign.hold.as_mut()) {
            self.name_owner(hold);
        }
        status
    }

    fn why(&self, id: &TargetId) -> Result<Why, Failure> {
        let Some(mut why) = self.engine.why(id, self.now) else {
            return Err(target::unknown(&self.engine.plan(self.now), &id.to_string()));
        };
        why.hold.iter_mut().for_each(|hold| self.name_owner(hold));
        Ok(why)
    }

    /// The engine knows only that somebody else owns the store.
    fn name_owner(&self, hold: &mut Hold) {
        if hold.kind == HoldKind::NotOwner {
            hold.detail = self.doubt().to_owned();
        }
    }
}

/// Secrets are not read here, so no credential may seem to have changed: that would end its stop.
fn keep_fingerprints(settings: &mut Settings, rows: &[crate::engine::rows::CredentialRow]) {
    for row in rows {
        if let Some(policy) = settings.credentials.get_mut(&row.name) {
            policy.fingerprint = row.fingerprint.clone();
        }
    }
}

/// What to do about a store that cannot be used.
pub fn store_failure(error: StoreError) -> Failure {
    let failure = Failure::new(error.exit(), error.to_string()).next(store_remedy(&error));
    match std::error::Error::source(&error) {
        Some(cause) => failure.because(cause),
        None => failure,
    }
}

/// The next step after that error.
pub fn store_remedy(error: &StoreError) -> String {
    match error {
        StoreError::InUse { .. } => "systemctl status refit",
        StoreError::NewerSchema { .. } => "refit --version; use the refit that wrote the store",
        StoreError::Missing { .. } => "refit run, which makes one",
        StoreError::NoDirectory { directory } => {
            return format!("mkdir -p {}", shell_word(&directory.display().to_string()));
        }
        StoreError::Damaged { .. } | StoreError::Replaced { .. } => {
            "restore the store from a backup; only if there is none: refit store init --accept-loss"
        }
        StoreError::WrongOwner { .. } => "run this as the user that owns the store",
        StoreError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            "mount what its symbolic link leads to, or name another store with --config"
        }
        StoreError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            "run this as the user that owns the store"
        }
        StoreError::Io { .. } | StoreError::Database { .. } => "refit store verify; df -h; dmesg",
    }
    .to_owned()
}

fn path(id: &TargetId) -> String {
    let parts = [id.campaign.as_str(), id.project.as_str(), id.instance.as_str()];
    parts.map(encode).join("/")
}

fn query(filter: &EventFilter) -> String {
    let order = match filter.order {
        EventOrder::OldestFirst => "oldest",
        EventOrder::NewestFirst => "newest",
    };
    let mut query = format!("after={}&order={order}", filter.after_seq);
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            query.push_str(&format!("&{key}={}", encode(&value)));
        }
    };
    add("campaign", filter.campaign.as_ref().map(ToString::to_string));
    add("target", filter.target.as_ref().map(ToString::to_string));
    add("event", filter.kind.clone());
    add("since_ms", filter.since.map(|since| since.0.to_string()));
    add("limit", filter.limit.map(|limit| limit.to_string()));
    query
}

pub(super) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
