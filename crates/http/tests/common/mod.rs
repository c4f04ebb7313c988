//! What the black-box tests share: machines with a receive buffer, fed and emptied by hand.

#![allow(dead_code, reason = "each test file uses a part")]

use drywire_core::{Close, Instant, RecvBuf, StreamMachine};
use drywire_http::{Error, client, server};

pub(crate) type Server = Wire<server::Connection>;
pub(crate) type Client = Wire<client::Connection>;

/// A machine and its receive buffer.
pub(crate) struct Wire<M> {
    pub(crate) machine: M,
    pub(crate) recv: RecvBuf,
    pub(crate) now: Instant,
}

pub(crate) fn server() -> Server {
    server_with(server::Config::default())
}

pub(crate) fn server_with(config: server::Config) -> Server {
    Wire::new(server::Connection::new(Instant::ORIGIN, config))
}

pub(crate) fn client() -> Client {
    client_with(client::Config::default())
}

pub(crate) fn client_with(config: client::Config) -> Client {
    Wire::new(client::Connection::new(Instant::ORIGIN, config))
}

impl<M: StreamMachine<Error = Error>> Wire<M> {
    pub(crate) fn new(machine: M) -> Self {
        Self { machine, recv: RecvBuf::new(), now: Instant::ORIGIN }
    }

    pub(crate) fn feed(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.recv.extend_from_slice(bytes.as_ref());
        self
    }

    pub(crate) fn feed_end(&mut self) -> &mut Self {
        self.recv.finish();
        self
    }

    pub(crate) fn poll(&mut self) -> Result<Option<M::Event>, Error> {
        self.machine.poll_event(self.now, &mut self.recv)
    }

    /// The next event, which there has to be.
    #[track_caller]
    pub(crate) fn event(&mut self) -> M::Event {
        self.poll().expect("no error").expect("an event")
    }

    #[track_caller]
    pub(crate) fn no_event(&mut self) {
        assert!(matches!(self.poll(), Ok(None)));
    }

    /// The error that ends the events to come.
    #[track_caller]
    pub(crate) fn error(&mut self) -> Error {
        loop {
            match self.poll() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("no error"),
                Err(error) => return error,
            }
        }
    }

    /// Everything that is queued, taken as a transport would.
    pub(crate) fn sent(&mut self) -> String {
        let queue = self.machine.transmit();
        let mut bytes = Vec::new();
        while !queue.is_empty() {
            bytes.extend_from_slice(&queue.pop(usize::MAX));
        }
        String::from_utf8(bytes).expect("text")
    }

    pub(crate) fn close(&self) -> Option<Close> {
        self.machine.demand().close
    }

    pub(crate) fn reads(&self) -> bool {
        self.machine.demand().read
    }

    /// Lets the next deadline pass.
    #[track_caller]
    pub(crate) fn expire(&mut self) {
        self.now = self.machine.poll_timeout().expect("a deadline");
        self.machine.handle_timeout(self.now);
        assert!(self.machine.poll_timeout().is_none_or(|next| next > self.now), "law 6");
    }
}

/// The status of a response.
pub(crate) fn status(response: &str) -> u16 {
    response.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
