//! A line between the daemon and the cloud, which can be cut, lossy, thin, dead or behind TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use refit::model::draw;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::cloud_server;

/// What the line does to a connection; new ones follow a change at once, dead ones stay dead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    Open,
    /// Every connection is reset as it is made.
    Reset,
    /// Takes what is sent and says nothing, for ever.
    Deaf,
    /// Every other connection is reset when a POST comes, in turns before and after the cloud has
    /// it.
    CutPosts,
    /// Of that share of connections the request is lost, and of as many the answer.
    Lossy(f64),
    /// Carries so many bytes a second.
    Thin(usize),
}

/// Bytes carried at once.
const PIECE: usize = 1_024;

/// Carries until it is dropped.
pub struct Line {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    accepting: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Line {
    pub async fn to(cloud: SocketAddr) -> Line {
        Line::start(cloud, None).await
    }

    /// Speaks TLS with the certificate of that file.
    pub async fn behind_tls(cloud: SocketAddr, certificate: &str) -> Line {
        Line::start(cloud, Some(cloud_server::tls(certificate))).await
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    async fn start(cloud: SocketAddr, tls: Option<TlsAcceptor>) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, ways) = watch::channel(Way::Open);
        let number = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, ways, number) = (tls.clone(), ways.clone(), Arc::clone(&number));
                tokio::spawn(async move {
                    // Whoever ends a connection does so on purpose.
                    let carried = match tls {
                        None => carry(stream, cloud, ways, &number).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => carry(stream, cloud, ways, &number).await,
                            Err(error) => Err(error),
                        },
                    };
                    carried.ok();
                });
            }
        });
        Line { address, way, accepting }
    }
}

/// A stream that can end with a reset.
trait Resets: AsyncRead + AsyncWrite + Unpin + Send {
    fn reset_on_close(&self) -> io::Result<()>;
}

impl Resets for TcpStream {
    fn reset_on_close(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Resets for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_on_close(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

/// One connection, until it ends, or until the line is not what it was when the connection began.
async fn carry(
    stream: impl Resets,
    cloud: SocketAddr,
    mut ways: watch::Receiver<Way>,
    number: &AtomicU64,
) -> io::Result<()> {
    let way = *ways.borrow_and_update();
    match way {
        Way::Reset => stream.reset_on_close(),
        Way::Deaf => swallow(stream).await,
        Way::CutPosts => cut_posts(stream, cloud, number).await,
        Way::Open | Way::Lossy(_) | Way::Thin(_) => {
            let loss = Loss::of(way, number.fetch_add(1, Ordering::SeqCst));
            let pace = if let Way::Thin(bytes) = way { Some(bytes) } else { None };
            tokio::select! {
                carried = both_ways(stream, cloud, (loss, pace)) => carried,
                _ = ways.changed() => Ok(()),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Nothing,
    Requests,
    Answers,
}

impl Loss {
    fn of(way: Way, number: u64) -> Loss {
        let Way::Lossy(share) = way else { return Loss::Nothing };
        match draw::unit(1, "line", "loss", number) {
            drawn if drawn < share => Loss::Requests,
            drawn if drawn < 2.0 * share => Loss::Answers,
            _ => Loss::Nothing,
        }
    }
}

async fn both_ways(
    stream: impl Resets,
    cloud: SocketAddr,
    (loss, pace): (Loss, Option<usize>),
) -> io::Result<()> {
    if loss == Loss::Requests {
        return swallow(stream).await;
    }
    let (from_daemon, to_daemon) = split(stream);
    let (from_cloud, to_cloud) = TcpStream::connect(cloud).await?.into_split();
    let requests = pump(from_daemon, to_cloud, pace);
    if loss == Loss::Answers {
        let (sent, lost) = tokio::join!(requests, swallow(from_cloud));
        drop(to_daemon);
        return sent.and(lost);
    }
    tokio::select! {
        sent = requests => sent,
        answered = pump(from_cloud, to_daemon, pace) => answered,
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    pace: Option<usize>,
) -> io::Result<()> {
    let Some(pace) = pace else {
        copy(&mut from, &mut to).await?;
        return to.shutdown().await;
    };
    let mut piece = [0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
        tokio::time::sleep(Duration::from_secs_f64(length as f64 / pace as f64)).await;
    }
}

async fn swallow(mut from: impl AsyncRead + Unpin) -> io::Result<()> {
    copy(&mut from, &mut tokio::io::sink()).await.map(drop)
}

async fn cut_posts(
    mut stream: impl Resets,
    cloud: SocketAddr,
    number: &AtomicU64,
) -> io::Result<()> {
    let mut first = vec![0; 64 * PIECE];
    let length = stream.read(&mut first).await?;
    let mut upstream = TcpStream::connect(cloud).await?;
    if first.starts_with(b"POST ") {
        let number = number.fetch_add(1, Ordering::SeqCst);
        if number % 4 == 1 {
            return stream.reset_on_close();
        }
        if number % 4 == 3 {
            upstream.write_all(&first[..length]).await?;
            // The cloud has it for sure once it answers.
            upstream.read_u8().await?;
            return stream.reset_on_close();
        }
    }
    upstream.write_all(&first[..length]).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut upstream).await.map(drop)
}
