//! The daemon's Unix socket, asked without the command line: cheap enough to poll.

use std::path::Path;

use refit::api::Why;
use refit::engine::Status;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// `None` while nobody answers.
pub async fn status(socket: &Path) -> Option<Status> {
    get(socket, "/v1/status").await
}

/// `target` is campaign/project/instance.
pub async fn why(socket: &Path, target: &str) -> Option<Why> {
    get(socket, &format!("/v1/why/{target}")).await
}

pub async fn get<T: DeserializeOwned>(socket: &Path, route: &str) -> Option<T> {
    let mut stream = UnixStream::connect(socket).await.ok()?;
    let request = format!("GET {route} HTTP/1.1\r\nHost: refit\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    serde_json::from_slice(&answer[body..]).ok()
}
