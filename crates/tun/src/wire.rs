//! A connection of the stack, as an engine sees it.

use std::io::{self, ErrorKind, IoSlice};
use std::task::Poll;

use drywire_core::{Bytes, BytesMut, Instant, RecvBuf, SendQueue};
use drywire_driver::Wire;
use drywire_tcp::{CloseReason, Connection, Event, SendError, State};

/// A connection for one turn.
pub(crate) struct ConnectionWire<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) now: Instant,
    /// Why the connection is gone, once it is.
    pub(crate) closed: &'a mut Option<CloseReason>,
    pub(crate) woken: &'a mut bool,
}

impl ConnectionWire<'_> {
    /// The reason why the connection is gone, if that is not an orderly end.
    fn check(&mut self) -> io::Result<()> {
        while let Some(event) = self.connection.poll_event() {
            if let Event::Closed(reason) = event {
                *self.closed = Some(reason);
            }
        }
        match *self.closed {
            None | Some(CloseReason::Normal) => Ok(()),
            Some(reason) => Err(io::Error::new(
                match reason {
                    CloseReason::Reset => ErrorKind::ConnectionReset,
                    CloseReason::Refused => ErrorKind::ConnectionRefused,
                    CloseReason::TimedOut | CloseReason::UserTimeout => ErrorKind::TimedOut,
                    _ => ErrorKind::ConnectionAborted,
                },
                reason_text(reason),
            )),
        }
    }

    /// Takes at most `max` bytes; none at the end of the stream.
    fn take(&mut self, max: usize) -> Poll<io::Result<Bytes>> {
        // What arrived before the end of the connection is read, whatever the end was.
        let recv = self.connection.recv();
        if !recv.is_empty() || recv.is_end_of_stream() {
            return Poll::Ready(Ok(recv.take(max)));
        }
        match self.check() {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) if self.closed.is_some() => Poll::Ready(Ok(Bytes::new())),
            Ok(()) => Poll::Pending,
        }
    }

    /// Sends what `take` gives for the room that there is.
    fn send(&mut self, take: impl FnOnce(usize) -> Bytes) -> Poll<io::Result<usize>> {
        self.check()?;
        match self.connection.send_room() {
            // As with a socket: what was written before there is a connection would look as if it had left.
            _ if matches!(self.connection.state(), State::SynSent | State::SynReceived) => Poll::Pending,
            0 if self.closed.is_none() => Poll::Pending,
            room => {
                let bytes = take(room);
                let len = bytes.len();
                Poll::Ready(match self.connection.send(bytes) {
                    Ok(()) => Ok(len),
                    Err(SendError::Full(_)) => Err(ErrorKind::WouldBlock.into()),
                    Err(_) => Err(ErrorKind::BrokenPipe.into()),
                })
            }
        }
    }
}

impl Wire for ConnectionWire<'_> {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.take(room.len()).map_ok(|bytes| {
            room[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        })
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        self.take(max).map_ok(|bytes| {
            let len = bytes.len();
            recv.push(bytes);
            len
        })
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.send(|mut room| {
            let mut bytes = BytesMut::with_capacity(pieces.iter().map(|piece| piece.len()).sum::<usize>().min(room));
            for piece in pieces {
                let n = piece.len().min(room);
                bytes.extend_from_slice(&piece[..n]);
                room -= n;
            }
            bytes.freeze()
        })
    }

    fn write_queue(&mut self, queue: &mut SendQueue) -> Poll<io::Result<usize>> {
        self.send(|room| queue.pop(room))
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        self.connection.shutdown();
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        self.connection.abort();
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn take_woken(&mut self) -> bool {
        std::mem::take(self.woken)
    }
}

fn reason_text(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Reset => "reset by the peer",
        CloseReason::Refused => "refused by the peer",
        CloseReason::TimedOut => "the peer does not answer",
        CloseReason::UserTimeout => "the peer takes too long",
        _ => "aborted",
    }
}
