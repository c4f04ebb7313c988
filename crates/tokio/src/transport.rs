//! What a driver needs of the thing that carries its bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::Clock;

/// An ordered byte stream that can be reset and that may bring the clock of a server along.
///
/// Implemented for [`TcpTransport`](crate::TcpTransport) and [`DuplexStream`]; [`AnyStream`] makes a transport of
/// everything else. For a stream of your own an empty `impl` will do.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Makes the connection end with a reset, where there is one, when the transport is dropped.
    fn abort(&mut self) {}

    /// The clock that the machines on this transport see. It is asked for once, and must run at tokio's pace.
    fn clock(&self) -> Clock {
        Clock::new()
    }
}

impl Transport for DuplexStream {}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn abort(&mut self) {
        (**self).abort();
    }

    fn clock(&self) -> Clock {
        (**self).clock()
    }
}

/// Any stream as a transport: an abort only drops it.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyStream<IO>(pub IO);

impl<IO: AsyncRead + AsyncWrite + Unpin> Transport for AnyStream<IO> {}

impl<IO: AsyncRead + Unpin> AsyncRead for AnyStream<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for AnyStream<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, piece)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
