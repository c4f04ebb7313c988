//! Two ends of a connection in memory, with TLS over awkward wires, in virtual time.
//!
//! What cannot be fixed is rustls's own randomness: keys and signatures differ from run to run, and with them the
//! length of a certificate's signature by a few bytes.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses its part of this module")]

mod certificates;
mod exchange;
mod link;

use std::io;
use std::sync::Arc;
use std::task::Poll;

use drywire_core::{Instant, RecvBuf};
use drywire_driver::{Config, DriveError, Engine, Interest, Parts, Turn};
use drywire_tls::{ClientConfig, Error, ServerConfig, ServerName, Session};

pub use certificates::{Authority, NAME, client_config, client_identity, roots, server_config, server_identity};
pub use exchange::Exchange;
pub use link::{End, Fault, Link, Whim};

/// How a side's connection ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Closed,
    Tls(Error),
    Io(io::ErrorKind),
}

impl Outcome {
    fn of(error: &io::Error) -> Self {
        Error::of(error).map_or(Self::Io(error.kind()), |error| Self::Tls(error.clone()))
    }
}

/// One side: an engine on TLS on one end of a link.
pub struct Side {
    engine: Engine<Exchange>,
    pub session: Session,
    pub end: End,
    pub outcome: Option<Outcome>,
    interest: Interest,
    fresh: bool,
}

impl Side {
    pub fn new(session: Session, machine: Exchange, end: End) -> Self {
        let parts = Parts { machine, transport: end, recv: RecvBuf::new(), config: Config::default() };
        let (engine, end) = Engine::from_parts(parts);
        Self { engine, session, end, outcome: None, interest: Interest::default(), fresh: true }
    }

    pub fn machine(&self) -> &Exchange {
        self.engine.machine()
    }

    /// Runs until it waits, and judges how.
    fn run(&mut self) {
        self.fresh = false;
        self.end.begin_turn();
        loop {
            match self.engine.poll_turn(&mut self.session.wire(&mut self.end)) {
                Poll::Ready(Ok(Turn::Closed)) => self.outcome = Some(Outcome::Closed),
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(DriveError::Io(error))) => self.outcome = Some(Outcome::of(&error)),
                Poll::Ready(Err(DriveError::Protocol(never))) => match never {},
                Poll::Pending => {}
            }
            break;
        }
        self.interest = if self.outcome.is_none() {
            self.session.interest(self.engine.interest())
        } else {
            self.end.close();
            Interest::default()
        };
        self.end.check_wait(self.interest);
    }

    /// Runs to the end while the other side only watches.
    pub fn run_alone(&mut self) {
        while self.outcome.is_none() {
            assert!(self.is_ready(), "it waits for ever: {:?}", self.interest);
            self.run();
        }
    }

    fn is_ready(&self) -> bool {
        let due = self.engine.deadline().is_some_and(|due| due <= self.end.now());
        self.outcome.is_none() && (self.fresh || due || self.end.is_ready(self.interest))
    }
}

/// Runs both sides to their ends.
pub fn run(client: &mut Side, server: &mut Side) {
    for _ in 0..1_000_000 {
        let mut moved = false;
        for side in [&mut *client, &mut *server] {
            if side.is_ready() {
                side.run();
                moved = true;
            }
        }
        if client.outcome.is_some() && server.outcome.is_some() {
            return;
        }
        if !moved {
            let open = [&*client, &*server].into_iter().filter(|side| side.outcome.is_none());
            let due = open.filter_map(|side| side.engine.deadline()).min();
            let due = due.unwrap_or_else(|| panic!("both wait for ever: {:?} {:?}", client.interest, server.interest));
            client.end.set_now(due);
        }
    }
    panic!("it does not end");
}

/// What a test is made of: the configurations, what each side says, and how the link behaves.
pub struct Scene {
    pub client: Arc<ClientConfig>,
    pub server: Arc<ServerConfig>,
    pub name: ServerName<'static>,
    pub says: [Exchange; 2],
    pub link: Link,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(Arc::new(client_config()), Arc::new(server_config()))
    }

    pub fn with(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Self {
        let says = [Exchange::new(b"a question"), Exchange::new(b"an answer")];
        Self { client, server, name: NAME.try_into().unwrap(), says, link: Link::default() }
    }

    pub fn sides(self) -> (Side, Side) {
        let (near, far) = self.link.ends();
        let [question, answer] = self.says;
        let client = Session::client(self.client, self.name).unwrap();
        let server = Session::server(self.server).unwrap();
        (Side::new(client, question, near), Side::new(server, answer, far))
    }

    /// Runs it to both ends.
    pub fn run(self) -> (Side, Side) {
        let (mut client, mut server) = self.sides();
        run(&mut client, &mut server);
        (client, server)
    }
}
