//! The two halves of a WebSocket.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use drywire_ws::{CloseCode, CloseFrame};
use futures_core::Stream;
use futures_sink::Sink;

use super::waiting::Side;
use super::{Error, Message, WebSocket};
use crate::Transport;

/// The reading half of a [`WebSocket`]: a `Stream` of the peer's messages.
///
/// Dropping it lets the peer's messages be dropped too.
#[derive(Debug)]
pub struct Reader<T>(Arc<Shared<T>>);

/// The writing half of a [`WebSocket`]: a `Sink` for one's own messages.
///
/// Dropping it leaves the connection open; [`close`](Self::close) does not.
#[derive(Debug)]
pub struct Writer<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    /// Locked for the length of one poll.
    socket: Mutex<WebSocket<T>>,
    /// The reader goes because the halves are joined.
    is_reunited: AtomicBool,
}

pub(super) fn split<T>(socket: WebSocket<T>) -> (Reader<T>, Writer<T>) {
    let shared = Arc::new(Shared { socket: Mutex::new(socket), is_reunited: AtomicBool::new(false) });
    (Reader(Arc::clone(&shared)), Writer(shared))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, WebSocket<T>> {
        // A machine that has panicked, which none does, may be looked at.
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> Reader<T> {
    /// [`WebSocket::next`], with its cancel safety.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.0.lock().poll_message(cx)).await
    }

    /// Joins the halves of one WebSocket again.
    pub fn reunite(self, writer: Writer<T>) -> Result<WebSocket<T>, NotAPair<T>> {
        if !Arc::ptr_eq(&self.0, &writer.0) {
            return Err(NotAPair(self, writer));
        }
        self.0.is_reunited.store(true, Ordering::Relaxed);
        drop(self);
        let shared = Arc::into_inner(writer.0).expect("there are two halves");
        Ok(shared.socket.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Transport> Writer<T> {
    /// [`WebSocket::feed`], with its cancel safety.
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        poll_fn(|cx| self.0.lock().poll_room(cx)).await?;
        self.0.lock().start(message.into())
    }

    /// [`WebSocket::send`], with its cancel safety.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// [`WebSocket::flush`], with its cancel safety.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.0.lock().poll_flushed(cx)).await
    }

    /// [`WebSocket::close`], with its cancel safety.
    pub async fn close(&mut self) -> Result<(), Error> {
        self.close_with(CloseFrame::new(CloseCode::NORMAL, "")).await
    }

    /// [`WebSocket::close_with`], with its cancel safety.
    pub async fn close_with(&mut self, frame: CloseFrame) -> Result<(), Error> {
        self.0.lock().start_close(frame)?;
        poll_fn(|cx| self.0.lock().poll_closed(cx)).await
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        if self.0.is_reunited.load(Ordering::Relaxed) {
            return;
        }
        let mut socket = self.0.lock();
        socket.session.stop_reading();
        // It may wait for room in a peer that waits for the reader.
        socket.waiting.wake(Side::Writer);
    }
}

impl<T: Transport> Stream for Reader<T> {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().poll_message(cx)
    }
}

impl<T: Transport> Sink<Message> for Writer<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.lock().poll_room(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.0.lock().start(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.lock().poll_flushed(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut socket = self.0.lock();
        socket.start_close(CloseFrame::new(CloseCode::NORMAL, ""))?;
        socket.poll_closed(cx)
    }
}

/// Two halves that are not of one WebSocket. Here they are back.
pub struct NotAPair<T>(pub Reader<T>, pub Writer<T>);

impl<T> fmt::Debug for NotAPair<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotAPair").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for NotAPair<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are of two WebSockets")
    }
}

impl<T> std::error::Error for NotAPair<T> {}
