//! The daemon's Unix socket, from the asking side: HTTP/1.1, one request per command.

use std::error::Error;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Problem;
use crate::daemon::FREEZE_FILE;
use crate::daemon::handle::{ANSWER_WITHIN, LONG_ANSWER_WITHIN};
use crate::engine::hold::shell_word;
use crate::exit::Exit;
use crate::store::{StoreError, ensure_unused};

use super::failure::Failure;
use super::site::Site;

/// What a daemon that works needs at most to answer a question or to commit an order; it says
/// itself, and earlier, that its store hangs. Whoever waits here may have an incident.
pub const SOON: Duration = Duration::from_secs(5);

/// The same where the answer, or the order, is as large as the fleet.
pub const IN_A_WHILE: Duration = Duration::from_secs(30);

// Else the daemon's own words, that its store hangs, would come too late.
const _: () = assert!(ANSWER_WITHIN.as_secs() < SOON.as_secs());
const _: () = assert!(LONG_ANSWER_WITHIN.as_secs() < IN_A_WHILE.as_secs());

/// A plan of 100,000 targets takes some 30 MiB.
const BODY_LIMIT: usize = 256 * 1024 * 1024;

/// The host name in the request line; nothing resolves it.
const ORIGIN: &str = "http://refit";

/// A daemon that was there a moment ago.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    /// Where the daemon's store is, for the file that stops every start when it does not listen.
    site: Site,
    client: reqwest::Client,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Request(#[from] reqwest::Error),
    #[error("more than {BODY_LIMIT} bytes")]
    Endless,
}

/// Why no daemon can be asked.
#[derive(Debug, thiserror::Error)]
pub enum NoDaemon {
    /// Nothing listens in any of the places; the error is that of the likeliest.
    #[error("no daemon answers at {}: {}", list(.0), reason(.1.kind()))]
    Absent(Vec<PathBuf>, #[source] io::Error),
    /// Something is there that this user may not talk to.
    #[error("may not open the daemon's socket {}: {}", .0.display(), reason(.1.kind()))]
    Forbidden(PathBuf, #[source] io::Error),
}

impl NoDaemon {
    /// Names the socket, whoever drives the store all the same, and what helps.
    pub fn into_failure(self, site: &Site) -> Failure {
        let failure = Failure::new(Exit::Unreachable, self.to_string());
        if let NoDaemon::Forbidden(..) = self {
            return failure
                .next("run this as root or as a member of the socket's group (ls -l shows it)");
        }
        if let Err(in_use @ StoreError::InUse { .. }) = ensure_unused(&site.store) {
            return failure.because(&in_use).next(ELSEWHERE);
        }
        match site.guess() {
            None => failure.next(site.start_command()),
            Some(guess) => {
                let mut failure = failure.next("refit check");
                failure.causes.push(guess);
                failure
            }
        }
    }

    /// The same for an order: names the file that stops every start in any case.
    pub fn into_refusal(self, site: &Site) -> Failure {
        let mut failure = self.into_failure(site);
        let brake = brake(site);
        failure.causes.push(format!("wherever one runs, the file {brake} stops every start"));
        failure
    }
}

/// What to do about a daemon whose socket is not where it should be.
pub const ELSEWHERE: &str = "name its socket with --socket; its log says where it is answering";

/// The file that stops every start, with a word of caution where its place is a guess.
fn brake(site: &Site) -> String {
    let path = site.store.with_file_name(FREEZE_FILE);
    match site.is_guess {
        true => format!("{} (a guess: {} cannot be read)", path.display(), site.config.display()),
        false => path.display().to_string(),
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(" or ")
}

fn reason(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        other => other.to_string(),
    }
}

impl Socket {
    /// Finds the daemon: the first of the site's sockets that somebody listens on.
    ///
    /// # Errors
    /// Nobody does, or this user may not.
    pub fn open(site: &Site) -> Result<Socket, NoDaemon> {
        let mut first = None;
        for path in &site.sockets {
            match UnixStream::connect(path) {
                Ok(_) => {
                    let (site, client) = (site.clone(), client(path));
                    return Ok(Socket { path: path.clone(), site, client });
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(NoDaemon::Forbidden(path.clone(), error));
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        let error = first.unwrap_or_else(|| io::ErrorKind::NotFound.into());
        Err(NoDaemon::Absent(site.sockets.clone(), error))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks what every daemon of this version can answer.
    ///
    /// # Errors
    /// The daemon went away, is silent, or answered with anything but success.
    pub async fn get<T: DeserializeOwned>(&self, route: &str) -> Result<T, Failure> {
        self.get_within(SOON, route).await
    }

    /// The same for an answer that may take longer.
    ///
    /// # Errors
    /// As [`Socket::get`].
    pub async fn get_within<T: DeserializeOwned>(
        &self,
        within: Duration,
        route: &str,
    ) -> Result<T, Failure> {
        let (status, body) = self.ask(within, route).await?;
        match status {
            StatusCode::NOT_FOUND => Err(self.other_version(format!("it does not know {route}"))),
            _ => self.success(status, &body),
        }
    }

    /// Asks about one thing; `None` if the daemon knows none of that name (404).
    ///
    /// # Errors
    /// As [`Socket::get`].
    pub async fn find<T: DeserializeOwned>(&self, route: &str) -> Result<Option<T>, Failure> {
        let (status, body) = self.ask(SOON, route).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => self.success(status, &body).map(Some),
        }
    }

    async fn ask(&self, within: Duration, route: &str) -> Result<(StatusCode, Vec<u8>), Failure> {
        let answer = self.client.get(format!("{ORIGIN}{route}")).timeout(within).send().await;
        self.read(answer).await.map_err(|error| self.lost(&error, within))
    }

    fn success<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, Failure> {
        match status.is_success() {
            true => self.decode(body),
            false => Err(self.unexpected(status, body)),
        }
    }

    /// Posts an order; the answer is decoded whatever its status, since a refusal has the same
    /// shape as success.
    ///
    /// # Errors
    /// The daemon went away, is silent, or answered with something else: each names the brake that
    /// works even so.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        within: Duration,
        route: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let request = self.client.post(format!("{ORIGIN}{route}")).json(body).timeout(within);
        let answer = self.read(request.send().await).await;
        let (status, body) = answer.map_err(|error| self.with_brake(self.lost(&error, within)))?;
        match serde_json::from_slice(&body) {
            Ok(reply) => Ok(reply),
            // It was understood and refused: nothing of it was taken.
            Err(_) if status.is_client_error() => Err(self.unexpected(status, &body)),
            Err(_) if !status.is_success() => Err(self.with_brake(self.unexpected(status, &body))),
            Err(_) => self.decode(&body),
        }
    }

    async fn read(
        &self,
        answer: Result<reqwest::Response, reqwest::Error>,
    ) -> Result<(StatusCode, Vec<u8>), Lost> {
        let answer = answer?;
        let status = answer.status();
        let mut chunks = answer.bytes_stream();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk?);
            if body.len() > BODY_LIMIT {
                return Err(Lost::Endless);
            }
        }
        Ok((status, body))
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|error| self.other_version(error.to_string()))
    }

    fn other_version(&self, why: String) -> Failure {
        let path = self.path.display();
        let message = format!("the daemon at {path} seems to be of another version");
        Failure { causes: vec![why], ..Failure::new(Exit::Unreachable, message) }
            .next("refit --version, and compare with the daemon's: both must be the same")
    }

    fn lost(&self, lost: &Lost, within: Duration) -> Failure {
        let path = self.path.display();
        let failure = match lost {
            Lost::Endless => {
                let message = format!("the answer from {path} does not end");
                Failure::new(Exit::Unreachable, message)
            }
            Lost::Request(error) if error.is_timeout() => {
                let seconds = within.as_secs();
                let message = format!("the daemon at {path} does not answer within {seconds} s");
                Failure::new(Exit::Unreachable, message)
            }
            // The URL in the error's own text would only confuse: its host is made up.
            Lost::Request(error) => {
                Failure::new(Exit::Unreachable, format!("the daemon at {path} went away"))
                    .because(error.source().unwrap_or(error))
            }
        };
        failure.next("systemctl status refit; journalctl -u refit -n 50")
    }

    /// An order that may not have arrived: what stops every start all the same.
    fn with_brake(&self, failure: Failure) -> Failure {
        let file = self.site.store.with_file_name(FREEZE_FILE).display().to_string();
        let mut failure = failure.next(format!("touch {}", shell_word(&file)));
        let brake = brake(&self.site);
        failure.causes.push(format!(
            "whether it takes the order is not known; the file {brake} stops every start even so"
        ));
        failure
    }

    fn unexpected(&self, status: StatusCode, body: &[u8]) -> Failure {
        let text = match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => problem.message,
            Err(_) => String::from_utf8_lossy(&body[..body.len().min(SHOWN_LIMIT)]).into_owned(),
        };
        let exit = match status.as_u16() {
            503 => Exit::NotNow,
            400 | 404 | 413 | 422 => Exit::Usage,
            _ => Exit::Unreachable,
        };
        let message = format!("the daemon at {} answers {status}", self.path.display());
        Failure { causes: vec![text], ..Failure::new(exit, message) }
            .next("journalctl -u refit -n 50")
    }
}

/// Bytes of an unexpected answer that are shown.
const SHOWN_LIMIT: usize = 300;

fn client(path: &Path) -> reqwest::Client {
    reqwest::Client::builder()
        .unix_socket(path)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without TLS roots, proxies or files to load always builds")
}
