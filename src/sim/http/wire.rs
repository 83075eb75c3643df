//! The connection beneath HTTP, which can do what no well-behaved server does: close a kept
//! connection without a word, and never end its headers.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Some of the headers that never end.
static ENDLESS_PIECE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    b"X-Endless: 0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(1_024)
});

/// What the connection does from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Serve = 0,
    /// After the answer that is being written, read as if the client had left.
    CloseAfterAnswer = 1,
    Close = 2,
    /// Instead of the answer, header lines without an end.
    EndlessHeaders = 3,
}

/// Gives orders to a connection.
#[derive(Debug, Clone)]
pub(super) struct Orders(Arc<AtomicU8>);

impl Orders {
    pub fn new() -> Orders {
        Orders(Arc::new(AtomicU8::new(Order::Serve as u8)))
    }

    pub fn give(&self, order: Order) {
        self.0.store(order as u8, Ordering::Release);
    }

    fn are(&self, order: Order) -> bool {
        self.0.load(Ordering::Acquire) == order as u8
    }
}

/// The connection.
pub(super) struct Wire {
    stream: TcpStream,
    orders: Orders,
    has_written: bool,
    /// How much of the current piece of the endless headers is out.
    endless_at: usize,
    endless_begun: bool,
}

impl Wire {
    pub fn new(stream: TcpStream, orders: Orders) -> Wire {
        Wire { stream, orders, has_written: false, endless_at: 0, endless_begun: false }
    }

    /// Writes the next piece of endless headers and reports all of `taken` as written.
    fn write_endless(
        &mut self,
        context: &mut Context<'_>,
        taken: usize,
    ) -> Poll<io::Result<usize>> {
        const BEGIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        let piece = if self.endless_begun { &ENDLESS_PIECE[..] } else { BEGIN };
        while self.endless_at < piece.len() {
            let rest = &piece[self.endless_at..];
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.endless_at += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.endless_at = 0;
        self.endless_begun = true;
        Poll::Ready(Ok(taken))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.orders.are(Order::Close) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.orders.are(Order::EndlessHeaders) {
            return self.write_endless(context, bytes.len());
        }
        if self.orders.are(Order::CloseAfterAnswer) {
            self.has_written = true;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The server flushes only once its whole answer is written.
        if self.has_written && self.orders.are(Order::CloseAfterAnswer) {
            self.orders.give(Order::Close);
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
