//! The whole driver for io_uring, by the six methods of a machine alone.
//!
//! The kernel owns a buffer while it reads into it or writes from it. So bytes go in as what a finished read hands over,
//! and out as what the machine hands over; nothing borrows from the machine.

use std::future::pending;
use std::pin::pin;
use std::time::{Duration, Instant as SystemInstant};
use std::{io, mem};

use compio::BufResult;
use compio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _};
use compio::net::TcpStream;
use compio::time::{sleep_until, timeout};
use drywire::{Bytes, BytesMut, Close, Instant, RecvBuf, StreamMachine};
use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use futures_util::select_biased;

/// How long a peer may take to end its direction, or to take the farewell after an error.
const LINGER: Duration = Duration::from_secs(2);

/// Runs a machine on a connection until both are over, and tells the application of every event.
pub(crate) async fn drive<M: StreamMachine>(
    mut machine: M,
    stream: TcpStream,
    mut handle: impl FnMut(&mut M, M::Event),
) -> io::Result<()> {
    let origin = SystemInstant::now();
    let mut recv = RecvBuf::new();
    // What the kernel is at. A read that is not done is never dropped while the connection lives: it may have bytes.
    let (mut reading, mut writing) = (pin!(Fuse::terminated()), pin!(Fuse::terminated()));
    let mut failure = None;
    let mut ended = false;
    loop {
        let now = Instant::ORIGIN + origin.elapsed();
        if machine.poll_timeout().is_some_and(|due| due <= now) {
            machine.handle_timeout(now);
        }
        while failure.is_none() {
            match machine.poll_event(now, &mut recv) {
                Ok(Some(event)) => handle(&mut machine, event),
                Ok(None) => break,
                Err(error) => failure = Some((error, now + LINGER)),
            }
        }

        let is_sent = machine.transmit().is_empty() && writing.is_terminated();
        let close = machine.demand().close.or(failure.is_some().then_some(Close::Both)).filter(|_| is_sent);
        if close.is_some_and(|close| close != Close::Abort) && !mem::replace(&mut ended, true) {
            (&stream).shutdown().await?;
        }
        if close == Some(Close::Both) && !recv.is_end_of_stream() {
            // A socket that is closed with unread input resets, and the peer loses our last bytes.
            let rest = async { while read(&stream).await.is_ok_and(|bytes| !bytes.is_empty()) {} };
            let _ = timeout(LINGER, rest).await;
        }
        let is_over = close.is_some_and(|close| close != Close::WriteHalf);
        if let Some((error, _)) = failure.take_if(|(_, give_up)| is_over || *give_up <= now) {
            return Err(io::Error::other(error.to_string()));
        } else if is_over {
            return Ok(());
        }

        if writing.is_terminated() && !machine.transmit().is_empty() {
            writing.set(write(&stream, machine.transmit().pop(usize::MAX)).fuse());
        }
        if reading.is_terminated() && machine.demand().read && !recv.is_end_of_stream() {
            reading.set(read(&stream).fuse());
        }
        let give_up = failure.as_ref().map(|(_, give_up)| *give_up);
        let deadline = machine.poll_timeout().into_iter().chain(give_up).min();
        let mut due = pin!(wait(deadline.map(|at| origin + (at - Instant::ORIGIN))).fuse());
        select_biased! {
            written = writing => written?,
            bytes = reading => match bytes? {
                bytes if bytes.is_empty() => recv.finish(),
                bytes => recv.push(bytes),
            },
            () = due => {}
        }
    }
}

async fn read(mut stream: &TcpStream) -> io::Result<Bytes> {
    let BufResult(result, bytes) = stream.read(BytesMut::with_capacity(16 * 1024)).await;
    result.map(|_| bytes.freeze())
}

async fn write(mut stream: &TcpStream, bytes: Bytes) -> io::Result<()> {
    stream.write_all(bytes).await.0
}

async fn wait(until: Option<SystemInstant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
