//! WebSockets on tokio: [`accept`], [`connect`] and [`WebSocket`], a `Stream` and a `Sink` of messages.
//!
//! ```
//! use drywire_tokio::ws::{self, Accept, Message, Offer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (near, far) = tokio::io::duplex(1024);
//! let server = tokio::spawn(async move {
//!     let (mut socket, _request) = ws::accept(far, &Accept::default()).await.expect("a good request");
//!     while let Some(Ok(message)) = socket.next().await {
//!         // Not flushed: what is queued leaves before `next` waits, all answers to one read in one write.
//!         let _ = socket.feed(message).await;
//!     }
//! });
//!
//! let (mut socket, _opened) = ws::connect(near, Offer::new("example.org", "/"), Default::default()).await?;
//! socket.send("hello").await?;
//! assert_eq!(socket.next().await.transpose()?, Some(Message::text("hello")));
//! socket.close().await?;
//! assert!(socket.next().await.is_none());
//! server.await?;
//! # Ok(()) }
//! ```

mod open;
mod split;
mod waiting;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use drywire_core::StreamMachine as _;
use drywire_driver::Engine;
use drywire_session::ws::{Next, Session};
use drywire_ws::{CloseCode, CloseFrame, Connection};
use futures_core::Stream;
use futures_sink::Sink;

use crate::driver::AsWire;
use crate::{Driver, ShutdownHandle, Transport};
use waiting::{Side, Waiting};

pub use drywire_session::ws::{Accept, AcceptError, ConnectError, Error, Opened, Refusal};
#[doc(no_inline)]
pub use drywire_ws::handshake::{Offer, Policy};
#[doc(no_inline)]
pub use drywire_ws::{Message, client};
pub use open::{accept, connect, connect_with_seed};
pub use split::{NotAPair, Reader, Writer};

/// An open WebSocket: a `Stream` of the peer's messages and a `Sink` for one's own.
///
/// Whoever waits drives the whole connection, whichever method it is: Pings are answered, what is queued leaves, time
/// limits hold. The stream ends (`None`) when the closing handshake is over and the transport is closed; a failure
/// comes once as `Some(Err(_))` before that, and [`close_info`](Connection::close_info) of the
/// [`connection`](Self::connection) tells who closed and why.
///
/// Messages that come while only a send waits are kept up to a [read-ahead](Self::set_read_ahead) of 64 KiB. Behind that,
/// nothing is read until some are taken: the peer's window closes, and its Pings wait too. So do its Pongs: with a
/// [`ping_interval`](drywire_ws::Config::ping_interval), an application that takes nothing for that long loses the connection.
///
/// Every future is cancel-safe: a message is either returned or still to come, and one to be sent is queued as a whole
/// or not at all.
#[derive(Debug)]
pub struct WebSocket<T> {
    driver: Driver<Connection, T>,
    session: Session,
    waiting: Waiting,
    shutdown: Option<ShutdownHandle>,
    protocol: Option<String>,
}

impl<T: Transport> WebSocket<T> {
    /// A WebSocket whose opening handshake is over. Its machine must deliver whole messages
    /// ([`Delivery::Messages`](drywire_ws::Delivery::Messages), the default): pieces are not told here.
    pub fn new(driver: Driver<Connection, T>, protocol: Option<String>) -> Self {
        Self { driver, session: Session::new(), waiting: Waiting::default(), shutdown: None, protocol }
    }

    /// Closes with 1001 (going away) when a server is asked to stop.
    #[must_use]
    pub fn with_shutdown(mut self, shutdown: ShutdownHandle) -> Self {
        self.shutdown = Some(shutdown);
        self
    }

    /// Sets from how many bytes of kept messages on nothing more is read, each counted with 64 bytes on top; 64 KiB by
    /// default. One message is always kept, however long.
    pub fn set_read_ahead(&mut self, bytes: usize) {
        self.session.set_read_ahead(bytes);
    }

    /// The sub-protocol that both ends agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The machine, for what it knows.
    pub fn connection(&self) -> &Connection {
        self.driver.machine()
    }

    /// The machine, for every command that is not here: Pings, fragments, messages encoded before. What they queue leaves
    /// with the next call that waits.
    pub fn connection_mut(&mut self) -> &mut Connection {
        self.driver.machine_mut()
    }

    /// The transport.
    pub fn transport(&self) -> &T {
        self.driver.transport()
    }

    /// Waits for the next message. `None` is the end.
    ///
    /// Cancel-safe: a message is either returned or still to come.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Queues a message, and waits only where there is no room for it. It leaves with the next [`flush`](Self::flush),
    /// or when [`next`](Self::next) waits.
    ///
    /// Cancel-safe: until it returns nothing is queued.
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        poll_fn(|cx| self.poll_room(cx)).await?;
        self.start(message.into())
    }

    /// Sends a message, and waits until it is written.
    ///
    /// Cancel-safe: the message is queued as a whole, and then leaves with whatever waits next, or not at all.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Waits until everything that was queued has been written, in as few writes as the transport allows.
    ///
    /// Cancel-safe: it only waits.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flushed(cx)).await
    }

    /// Closes with 1000 (normal) behind everything that was sent, and waits until the connection is closed; where it is
    /// closing already, it only waits. Messages that still come are for [`next`](Self::next), up to the read-ahead, and
    /// dropped beyond it.
    ///
    /// Cancel-safe: the closing handshake goes on with whatever waits next.
    pub async fn close(&mut self) -> Result<(), Error> {
        self.close_with(CloseFrame::new(CloseCode::NORMAL, "")).await
    }

    /// [`close`](Self::close) with another code, and a reason.
    pub async fn close_with(&mut self, frame: CloseFrame) -> Result<(), Error> {
        self.start_close(frame)?;
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// Splits into halves for two tasks.
    ///
    /// Either half alone keeps the connection going, whatever the other one does. A reader that does not read holds a
    /// writer up only once the read-ahead is full and the peer, in turn, takes nothing; a writer that does not write
    /// holds nothing up. Once the reader is dropped, messages are too.
    pub fn split(self) -> (Reader<T>, Writer<T>) {
        split::split(self)
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        loop {
            return Poll::Ready(
                match ready!(self.poll_as(Side::Reader, cx, |session, engine, wire| session.poll_next(engine, wire))) {
                    Next::Message(message) => Some(Ok(message)),
                    Next::Failed(error) => Some(Err(error)),
                    Next::End => None,
                    _ => continue,
                },
            );
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_as(Side::Writer, cx, |session, engine, wire| session.poll_ready(engine, wire))
    }

    fn start(&mut self, message: Message) -> Result<(), Error> {
        self.session.start_send(self.driver.engine_mut(), message)
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_as(Side::Writer, cx, |session, engine, wire| session.poll_flush(engine, wire))
    }

    fn start_close(&mut self, frame: CloseFrame) -> Result<(), Error> {
        let now = self.driver.now();
        match self.session.start_close(self.driver.engine_mut(), now, frame) {
            Err(Error::Closed) => Ok(()),
            result => result,
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_as(Side::Writer, cx, |session, engine, wire| session.poll_closed(engine, wire))
    }

    /// Polls the session for one side, with a waker for every side that waits.
    fn poll_as<R>(
        &mut self,
        side: Side,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Session, &mut Engine<Connection>, &mut AsWire<'_, '_, T>) -> Poll<R>,
    ) -> Poll<R> {
        let Self { driver, session, waiting, shutdown, .. } = self;
        let taken = driver.machine_mut().transmit().taken();
        let result = {
            let mut cx = Context::from_waker(waiting.waker(side, cx.waker()));
            if shutdown.as_mut().is_some_and(|shutdown| shutdown.poll_requested(&mut cx).is_ready()) {
                *shutdown = None;
                let now = driver.now();
                let frame = CloseFrame::new(CloseCode::GOING_AWAY, "the server is shutting down");
                // A refusal means that it is closing already.
                let _ = session.start_close(driver.engine_mut(), now, frame);
            }
            driver.poll_with(&mut cx, |engine, wire| poll(session, engine, wire))
        };
        waiting.set(side, result.is_pending().then_some(cx.waker()));
        // What one side has moved may be what the other waits for.
        let moved = match side {
            Side::Reader => session.is_over() || driver.machine_mut().transmit().taken() != taken,
            Side::Writer => session.has_news(),
        };
        if moved {
            waiting.wake(side.other());
        }
        result
    }
}

impl<T: Transport> Stream for WebSocket<T> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl<T: Transport> Sink<Message> for WebSocket<T> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_room(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.start(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_flushed(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.start_close(CloseFrame::new(CloseCode::NORMAL, ""))?;
        self.poll_closed(cx)
    }
}
