//! A request as it came, read whole, and what its caller says of itself.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, header};

use super::shape::Dropped;

/// Nothing that the cloud understands is longer.
const BODY_MAX_BYTES: usize = 1 << 20;

/// A request, read whole.
pub(super) struct Heard {
    pub method: Arc<str>,
    /// Not decoded.
    pub path: String,
    /// Not decoded, without the question mark.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Heard {
    /// Reads the request to its end.
    pub async fn read(request: Request<Incoming>) -> Result<Heard, Dropped> {
        let (head, body) = request.into_parts();
        // A caller that leaves while it sends was never understood.
        let body = Limited::new(body, BODY_MAX_BYTES).collect().await.map_err(|_| Dropped)?;
        Ok(Heard {
            method: head.method.as_str().into(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or("").to_owned(),
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Path and query as they came.
    pub fn target(&self) -> Arc<str> {
        match self.query.as_str() {
            "" => self.path.as_str().into(),
            query => format!("{}?{query}", self.path).into(),
        }
    }
}

/// What a caller says of itself: `refit/VERSION (attempt=ID; daemon=ID)`.
pub(super) struct Agent {
    pub attempt: Option<Arc<str>>,
    pub daemon: Option<Arc<str>>,
}

impl Agent {
    pub fn of(headers: &HeaderMap) -> Agent {
        let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let inside = text.and_then(|text| text.split_once('(')?.1.strip_suffix(')'));
        let field = |name: &str| {
            let mut fields = inside?.split(';').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).map(Arc::from)
        };
        Agent { attempt: field("attempt"), daemon: field("daemon") }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn agent(text: &str) -> (Option<Arc<str>>, Option<Arc<str>>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_str(text).unwrap());
        let Agent { attempt, daemon } = Agent::of(&headers);
        (attempt, daemon)
    }

    #[test]
    fn the_caller_names_its_attempt_and_itself() {
        let both = agent("refit/0.1.0 (attempt=weekly/north/abc/1.2; daemon=d7)");
        assert_eq!(both, (Some("weekly/north/abc/1.2".into()), Some("d7".into())));
        assert_eq!(agent("refit/0.1.0 (daemon=d7)"), (None, Some("d7".into())));
        assert_eq!(agent("huaweicloud-usdk-python/3.0"), (None, None));
    }
}
