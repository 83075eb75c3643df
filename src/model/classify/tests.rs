use proptest::prelude::*;

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
    match submit_error(ErrorAnswer { status, code, message: None, retry_after: None, credential }) {
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
    match read_error(ErrorAnswer { status, code, message: None, retry_after: None, credential }) {
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
    let learned = LearnedLimit { scope: LimitScope::User, limit: 200, per: Millis::from_mins(5) };
    assert_eq!(stated_limit(message), Some(learned));
    let spaced = "policy ip over ratelimit, limit:5, time:1 second";
    assert_eq!(stated_limit(spaced).map(|limit| limit.per), Some(Millis::from_secs(1)));
    let answer = submit_error(ErrorAnswer {
        status: 429,
        code: Some("APIGW.0308"),
        message: Some(message),
        retry_after: None,
        credential: StaticKey,
    });
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

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in ".*", limit in any::<u64>(), time in any::<u64>()) {
        prop_assert!(normal_code(&text).chars().count() <= CODE_MAX_CHARS);
        prop_assert!(retry_after(&text, Wall(0)).is_none_or(|wait| wait <= RETRY_AFTER_MAX));
        let message = format!("policy {text} over ratelimit,limit:{limit},time:{time} day{text}");
        for learned in [stated_limit(&message), stated_limit(&text)].into_iter().flatten() {
            prop_assert!(learned.limit > 0 && learned.per <= LIMIT_WINDOW_MAX);
        }
        if let Some(wait) = retry_after(&limit.to_string(), Wall(i64::MIN)) {
            prop_assert!(wait > Millis::ZERO && wait <= RETRY_AFTER_MAX);
        }
    }
}
