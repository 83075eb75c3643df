//! The body of an error answer, in any of the shapes that DCS, the gateway and IAM use.

use serde_json::Value;

use super::{Unreadable, scalar};

/// What an error body told; a part that it did not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    pub code: Option<String>,
    pub message: Option<String>,
    pub request_id: Option<String>,
}

const SHAPES: [(&str, &str); 3] =
    [("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message")];

/// Reads the body of an error answer (API facts, section 3): one of three pairs of fields, or the
/// same one level down. An empty body tells nothing, and is no error.
pub fn error_body(body: &[u8]) -> Result<ErrorBody, Unreadable> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(ErrorBody::default());
    }
    let body: Value = serde_json::from_slice(body)?;
    let fields = body.as_object().ok_or_else(|| Unreadable("no JSON object".into()))?;
    let request_id = body.get("request_id").and_then(scalar);
    let told = std::iter::once(&body).chain(fields.values()).find_map(pair);
    let (code, message) = told.unwrap_or_default();
    Ok(ErrorBody { code, message, request_id })
}

fn pair(object: &Value) -> Option<(Option<String>, Option<String>)> {
    SHAPES.into_iter().find_map(|(code, message)| {
        let code = object.get(code).and_then(scalar);
        let message = object.get(message).and_then(scalar);
        (code.is_some() || message.is_some()).then_some((code, message))
    })
}
