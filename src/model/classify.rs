//! From an HTTP status and an error code to the class that Refit reacts to.
//!
//! The status decides before the code: a 5xx or 408 to the upgrade POST proves nothing, whatever
//! its body says (API facts, section 5). Only an error status comes
//! here; what a 2xx holds is the client's to read.

use std::sync::Arc;

use super::answer::{LearnedLimit, LimitScope, ReadFailure, SubmitAnswer};
use super::time::{Millis, Wall};

/// The longest wait that a Retry-After header can ask for (rule S3).
pub const RETRY_AFTER_MAX: Millis = Millis::from_hours(1);

/// The documented codes are at most 9 characters, or 15 with a foreign prefix; more is noise.
const CODE_MAX_CHARS: usize = 64;

/// The longest window that a stated limit can have; the documented unit ends at days.
const LIMIT_WINDOW_MAX: Millis = Millis::from_hours(31 * 24);

/// Whether Refit can fetch a fresh form of what the request was signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialForm {
    /// An access key from the configuration: only an operator can mend it.
    StaticKey,
    /// An IAM token or an agency's temporary keys: a new one can be fetched.
    Token,
}

/// What one error code means on its own, with the letters of the API facts, section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodeClass {
    /// C: busy, wait and re-examine.
    Conflict,
    /// C: DCS.4116, an upgrade runs.
    Upgrading,
    /// D: done already.
    Current,
    /// P: permanent for this instance.
    Permanent,
    /// P, marked a defect of the caller.
    Defect,
    /// P: the instance does not exist.
    Gone,
    /// A, mended by a new token if there can be one.
    Credential,
    /// A, an error of the configuration that a new token would repeat.
    WrongSubject,
    /// A: permission or quota of the user.
    Permission,
    /// The call does not exist here.
    Absent,
    /// R a little, then stop: the gateway has nothing behind this call.
    BackendMissing,
    /// T.
    Throttled,
    Unlisted,
}

/// An answer with an error status, as far as its class depends on it.
#[derive(Debug, Clone, Copy)]
pub struct ErrorAnswer<'a> {
    pub status: u16,
    /// As [`normal_code`] writes it.
    pub code: Option<&'a str>,
    pub message: Option<&'a str>,
    pub retry_after: Option<Millis>,
    /// What the request was signed with.
    pub credential: CredentialForm,
}

/// The class of an error answer to the upgrade POST.
pub fn submit_error(answer: ErrorAnswer<'_>) -> SubmitAnswer {
    let ErrorAnswer { status, code, message, retry_after, credential } = answer;
    if !(300..500).contains(&status) || status == 408 {
        return SubmitAnswer::Uncertain;
    }
    let class = class_of(code);
    match (status, class) {
        (429, _) | (_, CodeClass::Throttled) => {
            SubmitAnswer::Throttled { limit: message.and_then(stated_limit), retry_after }
        }
        (300..=399, _) => SubmitAnswer::Rejected { suspicious: true },
        (401, _) | (_, CodeClass::Credential) => {
            SubmitAnswer::CredentialRefused { renewable: is_renewable(class, credential) }
        }
        (403, _) | (_, CodeClass::Permission) => SubmitAnswer::Forbidden,
        (_, CodeClass::WrongSubject) => SubmitAnswer::CredentialRefused { renewable: false },
        (_, CodeClass::Absent | CodeClass::BackendMissing) => SubmitAnswer::CapabilityAbsent,
        (_, CodeClass::Conflict) => SubmitAnswer::Conflict { upgrading: false },
        (_, CodeClass::Upgrading) => SubmitAnswer::Conflict { upgrading: true },
        (_, CodeClass::Current) => SubmitAnswer::ReportedCurrent,
        (_, CodeClass::Permanent | CodeClass::Gone) => SubmitAnswer::Rejected { suspicious: false },
        (_, CodeClass::Defect | CodeClass::Unlisted) => SubmitAnswer::Rejected { suspicious: true },
    }
}

/// The class of an error answer to a read.
pub fn read_error(answer: ErrorAnswer<'_>) -> ReadFailure {
    let ErrorAnswer { status, code, message, retry_after, credential } = answer;
    // No call of DCS redirects: a 3xx comes from something in between, and may pass.
    if !(400..500).contains(&status) || status == 408 {
        return ReadFailure::Unreachable;
    }
    let class = class_of(code);
    match (status, class) {
        (429, _) | (_, CodeClass::Throttled) => {
            ReadFailure::Throttled { limit: message.and_then(stated_limit), retry_after }
        }
        (401, _) | (_, CodeClass::Credential) => {
            ReadFailure::CredentialRefused { renewable: is_renewable(class, credential) }
        }
        (403, _) | (_, CodeClass::Permission) => ReadFailure::Forbidden,
        (_, CodeClass::WrongSubject) => ReadFailure::CredentialRefused { renewable: false },
        (_, CodeClass::Absent) => ReadFailure::CapabilityAbsent,
        (_, CodeClass::Gone) => ReadFailure::Gone,
        (404, CodeClass::Unlisted) if code.is_none_or(is_bare) => ReadFailure::Gone,
        // Busy is no reason for a read to fail for good.
        (_, CodeClass::BackendMissing | CodeClass::Conflict | CodeClass::Upgrading) => {
            ReadFailure::Unreachable
        }
        (
            _,
            CodeClass::Current | CodeClass::Permanent | CodeClass::Defect | CodeClass::Unlisted,
        ) => ReadFailure::Rejected,
    }
}

/// The code in its `DCS.4116` form: the numeric twin is translated, `APIG.` becomes `APIGW.`,
/// stray spaces and control characters go (API facts, section 5).
pub fn normal_code(raw: &str) -> Arc<str> {
    let code: String = raw
        .chars()
        .filter(|character| !character.is_whitespace() && !character.is_control())
        .take(CODE_MAX_CHARS)
        .collect();
    if let Some(number) = code.strip_prefix("APIG.") {
        return format!("APIGW.{number}").into();
    }
    numeric_twin(&code).unwrap_or_else(|| code.into())
}

/// `111400116` ⇒ `DCS.4116`: 111, a family, and the last three digits of the code. The family's
/// leading digit follows the published pairs, among them two exceptions.
fn numeric_twin(code: &str) -> Option<Arc<str>> {
    let digits = code.strip_prefix("111").filter(|rest| rest.len() == 6)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (family, number) = digits.split_at(3);
    let leading = match (family, number) {
        ("403", "002") => '3',
        ("404", "001") | ("400", _) => '4',
        ("401", _) => '1',
        ("403", _) => '2',
        ("404", _) => '3',
        ("405" | "500", _) => '5',
        _ => return None,
    };
    Some(format!("DCS.{leading}{number}").into())
}

/// The limit that a 429's message states (API facts, section 6.1):
/// `policy {user|ip|api|app} over ratelimit,limit:N,time:M {second|minute|hour|day}`.
pub fn stated_limit(message: &str) -> Option<LearnedLimit> {
    let (_, rest) = message.split_once("policy ")?;
    let (scope, rest) = rest.split_once(" over ratelimit,")?;
    let scope = match scope.trim() {
        "user" => LimitScope::User,
        "ip" => LimitScope::Ip,
        "api" => LimitScope::Api,
        "app" => LimitScope::App,
        _ => return None,
    };
    let (limit, rest) = leading_number(rest.trim_start().strip_prefix("limit:")?)?;
    let rest = rest.trim_start().strip_prefix(',')?.trim_start().strip_prefix("time:")?;
    let (count, unit) = leading_number(rest)?;
    let unit = [
        ("second", Millis::from_secs(1)),
        ("minute", Millis::from_mins(1)),
        ("hour", Millis::from_hours(1)),
        ("day", Millis::from_hours(24)),
    ]
    .into_iter()
    .find_map(|(name, size)| unit.trim_start().starts_with(name).then_some(size))?;
    let per = Millis(unit.0.checked_mul(i64::try_from(count).ok()?)?);
    let limit = u32::try_from(limit).ok()?;
    (limit > 0 && per > Millis::ZERO && per <= LIMIT_WINDOW_MAX).then_some(LearnedLimit {
        scope,
        limit,
        per,
    })
}

/// How long a Retry-After header asks to wait, at most [`RETRY_AFTER_MAX`]: seconds, or an HTTP
/// date read against the cloud's own clock. Negative, past and unreadable values ask for nothing.
pub fn retry_after(header: &str, server_time: Wall) -> Option<Millis> {
    let header = header.trim();
    let wait = if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        header
            .parse::<i64>()
            .map_or(RETRY_AFTER_MAX, |seconds| Millis(seconds.saturating_mul(1_000)))
    } else {
        http_date(header)? - server_time
    };
    (wait > Millis::ZERO).then_some(wait.min(RETRY_AFTER_MAX))
}

/// An HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(text: &str) -> Option<Wall> {
    jiff::fmt::rfc2822::parse(text).ok().map(|date| Wall(date.timestamp().as_millisecond()))
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start();
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// Any 401 to something that can be fetched anew, but not a wrong project id: that is an error
/// of the configuration, which a new token repeats.
fn is_renewable(class: CodeClass, credential: CredentialForm) -> bool {
    credential == CredentialForm::Token && class != CodeClass::WrongSubject
}

/// A status line in the place of a code, as IAM and proxies send it, names no reason.
fn is_bare(code: &str) -> bool {
    code.trim().is_empty() || code.trim() == "404"
}

fn class_of(code: Option<&str>) -> CodeClass {
    let Some(code) = code.map(normal_code) else {
        return CodeClass::Unlisted;
    };
    match code.split_once('.') {
        Some(("DCS", number)) => dcs_class(number),
        Some(("APIGW", number)) => gateway_class(number),
        Some(("CBC", "99003651")) => CodeClass::Conflict,
        Some(("IAM", "0007" | "0011" | "0072" | "0073")) => CodeClass::Permanent,
        // Section 5.3: no such domain, project or user.
        Some(("IAM", _)) => CodeClass::WrongSubject,
        _ => CodeClass::Unlisted,
    }
}

/// API facts, section 5.1.
fn dcs_class(number: &str) -> CodeClass {
    match number {
        "4017" | "4026" | "4049" | "4069" | "4096" | "4097" | "4104" | "4108" | "4111" | "4113"
        | "4114" | "4115" | "4117" | "4118" | "4121" | "4231" | "4918" | "4975" => {
            CodeClass::Conflict
        }
        "4116" => CodeClass::Upgrading,
        "4053" => CodeClass::Current,
        "4002" | "4006" | "4007" | "4008" | "4027" | "4061" | "4070" | "4086" | "4094" | "4095"
        | "4107" | "4120" | "4957" => CodeClass::Permanent,
        "4004" | "4005" | "4062" | "4063" | "4800" | "5001" => CodeClass::Defect,
        "1001" | "1002" | "1003" => CodeClass::Credential,
        "1004" => CodeClass::WrongSubject,
        "2003" | "2007" | "3002" | "3003" => CodeClass::Permission,
        "3022" => CodeClass::Gone,
        "4001" => CodeClass::Absent,
        _ => CodeClass::Unlisted,
    }
}

/// API facts, section 5.2.
fn gateway_class(number: &str) -> CodeClass {
    match number {
        "0101" => CodeClass::Absent,
        "0103" | "0104" | "0105" => CodeClass::BackendMissing,
        "0106" | "0201" | "0602" => CodeClass::Defect,
        "0301" | "0303" | "0305" | "0307" => CodeClass::Credential,
        "0302" | "0304" | "0306" | "0310" | "0401" | "0402" | "0404" | "0501" | "0502" | "0802" => {
            CodeClass::Permission
        }
        "0308" => CodeClass::Throttled,
        _ => CodeClass::Unlisted,
    }
}

#[cfg(test)]
mod tests;
