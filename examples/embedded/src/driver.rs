//! The whole driver, by the six methods of a machine alone.

use core::future::pending;
use core::time::Duration;

use drywire::{Buf as _, Close, Instant, RecvBuf, StreamMachine};
use embassy_futures::select::{Either3, select3};
use embedded_io_async::{Read, Write};

/// How long a peer may take to accept the farewell after an error.
const LINGER: Duration = Duration::from_secs(2);

/// The board's clock, such as `embassy_time`.
pub trait Clock {
    /// The time. It does not go backwards.
    fn now(&self) -> Instant;

    /// Returns once it is `at`, or earlier.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}

/// Why a connection has failed.
#[derive(Debug)]
pub enum DriveError<I, P> {
    /// The socket.
    Io(I),
    /// The peer broke a rule, and has been told as far as it listens.
    Protocol(P),
}

/// Runs a machine on the two halves of a socket and tells the application of every event.
///
/// Returns how the socket is to be closed, which the traits have no word for; there is no closing of one direction, so
/// [`Close::WriteHalf`] is the end, too. Of reads and writes that have to wait it drops the one when the other goes on: both
/// must keep nothing of their own, as those of `embassy_net` do.
pub async fn drive<M, R, W>(
    machine: &mut M,
    reader: &mut R,
    writer: &mut W,
    clock: &impl Clock,
    mut handle: impl FnMut(&mut M, M::Event),
) -> Result<Close, DriveError<R::Error, M::Error>>
where
    M: StreamMachine,
    R: Read,
    W: Write<Error = R::Error>,
{
    let mut recv = RecvBuf::new();
    let mut room = [0; 512];
    let mut failure = None;
    loop {
        let now = clock.now();
        if machine.poll_timeout().is_some_and(|due| due <= now) {
            machine.handle_timeout(now);
        }
        while failure.is_none() {
            match machine.poll_event(now, &mut recv) {
                Ok(Some(event)) => handle(machine, event),
                Ok(None) => break,
                Err(error) => failure = Some((error, now + LINGER)),
            }
        }
        // The farewell leaves before its error is told.
        let is_sent = machine.transmit().is_empty();
        if let Some((error, _)) = failure.take_if(|(_, give_up)| is_sent || *give_up <= now) {
            return Err(DriveError::Protocol(error));
        }
        if let Some(close) = machine.demand().close {
            writer.flush().await.map_err(DriveError::Io)?;
            return Ok(close);
        }
        if is_sent {
            // An idle connection holds no buffers.
            recv.release();
            machine.transmit().release();
        }

        let demanded = machine.demand().read && !recv.is_end_of_stream();
        let give_up = failure.as_ref().map(|(_, give_up)| *give_up);
        let deadline = machine.poll_timeout().into_iter().chain(give_up).min();
        let read = async { if demanded { reader.read(&mut room).await } else { pending().await } };
        let write = async { if is_sent { pending().await } else { writer.write(machine.transmit().chunk()).await } };
        let due = async { if let Some(at) = deadline { clock.sleep_until(at).await } else { pending().await } };
        match select3(read, write, due).await {
            Either3::First(Ok(0)) => recv.finish(),
            Either3::First(Ok(n)) => recv.extend_from_slice(&room[..n]),
            Either3::Second(Ok(n)) => machine.transmit().advance(n),
            Either3::First(Err(error)) | Either3::Second(Err(error)) => return Err(DriveError::Io(error)),
            Either3::Third(()) => {}
        }
    }
}
