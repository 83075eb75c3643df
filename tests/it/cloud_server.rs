//! A server for the client's tests: it speaks bytes, so that it can misbehave in every way.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use refit::cloud::{Cloud, SubmitOrder};
use refit::model::access::{Endpoint, Secrets};
use refit::model::{Millis, UpgradeBody, Wall};
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const PROJECT_ID: &str = "0123456789abcdef0123456789abcdef";
pub const INSTANCE: &str = "5560df16-cebf-4473-95c4-d1b573c16e79";

/// 2026-01-31T23:59:59Z.
pub const NOW: i64 = 1_769_903_999_000;

/// Stalled answers end by this deadline; long enough for a busy machine to connect and send.
pub const SHORT_TIMEOUT: Millis = Millis(2_000);

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// Counts connections from 0.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What the server does with a request.
pub enum Act {
    /// Sends these bytes and keeps the connection.
    Answer(Vec<u8>),
    /// Sends these bytes and closes.
    AnswerAndClose(Vec<u8>),
    /// Closes with a reset, having sent nothing.
    Reset,
    /// Sends the bytes one by one, for ever slowly.
    Drip(Vec<u8>),
    /// Says nothing and keeps the connection.
    Silence,
}

type Script = dyn Fn(&Seen) -> Act + Send + Sync;

/// Listens on loopback until dropped.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub async fn start(script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Server {
        Server::listen(None, Arc::new(script)).await
    }

    /// The same behind TLS, with a certificate that nobody has signed.
    pub async fn start_tls(script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Server {
        Server::listen(Some(tls("certificate.pem")), Arc::new(script)).await
    }

    async fn listen(tls: Option<tokio_rustls::TlsAcceptor>, script: Arc<Script>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let connections = AtomicUsize::new(0);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (tls, script, log) = (tls.clone(), Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, number, &*script, &log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, number, &*script, &log).await;
                            }
                        }
                    }
                });
            }
        });
        Server { address, seen, accepting }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// What a stream must do besides carrying bytes.
trait Closing: AsyncRead + AsyncWrite + Unpin + Send {
    fn reset_on_close(&self);
}

impl Closing for TcpStream {
    fn reset_on_close(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Closing for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.set_zero_linger().unwrap();
    }
}

/// A client that goes away ends the connection, and that is no failure of the test.
async fn serve(mut stream: impl Closing, number: usize, script: &Script, log: &Mutex<Vec<Seen>>) {
    while let Some(seen) = read_request(&mut stream, number).await {
        log.lock().unwrap().push(seen.clone());
        let sent = match script(&seen) {
            Act::Answer(bytes) => stream.write_all(&bytes).await,
            Act::AnswerAndClose(bytes) => {
                if stream.write_all(&bytes).await.is_ok() {
                    stream.shutdown().await.ok();
                }
                return;
            }
            Act::Reset => {
                stream.reset_on_close();
                return;
            }
            Act::Drip(bytes) => drip(&mut stream, &bytes).await,
            Act::Silence => std::future::pending().await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn drip(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    for byte in bytes {
        pace.tick().await;
        stream.write_all(&[*byte]).await?;
        stream.flush().await?;
    }
    Ok(())
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        bytes.push(stream.read_u8().await.ok()?);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut request = lines.next().unwrap().split(' ');
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen {
        method: request.next().unwrap().to_owned(),
        target: request.next().unwrap().to_owned(),
        headers,
        body: String::from_utf8(body).unwrap(),
        connection,
    })
}

/// With the certificate of that name among the fixtures.
pub fn tls(certificate: &str) -> tokio_rustls::TlsAcceptor {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let certificate = fixture("tls").join(certificate);
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("tls/key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config).into()
}

/// Of the server of [`Server::start_tls`]: valid for 127.0.0.1, trusted by nobody.
pub fn certificate_file() -> std::path::PathBuf {
    fixture("tls/certificate.pem")
}

pub fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A whole answer with a length, a date and a request id.
pub fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nDate: Sat, 31 Jan 2026 23:59:59 GMT\r\n\
         X-Request-Id: r-1\r\n",
        body.len()
    );
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    [bytes.as_bytes(), b"\r\n", body].concat()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The wall clock of a test, moved by hand.
#[derive(Clone)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    pub fn new() -> Clock {
        Clock(Arc::new(AtomicI64::new(NOW)))
    }

    pub fn advance(&self, by: Millis) {
        self.0.fetch_add(by.0, Ordering::SeqCst);
    }
}

pub fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        region: "sim-1".into(),
        project_id: PROJECT_ID.into(),
        credential: "main".into(),
        dcs: url.into(),
        iam: url.into(),
        ca_file: None,
        proxy: None,
        request_timeout: Millis::from_secs(30),
    }
}

pub fn access_key() -> Secrets {
    Secrets::AccessKey {
        access_key: SecretString::from("FAKEAK00000000000001"),
        secret_key: SecretString::from("fake-secret-key-0123456789abcdefghijklmn"),
        security_token: None,
    }
}

/// A cloud of one project, `p`.
pub fn cloud_at(endpoint: Endpoint, secrets: Secrets, clock: &Clock) -> Cloud {
    let now = Arc::clone(&clock.0);
    let clock = move || Wall(now.load(Ordering::SeqCst));
    let endpoints = [("p".into(), endpoint)].into();
    let credentials = [("main".into(), secrets)].into();
    Cloud::new(endpoints, credentials, "daemon-1", Arc::new(clock)).unwrap()
}

pub fn order() -> SubmitOrder {
    SubmitOrder {
        attempt: format!("weekly/p/{INSTANCE}/1.1").parse().unwrap(),
        project: "p".into(),
        instance: INSTANCE.into(),
        body: UpgradeBody { engine: Some("latest".into()), proxy: None },
    }
}
