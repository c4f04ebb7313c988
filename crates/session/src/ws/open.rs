//! The opening handshake on a connected transport, from either end.

use std::task::{Poll, ready};

use drywire_core::{Bytes, BytesMut, Instant, Seed};
use drywire_driver::{Engine, Turn, Wire};
use drywire_http::server::{self, Event};
use drywire_http::{Length, RequestHead, ResponseHead};
use drywire_ws::client::{self, Client};
use drywire_ws::deflate::{Parameters, Pool};
use drywire_ws::handshake::{self, Acceptance, Policy, Rejection};
use drywire_ws::{Config, Connection, Delivery, Role};

use super::{AcceptError, ConnectError, Refusal};

/// How much of a refusal's content is kept.
const REFUSAL_MAX: usize = 64 * 1024;

/// What a client and a server agreed on when a WebSocket opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The sub-protocol, if one was agreed on.
    pub protocol: Option<String>,
    /// The parameters of permessage-deflate, if messages may be compressed.
    pub deflate: Option<Parameters>,
    /// The head of the server's answer.
    pub response: Box<ResponseHead>,
}

/// A client's opening handshake.
#[derive(Debug, Default)]
pub struct Connecting {
    refused: Option<ResponseHead>,
    content: BytesMut,
}

impl Connecting {
    /// A handshake whose machine has made its offer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration with what sessions need: whole messages.
    pub fn config(config: client::Config) -> client::Config {
        client::Config { connection: whole(&config.connection), ..config }
    }

    /// Drives the handshake to its end. After success the machine has a
    /// [connection](Client::into_connection).
    pub fn poll(&mut self, engine: &mut Engine<Client>, wire: &mut impl Wire) -> Poll<Result<Opened, ConnectError>> {
        loop {
            match ready!(engine.poll_turn(wire))? {
                Turn::Event(client::Event::Open { protocol, deflate, response }) => {
                    return Poll::Ready(Ok(Opened { protocol, deflate, response }));
                }
                Turn::Event(client::Event::Refused(head)) => self.refused = Some(*head),
                Turn::Event(client::Event::Content(piece)) => {
                    let room = REFUSAL_MAX.saturating_sub(self.content.len());
                    self.content.extend_from_slice(&piece[..piece.len().min(room)]);
                }
                Turn::Event(client::Event::End) | Turn::Closed => return Poll::Ready(Err(self.refusal())),
                _ => {}
            }
        }
    }

    fn refusal(&mut self) -> ConnectError {
        let content = self.content.split().freeze();
        match self.refused.take() {
            Some(head) => ConnectError::Refused(Box::new(Refusal { head, content })),
            // A machine that closes without an answer has failed before.
            None => client::Error::Http(drywire_http::Error::NoResponse).into(),
        }
    }
}

/// How a server opens WebSockets.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Accept {
    /// What the server agrees to.
    pub policy: Policy,
    /// Limits of the HTTP exchange; its send queue goes over to the WebSocket.
    pub http: server::Config,
    /// Limits of the WebSocket. Messages are always delivered whole.
    pub connection: Config,
    /// What compresses where a WebSocket has no context takeover. Give all connections of a server the same.
    pub pool: Pool,
}

impl Accept {
    /// The defaults, with this policy.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// The WebSocket that goes on where HTTP has answered with `acceptance`.
    pub fn take_over(&self, now: Instant, http: server::Connection, acceptance: &Acceptance) -> Connection {
        let config = whole(&self.connection);
        // A server masks nothing (RFC 6455, 5.1), so the seed is never drawn from.
        let connection = Connection::new(now, Role::Server, config, &Seed::from(0), http.into_transmit());
        connection.with_deflate(acceptance.deflate(), &self.pool)
    }
}

/// A server's opening handshake on a connection that is there for nothing else.
#[derive(Debug, Default)]
pub struct Accepting {
    accepted: Option<(RequestHead, Acceptance)>,
    rejected: Option<Rejection>,
}

impl Accepting {
    /// A handshake that waits for its request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Drives the handshake to its end. After success the machine is
    /// [upgraded](server::Connection::is_upgraded); a rejection has been answered, and the connection is closed.
    pub fn poll(
        &mut self,
        engine: &mut Engine<server::Connection>,
        wire: &mut impl Wire,
        policy: &Policy,
    ) -> Poll<Result<(RequestHead, Acceptance), AcceptError>> {
        loop {
            match ready!(engine.poll_turn(wire))? {
                Turn::Event(Event::Request(head)) => match handshake::accept(&head, policy) {
                    Ok(acceptance) => self.accepted = Some((head, acceptance)),
                    Err(rejection) => {
                        self.rejected = Some(rejection);
                        reject(engine.machine_mut(), rejection);
                    }
                },
                Turn::Event(Event::End(_)) => {
                    if let Some((head, acceptance)) = self.accepted.take()
                        && engine.machine_mut().upgrade(&acceptance).is_ok()
                    {
                        return Poll::Ready(Ok((head, acceptance)));
                    }
                }
                Turn::Closed => return Poll::Ready(Err(self.rejected.map_or(AcceptError::Closed, Into::into))),
                _ => {}
            }
        }
    }
}

/// Answers with what is wrong, and ends the connection.
fn reject(http: &mut server::Connection, rejection: Rejection) {
    let text = Bytes::from(format!("{rejection}\n"));
    http.shutdown();
    // A refused command means that the connection has failed, which its events tell.
    let _ = http
        .respond(&rejection, Length::Known(text.len() as u64))
        .and_then(|()| http.send_content(text))
        .and_then(|()| http.finish(None));
}

/// Messages are all that a session tells.
fn whole(config: &Config) -> Config {
    Config { delivery: Delivery::Messages, ..config.clone() }
}
