//! Connection attempts that run beside one another.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Connection attempts on one poller. Dropping them gives them up.
pub(super) struct Attempts {
    poll: Poll,
    events: Events,
    running: Vec<(Token, TcpStream)>,
    /// What an attempt came to at once.
    failed: Vec<io::Error>,
    next: usize,
}

impl Attempts {
    pub(super) fn new() -> io::Result<Self> {
        let (running, failed) = (Vec::new(), Vec::new());
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(8), running, failed, next: 0 })
    }

    /// Begins an attempt.
    pub(super) fn begin(&mut self, address: SocketAddr) {
        let token = Token(self.next);
        self.next += 1;
        let begun = TcpStream::connect(address).and_then(|mut stream| {
            self.poll.registry().register(&mut stream, token, Interest::WRITABLE)?;
            Ok(stream)
        });
        match begun {
            Ok(stream) => self.running.push((token, stream)),
            Err(error) => self.failed.push(error),
        }
    }

    /// The first that ends, or `None` when the time is up or the wait was interrupted.
    pub(super) fn first(&mut self, timeout: Option<Duration>) -> Option<io::Result<TcpStream>> {
        if let Some(error) = self.failed.pop() {
            return Some(Err(error));
        }
        // The poller tells once of each that ends, and several may end together: so all are asked, before and after.
        let mut ended = self.ended();
        if ended.is_none() {
            match self.poll.poll(&mut self.events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => return None,
                Err(error) => return Some(Err(error)),
                Ok(()) => ended = self.ended(),
            }
        }
        let (index, outcome) = ended?;
        let (_, mut stream) = self.running.swap_remove(index);
        Some(outcome.and_then(|()| {
            self.poll.registry().deregister(&mut stream)?;
            Ok(stream)
        }))
    }

    fn ended(&self) -> Option<(usize, io::Result<()>)> {
        self.running.iter().enumerate().find_map(|(index, (_, stream))| Some((index, outcome(stream)?)))
    }
}

/// What an attempt came to; `None` while it is under way.
fn outcome(stream: &TcpStream) -> Option<io::Result<()>> {
    if let Ok(Some(error)) | Err(error) = stream.take_error() {
        return Some(Err(error));
    }
    match stream.peer_addr() {
        Err(error) if error.kind() == ErrorKind::NotConnected => None,
        result => Some(result.map(drop)),
    }
}
