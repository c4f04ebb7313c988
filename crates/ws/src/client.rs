//! A client from its first byte on: the opening handshake, then the connection.

use alloc::boxed::Box;
use alloc::string::String;
use core::mem;
use core::time::Duration;

use bytes::Bytes;
use drywire_core::{Close, Demand, Instant, RecvBuf, Rng, Seed, SendQueue, StreamMachine};
use drywire_http::{self as http, Length, ResponseHead};

use crate::deflate::Parameters;
use crate::handshake::{Agreement, ClientHandshake, HandshakeError, Offer, OfferError};
use crate::{Connection, Role};

/// What a client tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake has succeeded: from here on there is a [`connection`](Client::connection_mut).
    Open {
        /// The sub-protocol that the server chose from the offered ones.
        protocol: Option<String>,
        /// The parameters of permessage-deflate, if messages may be compressed.
        deflate: Option<Parameters>,
        /// The whole head of the server's answer.
        response: Box<ResponseHead>,
    },
    /// The server answered otherwise than with 101: a redirect, a request for credentials, an error. Its content
    /// follows as [`Event::Content`], then [`Event::End`]; what to do about it is the user's to decide.
    Refused(Box<ResponseHead>),
    /// A piece of the content of a refusal.
    Content(Bytes),
    /// The refusal has arrived in full.
    End,
    /// An event of the open connection.
    Connection(crate::Event),
}

/// Why a client failed. It is final: every later call returns it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server broke HTTP, or ended the stream before its answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The server's 101 broke a rule of the opening handshake.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The server did not answer within [`Config::handshake_timeout`].
    #[error("the server did not answer the handshake in time")]
    HandshakeTimeout,
    /// The connection failed after its opening.
    #[error(transparent)]
    Connection(#[from] crate::Error),
}

/// Limits and times of a [`Client`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long the server may take for its whole answer to the handshake. 10 seconds by default.
    pub handshake_timeout: Duration,
    /// Limits of the HTTP exchange; its send queue goes over to the connection.
    pub http: http::client::Config,
    /// Limits of the connection.
    pub connection: crate::Config,
    /// What compresses where the connection has no context takeover. One of its own by default.
    #[cfg(feature = "deflate")]
    pub pool: crate::deflate::Pool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            http: http::client::Config::default(),
            connection: crate::Config::default(),
            #[cfg(feature = "deflate")]
            pool: crate::deflate::Pool::new(1),
        }
    }
}

/// A WebSocket client: its request is ready to be sent as soon as it exists, and it turns into the [`Connection`] in
/// place when the server agrees. What the server sends right behind its answer is not lost.
#[derive(Debug)]
pub struct Client {
    stage: Stage,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the one that lasts")]
enum Stage {
    Opening(Box<Opening>),
    Open(Connection),
    /// There is nothing to say to a server that did not become a WebSocket, so the queue stays empty.
    Failed(Error, SendQueue),
}

/// What the opening handshake needs and the connection does not.
#[derive(Debug)]
struct Opening {
    http: http::client::Connection,
    handshake: ClientHandshake,
    config: crate::Config,
    #[cfg(feature = "deflate")]
    pool: crate::deflate::Pool,
    seed: Seed,
    /// The latest time seen.
    now: Instant,
    /// When the answer must be there. `None` once it is, which then was a refusal.
    deadline: Option<Instant>,
}

impl Client {
    /// A client that makes `offer`. The nonce and the masking keys are drawn from `seed`, which must be fresh and
    /// unpredictable on real networks.
    pub fn new(now: Instant, offer: Offer, config: Config, seed: &Seed) -> Result<Self, OfferError> {
        let mut rng = Rng::new(seed);
        let mut nonce = [0; 16];
        rng.fill(&mut nonce);
        let handshake = ClientHandshake::new(nonce, offer)?;
        let mut http = http::client::Connection::new(now, config.http);
        http.send_request(&handshake, Length::Known(0))?;
        http.finish(None)?;
        let opening = Opening {
            http,
            handshake,
            config: config.connection,
            #[cfg(feature = "deflate")]
            pool: config.pool,
            seed: rng.split(),
            now,
            deadline: Some(now + config.handshake_timeout),
        };
        Ok(Self { stage: Stage::Opening(Box::new(opening)) })
    }

    /// The connection, once it is open.
    pub fn connection(&self) -> Option<&Connection> {
        match &self.stage {
            Stage::Open(connection) => Some(connection),
            Stage::Opening(_) | Stage::Failed(..) => None,
        }
    }

    /// The connection, once it is open: its commands send.
    pub fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.stage {
            Stage::Open(connection) => Some(connection),
            Stage::Opening(_) | Stage::Failed(..) => None,
        }
    }

    /// The connection alone, once it is open. The receive buffer goes on as it is.
    pub fn into_connection(self) -> Option<Connection> {
        match self.stage {
            Stage::Open(connection) => Some(connection),
            Stage::Opening(_) | Stage::Failed(..) => None,
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.stage = Stage::Failed(error.clone(), SendQueue::new(0));
        error
    }
}

impl StreamMachine for Client {
    type Event = Event;
    type Error = Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        let opening = match &mut self.stage {
            Stage::Opening(opening) => opening,
            Stage::Open(connection) => return Ok(connection.poll_event(now, recv)?.map(Event::Connection)),
            Stage::Failed(error, _) => return Err(error.clone()),
        };
        opening.now = opening.now.max(now);
        loop {
            let event = match opening.http.poll_event(opening.now, recv) {
                Ok(event) => event,
                Err(error) => return Err(self.fail(error.into())),
            };
            let response = match event {
                // That the connection closes is told by `demand`.
                None | Some(http::client::Event::Closed) => return Ok(None),
                Some(http::client::Event::Informational(_)) => continue,
                Some(http::client::Event::Response(response)) => response,
                Some(http::client::Event::Content(piece)) => return Ok(Some(Event::Content(piece))),
                Some(http::client::Event::End(_)) => {
                    opening.deadline = None;
                    return Ok(Some(Event::End));
                }
            };
            let Agreement { protocol, deflate } = match opening.handshake.verify(&response) {
                Ok(agreement) => agreement,
                // 4.1: "If the status code received from the server is not 101, the client handles the response per
                // HTTP procedures."
                Err(HandshakeError::Status(_)) => {
                    opening.http.shutdown();
                    return Ok(Some(Event::Refused(Box::new(response))));
                }
                Err(error) => return Err(self.fail(error.into())),
            };
            let transmit = mem::replace(opening.http.transmit(), SendQueue::new(0));
            let config = opening.config.clone();
            let connection = Connection::new(opening.now, Role::Client, config, &opening.seed, transmit);
            #[cfg(feature = "deflate")]
            let connection = connection.with_deflate(deflate, &opening.pool);
            self.stage = Stage::Open(connection);
            return Ok(Some(Event::Open { protocol, deflate, response: Box::new(response) }));
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        match &mut self.stage {
            Stage::Opening(opening) => opening.http.transmit(),
            Stage::Open(connection) => connection.transmit(),
            Stage::Failed(_, empty) => empty,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Opening(opening) => [opening.deadline, opening.http.poll_timeout()].into_iter().flatten().min(),
            Stage::Open(connection) => connection.poll_timeout(),
            Stage::Failed(..) => None,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Opening(opening) => {
                opening.now = opening.now.max(now);
                if opening.deadline.is_some_and(|deadline| deadline <= opening.now) {
                    self.fail(Error::HandshakeTimeout);
                } else {
                    opening.http.handle_timeout(now);
                }
            }
            Stage::Open(connection) => connection.handle_timeout(now),
            Stage::Failed(..) => {}
        }
    }

    fn demand(&self) -> Demand {
        match &self.stage {
            Stage::Opening(opening) => opening.http.demand(),
            Stage::Open(connection) => connection.demand(),
            Stage::Failed(..) => Demand { read: false, close: Some(Close::Both) },
        }
    }
}
