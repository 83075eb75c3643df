//! From what came back, or did not, to the class and the note beside it.

use secrecy::SecretString;

use crate::model::answer::Answered;
use crate::model::classify::ErrorAnswer;
use crate::model::{AnswerNote, ReadAnswer, ReadCall, ReadFailure, SubmitAnswer, Wall, classify};

use super::credential::{Credential, Grant};
use super::issuer::IssueError;
use super::transport::Received;
use super::wire::{self, ErrorBody, Unreadable};
use super::{WallClock, text};

/// An answer that no server gave.
pub fn local<T>(answer: T, reason: &str) -> Answered<T> {
    let message = Some(text::message(reason, &[]));
    let note = AnswerNote { message, ..AnswerNote::default() };
    Answered { answer, note, server_time: None }
}

/// An upgrade for which no credential was to be had: it was never sent.
pub fn submit_ungranted(failure: IssueError) -> Answered<SubmitAnswer> {
    let answer = match failure {
        IssueError::Unavailable(_) => SubmitAnswer::NotSent,
        IssueError::Refused(_) => SubmitAnswer::CredentialRefused { renewable: false },
        IssueError::Forbidden(_) => SubmitAnswer::Forbidden,
    };
    Answered { answer, note: failure.into_note(), server_time: None }
}

/// A read for which no credential was to be had.
pub fn read_ungranted(failure: IssueError) -> Answered<ReadFailure> {
    let answer = match failure {
        IssueError::Unavailable(_) => ReadFailure::Unreachable,
        IssueError::Refused(_) => ReadFailure::CredentialRefused { renewable: false },
        IssueError::Forbidden(_) => ReadFailure::Forbidden,
    };
    Answered { answer, note: failure.into_note(), server_time: None }
}

/// What an answer is read against.
pub struct Context<'a> {
    credential: &'a Credential,
    grant: &'a Grant,
    clock: &'a dyn WallClock,
    secrets: Vec<SecretString>,
}

/// What every answer of a server tells besides its content.
struct Told {
    status: u16,
    note: AnswerNote,
    server_time: Option<Wall>,
}

impl Told {
    fn with<T>(self, answer: T) -> Answered<T> {
        Answered { answer, note: self.note, server_time: self.server_time }
    }
}

/// An error answer, taken apart.
struct Refusal {
    told: Told,
    /// The body came whole and in one of the known shapes, or was empty.
    is_readable: bool,
}

impl<'a> Context<'a> {
    pub fn new(
        credential: &'a Credential,
        grant: &'a Grant,
        clock: &'a dyn WallClock,
    ) -> Context<'a> {
        Context { credential, grant, clock, secrets: credential.secrets_beside(grant) }
    }

    /// The class of an upgrade that was let go.
    pub fn submitted(&self, outcome: Result<Received, String>) -> Answered<SubmitAnswer> {
        let received = match outcome {
            Ok(received) => received,
            Err(reason) => return self.unanswered(SubmitAnswer::Uncertain, &reason),
        };
        if !is_success(&received) {
            return self.submit_refused(&received);
        }
        self.credential.accepted(self.grant);
        match content(&received, wire::accepted_task) {
            Ok(task) => self.told(&received, None).with(SubmitAnswer::Accepted { task }),
            Err(reason) => {
                self.told(&received, Some(&reason.to_string())).with(SubmitAnswer::Uncertain)
            }
        }
    }

    /// The content of a read, or the class of its failure.
    pub fn read(
        &self,
        call: &ReadCall,
        outcome: Result<Received, String>,
    ) -> Result<Answered<ReadAnswer>, Answered<ReadFailure>> {
        let received = match outcome {
            Ok(received) => received,
            Err(reason) => return Err(self.unanswered(ReadFailure::Unreachable, &reason)),
        };
        if !is_success(&received) {
            return Err(self.read_refused(&received));
        }
        self.credential.accepted(self.grant);
        let content = content(&received, |body| match call {
            ReadCall::InventoryPage { .. } => wire::inventory_page(body),
            ReadCall::Instance { instance } => wire::instance(body, instance),
            ReadCall::Versions { .. } => wire::versions(body),
            ReadCall::InstanceTasks { .. } | ReadCall::TaskCentre { .. } => wire::tasks(body),
        });
        match content {
            Ok(answer) => Ok(self.told(&received, None).with(answer)),
            Err(reason) => {
                Err(self.told(&received, Some(&reason.to_string())).with(ReadFailure::Unreachable))
            }
        }
    }

    fn submit_refused(&self, received: &Received) -> Answered<SubmitAnswer> {
        let refusal = self.refusal(received);
        let told = refusal.told;
        let is_told = refusal.is_readable || says_all(told.status);
        let answer = match is_told {
            false => SubmitAnswer::Uncertain,
            true => classify::submit_error(self.error_answer(&told)),
        };
        let answer = match answer {
            SubmitAnswer::CredentialRefused { renewable } => SubmitAnswer::CredentialRefused {
                renewable: self.credential.refused(self.grant) && renewable,
            },
            other => other,
        };
        told.with(answer)
    }

    fn read_refused(&self, received: &Received) -> Answered<ReadFailure> {
        let Refusal { told, .. } = self.refusal(received);
        let failure = classify::read_error(self.error_answer(&told));
        let failure = match failure {
            ReadFailure::CredentialRefused { renewable } => ReadFailure::CredentialRefused {
                renewable: self.credential.refused(self.grant) && renewable,
            },
            other => other,
        };
        told.with(failure)
    }

    fn error_answer<'t>(&self, told: &'t Told) -> ErrorAnswer<'t> {
        ErrorAnswer {
            status: told.status,
            code: told.note.code.as_deref(),
            message: told.note.message.as_deref(),
            retry_after: told.note.retry_after,
            credential: self.credential.form(),
        }
    }

    fn refusal(&self, received: &Received) -> Refusal {
        let read = match &received.body {
            Ok(body) => wire::error_body(body),
            Err(reason) => Err(Unreadable(reason.clone())),
        };
        let is_readable = read.is_ok();
        let ErrorBody { code, message, request_id } = read.unwrap_or_else(|reason| ErrorBody {
            message: Some(reason.to_string()),
            ..ErrorBody::default()
        });
        let mut told = self.told(received, message.as_deref());
        told.note.code =
            code.map(|code| classify::normal_code(&text::masked(&code, &self.secrets)));
        told.note.request_id = told
            .note
            .request_id
            .or_else(|| request_id.map(|id| text::request_id(&id, &self.secrets)));
        Refusal { told, is_readable }
    }

    fn told(&self, received: &Received, message: Option<&str>) -> Told {
        let server_time = received.header("date").and_then(classify::http_date);
        let now = server_time.unwrap_or_else(|| self.clock.now());
        let retry_after = received.header("retry-after");
        let note = AnswerNote {
            status: Some(received.status),
            code: None,
            message: message.map(|message| text::message(message, &self.secrets)),
            request_id: received
                .header("x-request-id")
                .map(|id| text::request_id(id, &self.secrets)),
            retry_after: retry_after.and_then(|header| classify::retry_after(header, now)),
        };
        Told { status: received.status, note, server_time }
    }

    /// The class of a request that brought no answer.
    pub fn unanswered<T>(&self, answer: T, reason: &str) -> Answered<T> {
        local(answer, &text::masked(reason, &self.secrets))
    }
}

fn content<T>(
    received: &Received,
    decode: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
) -> Result<T, Unreadable> {
    match &received.body {
        Ok(body) => decode(body),
        Err(reason) => Err(Unreadable(reason.clone())),
    }
}

/// Which of the other 4xx it was stands in the body: one that nobody can read proves nothing.
fn says_all(status: u16) -> bool {
    !(400..500).contains(&status) || matches!(status, 401 | 403 | 429)
}

fn is_success(received: &Received) -> bool {
    (200..300).contains(&received.status)
}
