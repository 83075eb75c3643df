//! A reply as a caller without a network hears it: the same classes that the HTTP client makes of
//! answers, through the same table.

use super::decision::{Decision, Fate};
use super::reply::{Content, ErrorBody, RetryAfter, WorldReply};
use crate::model::answer::Answered;
use crate::model::classify::{
    CredentialForm, ErrorAnswer, RETRY_AFTER_MAX, normal_code, read_error, retry_after,
    submit_error,
};
use crate::model::{AnswerNote, Millis, ReadAnswer, ReadFailure, SubmitAnswer, Wall};

impl WorldReply {
    /// What the sender of an upgrade learns, if it waits for `patience`.
    pub fn heard_of_upgrade(
        &self,
        patience: Millis,
        credential: CredentialForm,
    ) -> Answered<SubmitAnswer> {
        let answer = match (self.is_heard(patience), &self.error, &self.content) {
            (false, ..) => SubmitAnswer::Uncertain,
            (true, Some(error), _) => {
                submit_error(self.error_answer(error, &normal_code(&error.code), credential))
            }
            (true, None, Content::Accepted { task }) => {
                SubmitAnswer::Accepted { task: task.clone() }
            }
            (true, None, _) => SubmitAnswer::Uncertain,
        };
        self.noted(answer, patience)
    }

    /// What a reader learns, if it waits for `patience`.
    pub fn heard_of_read(
        &self,
        patience: Millis,
        credential: CredentialForm,
    ) -> Answered<Result<ReadAnswer, ReadFailure>> {
        let answer = match (self.is_heard(patience), &self.error, &self.content) {
            (false, ..) => Err(ReadFailure::Unreachable),
            (true, Some(error), _) => {
                Err(read_error(self.error_answer(error, &normal_code(&error.code), credential)))
            }
            (true, None, Content::Read(answer)) => Ok(answer.clone()),
            (true, None, _) => Err(ReadFailure::Unreachable),
        };
        self.noted(answer, patience)
    }

    /// From the call to the end of the caller's wait: the answer, or its patience.
    pub fn heard_after(&self, patience: Millis) -> Millis {
        let silent = matches!(
            self.decision,
            Decision::SlowLoris | Decision::Stalled | Decision::EndlessHeaders
        );
        if silent { patience } else { self.latency.min(patience) }
    }

    fn is_heard(&self, patience: Millis) -> bool {
        self.fate() == Fate::Answered && self.latency < patience
    }

    fn error_answer<'a>(
        &self,
        error: &'a ErrorBody,
        code: &'a str,
        credential: CredentialForm,
    ) -> ErrorAnswer<'a> {
        ErrorAnswer {
            status: self.status,
            code: Some(code),
            message: Some(&error.message),
            retry_after: self.stated_wait(),
            credential,
        }
    }

    fn stated_wait(&self) -> Option<Millis> {
        let clamp = |seconds: i64| {
            (seconds >= 0).then(|| Millis::from_secs(seconds.min(RETRY_AFTER_MAX.0 / 1_000)))
        };
        match self.retry_after.as_ref()? {
            RetryAfter::Seconds(seconds) => clamp(*seconds),
            RetryAfter::Date(at) => clamp((*at - self.server_time).0 / 1_000),
            RetryAfter::Text(text) => retry_after(text, self.server_time),
        }
    }

    fn noted<T>(&self, answer: T, patience: Millis) -> Answered<T> {
        let arrived = self.fate() != Fate::Lost && self.latency < patience;
        let error = self.error.as_ref().filter(|_| arrived);
        Answered {
            answer,
            note: AnswerNote {
                status: arrived.then_some(self.status),
                code: error.map(|error| normal_code(&error.code)),
                message: match error {
                    Some(error) => Some(error.message.clone()),
                    None if arrived => None,
                    None => Some("the connection ended without an answer".into()),
                },
                request_id: None,
                retry_after: self.stated_wait().filter(|wait| arrived && *wait > Millis::ZERO),
            },
            // The header counts whole seconds.
            server_time: arrived.then(|| Wall(self.server_time.0.div_euclid(1_000) * 1_000)),
        }
    }
}
