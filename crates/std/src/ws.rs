//! Blocking WebSockets: [`accept`], [`connect`] and [`WebSocket`].
//!
//! ```
//! use drywire_std::ws::{self, Accept, Message, Offer};
//! use drywire_std::{Server, TcpTransport};
//!
//! let server = Server::bind("127.0.0.1:0")?;
//! let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
//! let running = std::thread::spawn(move || {
//!     server.run(|transport, _peer| {
//!         let Ok((mut socket, _request)) = ws::accept(transport, &Accept::default()) else { return };
//!         while let Ok(Some(message)) = socket.read() {
//!             // Not flushed: what is queued leaves before `read` waits, all answers to one read in one write.
//!             let _ = socket.feed(message);
//!         }
//!     })
//! });
//!
//! let transport = TcpTransport::connect(address, None)?;
//! let (mut socket, _opened) = ws::connect(transport, Offer::new("example.org", "/"), Default::default())?;
//! socket.send("hello")?;
//! assert_eq!(socket.read()?, Some(Message::text("hello")));
//! socket.close()?;
//!
//! shutdown.shutdown();
//! running.join().expect("no panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use drywire_core::{Instant, Seed};
use drywire_http::{RequestHead, server};
use drywire_session::ws::{Accepting, Connecting, Next, Session};
use drywire_ws::client::Client;
use drywire_ws::handshake::Acceptance;
use drywire_ws::{CloseCode, CloseFrame, Connection};

use crate::{Driver, Transport};

pub use drywire_session::ws::{Accept, AcceptError, ConnectError, Error, Opened, Refusal};
#[doc(no_inline)]
pub use drywire_ws::handshake::{Offer, Policy};
#[doc(no_inline)]
pub use drywire_ws::{Message, client};

/// Opens a WebSocket as a client on a transport that is connected. Nonce and masking keys come from the system's source of
/// randomness.
///
/// Another answer than 101 comes back whole, as [`ConnectError::Refused`].
pub fn connect<T: Transport>(
    transport: T,
    offer: Offer,
    config: client::Config,
) -> Result<(WebSocket<T>, Opened), ConnectError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::from)?;
    connect_with_seed(transport, offer, config, &Seed::from_bytes(seed))
}

/// [`connect`] with a seed for nonce and masking keys, which must be fresh and unpredictable on real networks (RFC 6455,
/// 5.3 and 10.3).
pub fn connect_with_seed<T: Transport>(
    transport: T,
    offer: Offer,
    config: client::Config,
    seed: &Seed,
) -> Result<(WebSocket<T>, Opened), ConnectError> {
    let client = Client::new(transport.now(), offer, Connecting::config(config), seed)?;
    let mut driver = Driver::new(client, transport);
    let mut connecting = Connecting::new();
    let opened = driver.wait_with(|engine, wire| connecting.poll(engine, wire))??;
    let driver = driver.map_machine(|client| client.into_connection().expect("it has opened"));
    Ok((WebSocket::new(driver, opened.protocol.clone()), opened))
}

/// Waits for a client's request on a transport that is connected, and opens the WebSocket that it asks for. Gives the
/// request's head too, for its target and its fields.
///
/// A request that is rejected has been answered, and the connection is closed.
pub fn accept<T: Transport>(transport: T, options: &Accept) -> Result<(WebSocket<T>, RequestHead), AcceptError> {
    let mut driver = Driver::new(server::Connection::new(transport.now(), options.http.clone()), transport);
    let mut accepting = Accepting::new();
    let (head, acceptance) = driver.wait_with(|engine, wire| accepting.poll(engine, wire, &options.policy))??;
    Ok((WebSocket::take_over(driver, &acceptance, options), head))
}

/// An open WebSocket that blocks. Whoever waits drives the whole connection, whichever method it is: Pings are answered,
/// what is queued leaves, time limits hold.
///
/// When the server that accepted it is asked to stop, it closes with 1001 (going away): reading then comes to its end.
#[derive(Debug)]
pub struct WebSocket<T> {
    driver: Driver<Connection, T>,
    session: Session,
    protocol: Option<String>,
}

impl<T: Transport> WebSocket<T> {
    /// A WebSocket whose opening handshake is over. Its machine must deliver whole messages
    /// ([`Delivery::Messages`](drywire_ws::Delivery::Messages), the default): pieces are not told here.
    pub fn new(driver: Driver<Connection, T>, protocol: Option<String>) -> Self {
        Self { driver, session: Session::new(), protocol }
    }

    /// The WebSocket that goes on where the HTTP machine of `driver` has
    /// [answered](server::Connection::upgrade) with `acceptance`.
    pub fn take_over(driver: Driver<server::Connection, T>, acceptance: &Acceptance, options: &Accept) -> Self {
        let now: Instant = driver.now();
        let driver = driver.map_machine(|http| options.take_over(now, http, acceptance));
        Self::new(driver, acceptance.protocol().map(str::to_owned))
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

    /// Waits for the next message. `None` is the end: the closing handshake is over and the transport is closed.
    ///
    /// What is queued leaves before it waits.
    pub fn read(&mut self) -> Result<Option<Message>, Error> {
        loop {
            if self.driver.is_shutting_down() {
                // A refusal means that it is closing already.
                let _ = self.start_close(CloseFrame::new(CloseCode::GOING_AWAY, "the server is shutting down"));
            }
            let session = &mut self.session;
            match self.driver.wait_with(|engine, wire| session.poll_next(engine, wire))? {
                Next::Message(message) => return Ok(Some(message)),
                Next::Failed(error) => return Err(error),
                Next::End => return Ok(None),
                _ => {}
            }
        }
    }

    /// Queues a message, and waits only where there is no room for it. It leaves with the next [`flush`](Self::flush),
    /// or when [`read`](Self::read) waits.
    pub fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let session = &mut self.session;
        self.driver.wait_with(|engine, wire| session.poll_ready(engine, wire))??;
        session.start_send(self.driver.engine_mut(), message.into())
    }

    /// Sends a message, and waits until it is written. Messages that come meanwhile are kept for
    /// [`read`](Self::read), up to 64 KiB, each counted with 64 bytes on top.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message)?;
        self.flush()
    }

    /// Waits until everything that was queued has been written, in as few writes as the transport allows.
    pub fn flush(&mut self) -> Result<(), Error> {
        let session = &mut self.session;
        self.driver.wait_with(|engine, wire| session.poll_flush(engine, wire))?
    }

    /// Closes with 1000 (normal) behind everything that was sent, and waits until the connection is closed; where it is
    /// closing already, it only waits. Messages that still come are for [`read`](Self::read), up to 64 KiB, and dropped
    /// beyond.
    pub fn close(&mut self) -> Result<(), Error> {
        self.close_with(CloseFrame::new(CloseCode::NORMAL, ""))
    }

    /// [`close`](Self::close) with another code, and a reason.
    pub fn close_with(&mut self, frame: CloseFrame) -> Result<(), Error> {
        match self.start_close(frame) {
            Ok(()) | Err(Error::Closed) => {}
            Err(error) => return Err(error),
        }
        let session = &mut self.session;
        self.driver.wait_with(|engine, wire| session.poll_closed(engine, wire))?
    }

    fn start_close(&mut self, frame: CloseFrame) -> Result<(), Error> {
        let now = self.driver.now();
        self.session.start_close(self.driver.engine_mut(), now, frame)
    }
}
