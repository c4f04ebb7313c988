//! The operating system's sockets and its poller.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use drywire_core::Instant;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::poller::{Poller, Readiness, Source, Stream};
use crate::Clock;

/// How many events are taken at a time.
const EVENTS: usize = 1024;

const WAKER: Token = Token(usize::MAX);

/// TCP sockets, one file descriptor each, and the poller of the operating system: epoll, kqueue, or what mio has for
/// others.
pub struct Sockets {
    poll: Poll,
    events: Events,
    waker: Arc<PollWaker>,
    clock: Clock,
}

struct PollWaker(mio::Waker);

impl Wake for PollWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let _ = self.0.wake();
    }
}

impl Sockets {
    /// A poller with a clock of its own. It takes two file descriptors.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(PollWaker(mio::Waker::new(poll.registry(), WAKER)?));
        Ok(Self { poll, events: Events::with_capacity(EVENTS), waker, clock: Clock::new() })
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").field("poll", &self.poll).field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Listeners have the odd numbers.
fn token(source: Source) -> Token {
    Token(match source {
        Source::Listener(number) => (number as usize) << 1 | 1,
        Source::Stream(number) => (number as usize) << 1,
    })
}

fn source(token: Token) -> Source {
    let number = (token.0 >> 1) as u32;
    if token.0 & 1 == 1 { Source::Listener(number) } else { Source::Stream(number) }
}

impl Poller for Sockets {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn park(&mut self, until: Option<Instant>, ready: &mut dyn FnMut(Source, Readiness)) -> io::Result<()> {
        let timeout = until.map(|until| until - self.clock.now());
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            let ended = event.is_read_closed() || event.is_error();
            let read = event.is_readable() || ended;
            let write = event.is_writable() || event.is_write_closed() || event.is_error();
            ready(source(event.token()), Readiness { read, write, ended });
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.waker))
    }

    fn watch_listener(&mut self, listener: &mut TcpListener, number: u32) -> io::Result<()> {
        self.poll.registry().register(listener, token(Source::Listener(number)), Interest::READABLE)
    }

    fn watch(&mut self, stream: &mut TcpStream, number: u32) -> io::Result<()> {
        // Both ways, once: an edge that nobody waits for costs less than a system call for each change of mind.
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(stream, token(Source::Stream(number)), both)
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = listener.accept()?;
        // Not every socket that can be connected has the option.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }

    fn connect(&mut self, remote: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(remote)?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn local_addr(&self, listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }
}

impl Stream for TcpStream {
    // Where mio polls by epoll or kqueue. Other pollers report again only what would have blocked.
    const SHORT_IS_BLOCKED: bool = cfg!(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd",
    ));

    fn is_connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        match self.peer_addr() {
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            result => result.map(|_| true),
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        (&*self).read(room)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            // The cheaper call.
            [piece] => (&*self).write(piece),
            _ => (&*self).write_vectored(pieces),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn abort(&mut self) {
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_whose_it_is() {
        for number in [0, 1, 7, u32::MAX / 4] {
            for one in [Source::Listener(number), Source::Stream(number)] {
                assert_eq!(source(token(one)), one);
                assert_ne!(token(one), WAKER);
            }
        }
    }
}
