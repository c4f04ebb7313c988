//! The driver and its server on the host, over sockets in memory.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use drywire::{Close, Instant};
use drywire_example_embedded::{Clock, DriveError, serve};
use embassy_futures::block_on;
use embassy_futures::yield_now;
use embedded_io_async::{ErrorType, Read, Write};

/// What the peer says, so many bytes a read, and whether it ends its direction behind that.
struct Says<'a> {
    bytes: &'a [u8],
    step: usize,
    ends: bool,
}

impl ErrorType for Says<'_> {
    type Error = Infallible;
}

impl Read for Says<'_> {
    async fn read(&mut self, room: &mut [u8]) -> Result<usize, Infallible> {
        if self.bytes.is_empty() && !self.ends {
            pending::<()>().await;
        }
        // Dropped here, nothing is lost.
        yield_now().await;
        let n = self.bytes.len().min(self.step).min(room.len());
        room[..n].copy_from_slice(&self.bytes[..n]);
        self.bytes = &self.bytes[n..];
        Ok(n)
    }
}

/// Takes so many bytes a write.
struct Hears<'a> {
    bytes: &'a RefCell<Vec<u8>>,
    step: usize,
}

impl ErrorType for Hears<'_> {
    type Error = Infallible;
}

impl Write for Hears<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        yield_now().await;
        let n = bytes.len().min(self.step);
        self.bytes.borrow_mut().extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Time passes only by waiting for it.
#[derive(Default)]
struct Virtual(Cell<Instant>);

impl Clock for Virtual {
    fn now(&self) -> Instant {
        self.0.get()
    }

    async fn sleep_until(&self, at: Instant) {
        // Everything else that can go on does so first.
        for _ in 0..3 {
            yield_now().await;
        }
        self.0.set(at);
    }
}

type Outcome = Result<Close, DriveError<Infallible, drywire::http::Error>>;

fn served(says: &[u8], ends: bool, read: usize, write: usize) -> (Outcome, String, Duration) {
    let (heard, clock) = (RefCell::default(), Virtual::default());
    let mut reader = Says { bytes: says, step: read, ends };
    let mut writer = Hears { bytes: &heard, step: write };
    let outcome = block_on(serve(&mut reader, &mut writer, &clock));
    (outcome, String::from_utf8(heard.into_inner()).unwrap(), clock.now() - Instant::ORIGIN)
}

const TWO: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nyou";

#[test]
fn both_requests_are_echoed_however_the_bytes_come_and_go() {
    let whole = served(TWO, true, usize::MAX, usize::MAX);
    assert!(matches!(whole.0, Ok(Close::Both)));
    assert!(whole.1.contains("\r\n\r\nhelloHTTP/1.1 200 ") && whole.1.ends_with("\r\n\r\nyou"), "{}", whole.1);
    for (read, write) in [(1, 1), (1, usize::MAX), (usize::MAX, 1), (7, 3)] {
        let (outcome, heard, _) = served(TWO, true, read, write);
        assert!(matches!(outcome, Ok(Close::Both)));
        assert_eq!(heard, whole.1, "reads of {read}, writes of {write}");
    }
}

#[test]
fn the_farewell_leaves_before_the_error_is_told() {
    let (outcome, heard, _) = served(b"GET / HTTP/1.1\nHost: a\n\n", false, 1, 1);
    assert!(matches!(outcome, Err(DriveError::Protocol(_))));
    assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for_forever() {
    let (outcome, heard, waited) = served(b"GET / HT", false, 1, 1);
    assert!(matches!(outcome, Err(DriveError::Protocol(_))));
    assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
}
