//! From an HTTP status and an error code to the class that Refit reacts to.
//!
//! The status decides before the code: a 5xx or 408 to the upgrade POST proves nothing, whatever
//! its body says (API facts, section 5; design: from POST to proof). Only an error status comes
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

/// The class of an error answer to the upgrade POST.
pub fn submit_error(
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
    retry_after: Option<Millis>,
    credential: CredentialForm,
) -> SubmitAnswer {
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
pub fn read_error(
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
    retry_after: Option<Millis>,
    credential: CredentialForm,
) -> ReadFailure {
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
mod tests {
    use super::*;
    use CredentialForm::{StaticKey, Token};

    /// The answers of a table row, without what only a 429 or a credential adds.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Row {
        Conflict,
        Upgrading,
        Current,
        Rejected,
        Suspicious,
        /// To a token: renewable.
        Renewable,
        Refused,
        Forbidden,
        Absent,
        Throttled,
        Uncertain,
        Unreachable,
        Gone,
    }
    use Row::*;

    fn submit_row(status: u16, code: Option<&str>, credential: CredentialForm) -> Row {
        match submit_error(status, code, None, None, credential) {
            SubmitAnswer::Conflict { upgrading: false } => Conflict,
            SubmitAnswer::Conflict { upgrading: true } => Upgrading,
            SubmitAnswer::ReportedCurrent => Current,
            SubmitAnswer::Rejected { suspicious: false } => Rejected,
            SubmitAnswer::Rejected { suspicious: true } => Suspicious,
            SubmitAnswer::CredentialRefused { renewable: true } => Renewable,
            SubmitAnswer::CredentialRefused { renewable: false } => Refused,
            SubmitAnswer::Forbidden => Forbidden,
            SubmitAnswer::CapabilityAbsent => Absent,
            SubmitAnswer::Throttled { .. } => Throttled,
            SubmitAnswer::Uncertain => Uncertain,
            other @ (SubmitAnswer::Accepted { .. } | SubmitAnswer::NotSent) => {
                panic!("an error status became {other:?}")
            }
        }
    }

    fn read_row(status: u16, code: Option<&str>, credential: CredentialForm) -> Row {
        match read_error(status, code, None, None, credential) {
            ReadFailure::Unreachable => Unreachable,
            ReadFailure::Throttled { .. } => Throttled,
            ReadFailure::CredentialRefused { renewable: true } => Renewable,
            ReadFailure::CredentialRefused { renewable: false } => Refused,
            ReadFailure::Forbidden => Forbidden,
            ReadFailure::Gone => Gone,
            ReadFailure::CapabilityAbsent => Absent,
            ReadFailure::Rejected => Rejected,
        }
    }

    /// Status, codes, answer to the POST, answer to a GET; in the order of the API facts.
    const LISTED: &[(u16, &str, Row, Row)] = &[
        // Section 5.1: DCS.
        (400, "4017 4026 4049 4096 4097 4104 4108 4111 4113 4114 4115", Conflict, Unreachable),
        (400, "4117 4118 4975 4121 4231 4918", Conflict, Unreachable),
        (400, "4116", Upgrading, Unreachable),
        (400, "4027 4107 4120", Rejected, Rejected),
        (400, "4053", Current, Rejected),
        (500, "4069", Uncertain, Unreachable),
        (400, "CBC.99003651", Conflict, Unreachable),
        (400, "4002 4061 4070", Rejected, Rejected),
        (400, "4004 4005 4062 4063 4800", Suspicious, Rejected),
        (400, "4006 4007 4008", Rejected, Rejected),
        (400, "4086 4094 4095 4957", Rejected, Rejected),
        (400, "4999", Suspicious, Rejected),
        (401, "1001 1002 1003", Renewable, Renewable),
        (401, "1004", Refused, Refused),
        (403, "2003 2007 3002 3003", Forbidden, Forbidden),
        (404, "3022", Rejected, Gone),
        (404, "4001", Absent, Absent),
        (405, "5001", Suspicious, Rejected),
        (500, "5000 5006 5017 5024 5044 5070 5091 5095", Uncertain, Unreachable),
        (500, "4842", Uncertain, Unreachable),
        // Section 5.2: the gateway.
        (404, "APIGW.0101", Absent, Absent),
        (404, "APIGW.0103 APIGW.0104 APIGW.0105", Absent, Unreachable),
        (500, "APIGW.0103 APIGW.0104 APIGW.0105", Uncertain, Unreachable),
        (400, "APIGW.0106 APIGW.0201 APIGW.0602", Suspicious, Rejected),
        (413, "APIGW.0201", Suspicious, Rejected),
        (414, "APIGW.0201", Suspicious, Rejected),
        (494, "APIGW.0201", Suspicious, Rejected),
        (502, "APIGW.0201 APIGW.0202", Uncertain, Unreachable),
        (504, "APIGW.0201 APIGW.0203", Uncertain, Unreachable),
        (401, "APIGW.0301 APIGW.0303 APIGW.0305 APIGW.0307", Renewable, Renewable),
        (403, "APIGW.0302 APIGW.0304 APIGW.0306", Forbidden, Forbidden),
        (429, "APIGW.0308", Throttled, Throttled),
        (403, "APIGW.0310 APIGW.0401 APIGW.0402 APIGW.0404 APIGW.0802", Forbidden, Forbidden),
        (405, "APIGW.0501 APIGW.0502", Forbidden, Forbidden),
        (500, "APIGW.0601 APIGW.0605 APIGW.0606 APIGW.0608", Uncertain, Unreachable),
        (502, "APIGW.0610", Uncertain, Unreachable),
        (503, "APIGW.0613", Uncertain, Unreachable),
        // Section 5.3: IAM.
        (400, "IAM.0007 IAM.0011 IAM.0072 IAM.0073", Rejected, Rejected),
        (401, "IAM.0001", Refused, Refused),
        (403, "IAM.0003", Forbidden, Forbidden),
        (404, "IAM.0004", Refused, Refused),
        (429, "IAM.0012", Throttled, Throttled),
        (500, "IAM.0006", Uncertain, Unreachable),
        (503, "IAM.0006", Uncertain, Unreachable),
    ];

    fn listed() -> impl Iterator<Item = (u16, String, Row, Row)> {
        LISTED.iter().flat_map(|&(status, codes, submit, read)| {
            codes.split(' ').map(move |code| {
                let full = if code.contains('.') { code.to_owned() } else { format!("DCS.{code}") };
                (status, full, submit, read)
            })
        })
    }

    #[test]
    fn every_listed_code_has_its_class() {
        for (status, code, submit, read) in listed() {
            assert_eq!(submit_row(status, Some(&code), Token), submit, "POST {status} {code}");
            assert_eq!(read_row(status, Some(&code), Token), read, "GET {status} {code}");
        }
    }

    #[test]
    fn nothing_that_a_static_key_is_refused_for_can_be_renewed() {
        for (status, code, ..) in listed() {
            assert_ne!(submit_row(status, Some(&code), StaticKey), Renewable, "{status} {code}");
            assert_ne!(read_row(status, Some(&code), StaticKey), Renewable, "{status} {code}");
        }
        assert_eq!(submit_row(401, None, StaticKey), Refused);
        assert_eq!(submit_row(401, None, Token), Renewable);
    }

    #[test]
    fn every_5xx_and_408_of_the_post_is_uncertain_whatever_the_code() {
        for status in (500..600).chain([408]) {
            for (_, code, ..) in listed() {
                assert_eq!(submit_row(status, Some(&code), Token), Uncertain, "{status} {code}");
                assert_eq!(read_row(status, Some(&code), Token), Unreachable, "{status} {code}");
            }
            assert_eq!(submit_row(status, None, Token), Uncertain);
        }
    }

    #[test]
    fn a_status_without_a_code_has_a_class_too() {
        let rows = [
            (301, Suspicious, Unreachable),
            (400, Suspicious, Rejected),
            (401, Renewable, Renewable),
            (403, Forbidden, Forbidden),
            (404, Suspicious, Gone),
            (409, Suspicious, Rejected),
            (429, Throttled, Throttled),
        ];
        for (status, submit, read) in rows {
            assert_eq!(submit_row(status, None, Token), submit, "POST {status}");
            assert_eq!(read_row(status, None, Token), read, "GET {status}");
        }
        assert_eq!(read_row(404, Some("DCS.9999"), Token), Rejected, "a 404 for another reason");
    }

    #[test]
    fn both_forms_of_a_code_mean_the_same() {
        let twins = [
            ("111400116", "DCS.4116"),
            ("111401002", "DCS.1002"),
            ("111403002", "DCS.3002"),
            ("111404001", "DCS.4001"),
            ("111404022", "DCS.3022"),
            ("111405001", "DCS.5001"),
            ("111400842", "DCS.4842"),
            ("111500006", "DCS.5006"),
            ("DCS. 4855", "DCS.4855"),
            (" DCS.4116\n", "DCS.4116"),
            ("APIG.0308", "APIGW.0308"),
            ("APIGW.0308", "APIGW.0308"),
        ];
        for (raw, normal) in twins {
            assert_eq!(&*normal_code(raw), normal);
        }
        for other in ["111999001", "11140011", "1114001166", "111400x16", "401", ""] {
            assert_eq!(&*normal_code(other), other);
        }
        assert_eq!(submit_row(400, Some("111400116"), Token), Upgrading);
        assert_eq!(read_row(404, Some("111404001"), Token), Absent);
        assert_eq!(normal_code(&"x".repeat(10_000)).len(), CODE_MAX_CHARS);
    }

    #[test]
    fn a_429_teaches_the_limit_that_its_message_states() {
        let message = "The throttling threshold has been reached: \
                       policy user over ratelimit,limit:200,time:5 minute";
        let learned =
            LearnedLimit { scope: LimitScope::User, limit: 200, per: Millis::from_mins(5) };
        assert_eq!(stated_limit(message), Some(learned));
        let spaced = "policy ip over ratelimit, limit:5, time:1 second";
        assert_eq!(stated_limit(spaced).map(|limit| limit.per), Some(Millis::from_secs(1)));
        let answer = submit_error(429, Some("APIGW.0308"), Some(message), None, StaticKey);
        assert_eq!(answer, SubmitAnswer::Throttled { limit: Some(learned), retry_after: None });
    }

    #[test]
    fn an_absurd_limit_teaches_nothing() {
        for message in [
            "too many requests",
            "policy user over ratelimit,limit:0,time:1 minute",
            "policy user over ratelimit,limit:5,time:0 minute",
            "policy user over ratelimit,limit:99999999999999999999,time:1 minute",
            "policy user over ratelimit,limit:4294967296,time:1 minute",
            "policy user over ratelimit,limit:5,time:9223372036854775807 day",
            "policy user over ratelimit,limit:5,time:1 fortnight",
            "policy user over ratelimit,limit:-5,time:1 minute",
            "policy moon over ratelimit,limit:5,time:1 minute",
            "policy user over ratelimit,limit:5",
        ] {
            assert_eq!(stated_limit(message), None, "{message}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_absurd() {
        let now = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(now, Wall(784_111_777_000));
        let rows = [
            ("120", Some(Millis::from_secs(120))),
            (" 7 ", Some(Millis::from_secs(7))),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(Millis::from_mins(1))),
            ("1000000000", Some(RETRY_AFTER_MAX)),
            ("99999999999999999999999", Some(RETRY_AFTER_MAX)),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(RETRY_AFTER_MAX)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("0", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (header, wait) in rows {
            assert_eq!(retry_after(header, now), wait, "{header:?}");
        }
    }
}
