//! From a decided answer to what goes over the wire, well-formed or not.

use std::convert::Infallible;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};

use super::wire::{Order, Orders};
use crate::sim::world::Decision;

/// The body of any answer.
pub(super) type SimBody = UnsyncBoxBody<Bytes, io::Error>;

/// Of `huge`, of a gzip bomb once unpacked, and of headers without an end.
const HUGE_BYTES: usize = 1 << 30;

const PIECE_BYTES: usize = 1 << 16;

/// How long a stalled body stands still before the connection ends.
const STALLED_FOR: Duration = Duration::from_secs(600);

/// Between two bytes of a slow loris.
const LORIS_PAUSE: Duration = Duration::from_secs(1);

/// Deeper than any parser follows.
const DEEP_LEVELS: usize = 100_000;

/// Just below the size at which a client may cut.
const BAD_TASK_ID_BYTES: usize = 900_000;

/// The caller gets no answer: the connection ends.
#[derive(Debug, thiserror::Error)]
#[error("the simulated cloud ends the connection")]
pub(super) struct Dropped;

/// A decided answer.
pub(super) struct Answer {
    pub decision: Decision,
    pub status: u16,
    /// Without the headers that the shape decides.
    pub headers: HeaderMap,
    pub body: Option<Value>,
}

/// Gives the answer its shape; orders go to the connection where HTTP alone cannot do it.
pub(super) fn shape(answer: Answer, orders: &Orders) -> Result<Response<SimBody>, Dropped> {
    let Answer { decision, status, headers, body } = answer;
    let text = match &body {
        // The metadata address answers in plain text.
        Some(Value::String(plain)) => plain.clone(),
        Some(body) => body.to_string(),
        None => String::new(),
    };
    let (mime, body) = match decision {
        Decision::DropBeforeApply | Decision::ApplyThenDrop => return Err(Dropped),
        Decision::Html => {
            let page = "<!DOCTYPE html><html><title>Sign in</title><form>…</form></html>";
            ("text/html; charset=utf-8", full(page))
        }
        Decision::Empty => (JSON, full("")),
        Decision::BadJson => (JSON, full("{\"task_id\": nope, \"instances\": [}")),
        Decision::BadUtf8 => (JSON, full(&b"{\"task_id\":\"\xff\xfe\",\"status\":\"\xc3\"}"[..])),
        Decision::NoTaskId => (JSON, full("{}")),
        Decision::BadType => (JSON, full(impossible_types().to_string())),
        Decision::BadTaskId => (JSON, full(bad_task_id())),
        Decision::Deep => (JSON, full(deep())),
        Decision::DupKeys => (JSON, full(doubled(body.as_ref()))),
        Decision::Truncated => (JSON, cut(text.clone(), stream_end())),
        Decision::Stalled => (JSON, cut(text.clone(), stand_still())),
        Decision::SlowLoris => (JSON, drip(text.clone())),
        Decision::Huge => (JSON, repeat(Bytes::from_static(&[b' '; PIECE_BYTES]), HUGE_BYTES)),
        Decision::GzipBomb => (JSON, bomb()),
        Decision::EndlessHeaders => {
            orders.give(Order::EndlessHeaders);
            (JSON, repeat(Bytes::from_static(&[b' '; PIECE_BYTES]), HUGE_BYTES))
        }
        Decision::CloseIdle => {
            orders.give(Order::CloseAfterAnswer);
            (JSON, full(text.clone()))
        }
        _ => (JSON, full(text.clone())),
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(mime));
    add_headers(headers, decision, text.len());
    Ok(response)
}

/// What the shape says of itself. `length` is that of the whole answer.
fn add_headers(headers: &mut HeaderMap, decision: Decision, length: usize) {
    match decision {
        // Announced whole, sent in part.
        Decision::Truncated | Decision::Stalled => {
            headers.insert(header::CONTENT_LENGTH, length.max(2).into());
        }
        Decision::SlowLoris => {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        Decision::GzipBomb => {
            let gzip = header::HeaderValue::from_static("gzip");
            headers.insert(header::CONTENT_ENCODING, gzip);
        }
        Decision::Redirect => {
            let elsewhere = header::HeaderValue::from_static("http://elsewhere.invalid/v2/");
            headers.insert(header::LOCATION, elsewhere);
        }
        _ => {}
    }
}

const JSON: &str = "application/json";

pub(super) fn full(bytes: impl Into<Bytes>) -> SimBody {
    let never = |error: Infallible| match error {};
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

/// The first half of the text, then what `end` does.
fn cut(text: String, end: impl Future<Output = io::Error> + Send + 'static) -> SimBody {
    let mut half = Bytes::from(text);
    half.truncate(half.len() / 2);
    let first = (!half.is_empty()).then_some(half);
    let state = (first, Some(Box::pin(end)));
    StreamBody::new(stream::unfold(state, |(first, end)| async move {
        if let Some(half) = first {
            return Some((Ok(Frame::data(half)), (None, end)));
        }
        let error = end?.await;
        Some((Err(error), (None, None)))
    }))
    .boxed_unsync()
}

async fn stream_end() -> io::Error {
    // One turn of the runtime lets the half leave first.
    tokio::task::yield_now().await;
    io::ErrorKind::UnexpectedEof.into()
}

async fn stand_still() -> io::Error {
    tokio::time::sleep(STALLED_FOR).await;
    io::ErrorKind::TimedOut.into()
}

/// One byte per pause.
fn drip(text: String) -> SimBody {
    StreamBody::new(stream::unfold(Bytes::from(text), |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(LORIS_PAUSE).await;
        let byte = rest.split_to(1);
        Some((Ok(Frame::data(byte)), rest))
    }))
    .boxed_unsync()
}

/// `bytes` in all, in equal pieces.
fn repeat(piece: Bytes, bytes: usize) -> SimBody {
    let times = bytes / piece.len();
    StreamBody::new(stream::unfold(times, move |left| {
        let piece = piece.clone();
        async move { (left > 0).then(|| (Ok(Frame::data(piece)), left - 1)) }
    }))
    .boxed_unsync()
}

/// A thousand gzip members, each a mebibyte of blanks.
fn bomb() -> SimBody {
    const MEMBER_BYTES: usize = 1 << 20;
    static MEMBER: OnceLock<Bytes> = OnceLock::new();
    let member = MEMBER.get_or_init(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        io::Write::write_all(&mut encoder, &vec![b' '; MEMBER_BYTES])
            .and_then(|()| encoder.finish())
            .expect("writing to memory never fails")
            .into()
    });
    repeat(member.clone(), member.len() * (HUGE_BYTES / MEMBER_BYTES))
}

fn impossible_types() -> Value {
    json!({
        "task_id": { "id": 1 },
        "instance_num": {},
        "instances": "many",
        "instance_id": [],
        "status": ["RUNNING"],
        "service_upgrade": "perhaps",
        "engine_minor_version": {},
        "engine_minor_version_upgradable": [],
        "task_count": [],
        "tasks": 17,
        "progress": "all",
        "token": 5,
        "projects": {},
    })
}

fn bad_task_id() -> String {
    let unit = "\n\r\u{1b}[31m'; drop table attempts; --<script>alert(1)</script>\u{0}";
    json!({ "task_id": unit.repeat(BAD_TASK_ID_BYTES / unit.len() / 2) }).to_string()
}

fn deep() -> String {
    format!("{{\"task_id\":{}{}}}", "[".repeat(DEEP_LEVELS), "]".repeat(DEEP_LEVELS))
}

/// Every key twice, null the second time.
fn doubled(body: Option<&Value>) -> String {
    let Some(Value::Object(fields)) = body else { return "{\"a\":1,\"a\":2}".into() };
    let first = fields.iter().map(|(key, value)| format!("{}:{value}", json!(key)));
    let second = fields.keys().map(|key| format!("{}:null", json!(key)));
    format!("{{{}}}", first.chain(second).collect::<Vec<_>>().join(","))
}
