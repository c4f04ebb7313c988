//! The application that both mirror examples share: a WebSocket client that sends every message back.

use std::error::Error;
use std::io;

use drywire::ws::client::{Client, Config, Error as ClientError, Event as ClientEvent};
use drywire::ws::deflate::Parameters;
use drywire::ws::handshake::Offer;
use drywire::ws::{Event, Message, SendError};
use drywire::{Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};

/// A client with its application: a machine of its own, so that the driver sees when it cannot take more. There is
/// nothing of any runtime in here.
pub(crate) struct Mirror {
    client: Client,
    /// A message that the send queue had no room for. Nothing more is read until it has left.
    held: Option<Message>,
}

impl Mirror {
    /// The server's address and the machine for a `ws:` URL with a port, with compression on offer.
    pub(crate) fn new(url: &str) -> Result<(&str, Self), Box<dyn Error>> {
        let rest = url.strip_prefix("ws://").ok_or("the URL must begin with ws://")?;
        let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let offer = Offer { deflate: Some(Parameters::default()), ..Offer::new(host, target) };
        // The nonce and the masking keys must be unpredictable (RFC 6455, 10.3).
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let client = Client::new(Instant::ORIGIN, offer, Config::default(), &Seed::from_bytes(seed))?;
        Ok((host, Self { client, held: None }))
    }

    /// Sends what is held, if there is room.
    fn refill(&mut self) {
        if let (Some(message), Some(connection)) = (self.held.take(), self.client.connection_mut())
            && let Err(SendError::Full(message)) = connection.send(message)
        {
            // Any other refusal means that the connection is closing or failed, and `poll_event` tells that.
            self.held = Some(message);
        }
    }
}

impl StreamMachine for Mirror {
    type Event = ClientEvent;
    type Error = ClientError;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<ClientEvent>, ClientError> {
        loop {
            self.refill();
            if self.held.is_some() {
                return Ok(None);
            }
            match self.client.poll_event(now, recv)? {
                Some(ClientEvent::Connection(Event::Message(message))) => self.held = Some(message),
                event => return Ok(event),
            }
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.refill();
        self.client.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        let mut demand = self.client.demand();
        demand.read &= self.held.is_none();
        demand
    }
}

/// What the examples say of an event.
pub(crate) fn report(event: &ClientEvent) {
    match event {
        ClientEvent::Open { deflate: Some(parameters), .. } => println!("open, with {parameters}"),
        ClientEvent::Open { .. } => println!("open"),
        ClientEvent::Refused(response) => println!("refused with {}", response.status()),
        ClientEvent::Connection(Event::Close(Some(frame))) => println!("the server closes with {}", frame.code),
        ClientEvent::Connection(Event::Close(None)) => println!("the server closes"),
        _ => {}
    }
}
