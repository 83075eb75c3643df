//! HTTP: the clients, where each host is reached, and how much of an answer is taken in.
//!
//! Reads share pooled clients, one per trust and proxy. The upgrade POST has clients of its own:
//! no pool, no retries, HTTP/1.1, the last check in the connector. No client follows redirects,
//! since a redirect would send credentials to another host; none takes a proxy from the
//! environment. HTTP/1.1 is what the official SDK speaks, and its signature covers `Host`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, ClientBuilder, Proxy, Request, Response, Url};

use super::last_check::CheckLayer;

/// Of an answer's body, after decompression.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// Of a list page's body, after decompression.
pub const PAGE_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A connection that does not stand by then is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections kept per host for reads; more than the read quota ever keeps busy.
const POOL_MAX_IDLE: usize = 16;

/// Shorter than the usual 60 s of a gateway, so that it is we who close an idle connection.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The trust and proxy that a host is reached with: hosts that share them share a client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Route {
    /// Plain HTTP to this machine or to its metadata address; never through a proxy.
    Plain,
    Tls {
        ca_file: Option<PathBuf>,
        proxy: Option<Arc<str>>,
    },
}

/// One base address.
#[derive(Debug, Clone)]
pub struct Site {
    /// Without a trailing slash.
    pub base: Arc<str>,
    /// The `Host` header: the port only where it is not the scheme's own.
    pub host: Arc<str>,
    /// What the base address adds in front of a path; usually nothing.
    pub prefix: Arc<str>,
    route: Route,
}

/// A client cannot be made as the configuration asks.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("{0:?} is no address of a service: https, or http on this machine")]
    Address(String),
    #[error("cannot read the certificates in {}", path.display())]
    CaFile { path: PathBuf, source: std::io::Error },
    #[error("no PEM certificate in {}", path.display())]
    NoCertificate { path: PathBuf },
    /// Says nothing of the address, which may hold a password.
    #[error("the proxy is not a usable URL")]
    Proxy,
    #[error("cannot set up TLS")]
    Tls(#[source] reqwest::Error),
}

/// The clients of every route in use.
#[derive(Debug, Default)]
pub struct Transport {
    reads: BTreeMap<Route, Client>,
    submits: BTreeMap<Route, Client>,
}

/// Which plain addresses an address may be, besides https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    Loopback,
    /// Loopback, or the link-local address that a cloud's metadata service has.
    Metadata,
}

impl Site {
    /// Checks an address. Plain HTTP is for loopback alone, and for the metadata address.
    pub fn new(
        base: &str,
        plain: Plain,
        ca_file: Option<&PathBuf>,
        proxy: Option<&Arc<str>>,
    ) -> Result<Site, TransportError> {
        let bad = || TransportError::Address(base.to_owned());
        let url = Url::parse(base).map_err(|_| bad())?;
        let name = url.host_str().ok_or_else(bad)?;
        if !is_bare(&url) {
            return Err(bad());
        }
        let is_loopback = is_loopback(&url);
        let route = match url.scheme() {
            "https" => Route::Tls {
                ca_file: ca_file.cloned(),
                proxy: proxy.filter(|_| !is_loopback).cloned(),
            },
            "http" if is_loopback || (plain == Plain::Metadata && is_link_local(&url)) => {
                Route::Plain
            }
            _ => return Err(bad()),
        };
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let prefix = url.path().trim_end_matches('/');
        Ok(Site {
            base: format!("{}://{host}{prefix}", url.scheme()).into(),
            host: host.into(),
            prefix: prefix.into(),
            route,
        })
    }
}

impl Transport {
    /// Makes the clients that reach a site, where they do not exist yet.
    pub fn add(&mut self, site: &Site, user_agent: &str) -> Result<(), TransportError> {
        if self.reads.contains_key(&site.route) {
            return Ok(());
        }
        install_tls_provider();
        let reads = builder(&site.route, user_agent)?
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT);
        let submits =
            builder(&site.route, user_agent)?.pool_max_idle_per_host(0).connector_layer(CheckLayer);
        self.reads.insert(site.route.clone(), reads.build().map_err(TransportError::Tls)?);
        self.submits.insert(site.route.clone(), submits.build().map_err(TransportError::Tls)?);
        Ok(())
    }

    /// For reads of the cloud, IAM and the metadata address.
    pub fn reads(&self, site: &Site) -> &Client {
        self.reads.get(&site.route).expect("every site was added when the cloud was made")
    }

    /// For the upgrade POST and nothing else.
    pub fn submits(&self, site: &Site) -> &Client {
        self.submits.get(&site.route).expect("every site was added when the cloud was made")
    }
}

/// An answer as far as it was taken in.
#[derive(Debug)]
pub struct Received {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body after decompression, or why it is not there whole.
    pub body: Result<Bytes, String>,
}

impl Received {
    /// A header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends a request and takes in at most `limit` bytes of the answer's body.
///
/// # Errors
/// No answer came; the text says why and names no address.
pub async fn exchange(client: &Client, request: Request, limit: usize) -> Result<Received, String> {
    let mut response = client.execute(request).await.map_err(describe)?;
    let body = body(&mut response, limit).await;
    Ok(Received {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}

async fn body(response: &mut Response, limit: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        if body.len() + chunk.len() > limit {
            return Err(format!("the body exceeds {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What every failed request begins with: the words of the client's layers, which tell nothing.
const LAYERS: [&str; 2] = ["error sending request", "client error (Connect)"];

/// The error's causes in one line, without the address: `tcp connect error: Connection refused`.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut texts = vec![error.to_string()];
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let told = texts.iter().position(|text| !LAYERS.contains(&text.as_str())).unwrap_or(0);
    texts[told..].join(": ")
}

/// Makes ring the process's TLS provider, unless there is one already.
pub fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none()
        && rustls::crypto::ring::default_provider().install_default().is_err()
    {
        tracing::debug!("another thread installed the TLS provider first");
    }
}

fn builder(route: &Route, user_agent: &str) -> Result<ClientBuilder, TransportError> {
    let builder = Client::builder()
        .user_agent(user_agent)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT);
    let Route::Tls { ca_file, proxy } = route else {
        // Trusts nobody, and so works on a machine without root certificates.
        return Ok(builder.tls_certs_only([]));
    };
    let mut builder = builder.https_only(true);
    if let Some(path) = ca_file {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    if let Some(proxy) = proxy {
        builder = builder.proxy(Proxy::all(&**proxy).map_err(|_| TransportError::Proxy)?);
    }
    Ok(builder)
}

fn certificates(path: &PathBuf) -> Result<Vec<Certificate>, TransportError> {
    let pem = std::fs::read(path)
        .map_err(|source| TransportError::CaFile { path: path.clone(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TransportError::NoCertificate { path: path.clone() }),
    }
}

/// Nothing but scheme, host, port and path.
fn is_bare(url: &Url) -> bool {
    url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(name) => address(name).is_some_and(|address| address.is_loopback()),
        None => false,
    }
}

fn is_link_local(url: &Url) -> bool {
    match url.host_str().and_then(address) {
        Some(std::net::IpAddr::V4(address)) => address.is_link_local(),
        _ => false,
    }
}

/// A literal address; IPv6 stands in brackets in a URL.
fn address(name: &str) -> Option<std::net::IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(base: &str, plain: Plain) -> Result<Site, TransportError> {
        Site::new(base, plain, None, Some(&"http://proxy.example:3128".into()))
    }

    #[test]
    fn plain_http_is_for_loopback_and_the_metadata_address() {
        for base in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9"] {
            assert_eq!(site(base, Plain::Loopback).unwrap().route, Route::Plain, "{base}");
        }
        for base in [
            "http://dcs.example.com",
            "http://169.254.169.254",
            "ftp://127.0.0.1",
            "https://user:secret@dcs.example.com",
            "https://dcs.example.com/?a=b",
            "dcs.example.com",
        ] {
            assert!(site(base, Plain::Loopback).is_err(), "{base}");
        }
        assert_eq!(site("http://169.254.169.254", Plain::Metadata).unwrap().route, Route::Plain);
        assert!(site("http://dcs.example.com", Plain::Metadata).is_err());
    }

    #[test]
    fn loopback_is_never_reached_through_a_proxy() {
        let route = site("https://127.0.0.1:8443", Plain::Loopback).unwrap().route;
        assert_eq!(route, Route::Tls { ca_file: None, proxy: None });
        let route = site("https://dcs.example.com", Plain::Loopback).unwrap().route;
        assert!(matches!(route, Route::Tls { proxy: Some(_), .. }));
    }

    #[test]
    fn the_host_header_names_only_an_unusual_port() {
        let host = |base| site(base, Plain::Loopback).unwrap().host;
        assert_eq!(&*host("https://dcs.example.com:443"), "dcs.example.com");
        assert_eq!(&*host("https://dcs.example.com:8443/"), "dcs.example.com:8443");
        let site = site("https://gate.example.com/dcs/", Plain::Loopback).unwrap();
        assert_eq!((&*site.base, &*site.prefix), ("https://gate.example.com/dcs", "/dcs"));
    }
}
