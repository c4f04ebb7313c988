//! Servers that block: an exchange is read like a file and written like one.

use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use drywire_core::{Buf as _, Bytes};
use drywire_driver::DriveError;
use drywire_http::server::{self, State};
use drywire_http::{CommandError, Length, PlainResponse, RequestHead, ResponseParts, Trailers};
use drywire_session::http::{Calendar, Exchanges, Progress};

use crate::{Driver, Server, Stopped, TcpTransport, Transport};

/// Why an exchange, or its connection, ended out of order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client broke a rule of HTTP, or was too slow.
    #[error(transparent)]
    Protocol(#[from] drywire_http::Error),
    /// The transport failed, or the handler did.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The machine refused a command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The connection closed before the exchange was over.
    #[error("the connection closed before the exchange was over")]
    Gone,
}

impl From<DriveError<drywire_http::Error>> for Error {
    fn from(error: DriveError<drywire_http::Error>) -> Self {
        match error {
            DriveError::Protocol(error) => Self::Protocol(error),
            DriveError::Io(error) => Self::Io(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            Error::Gone => io::ErrorKind::UnexpectedEof.into(),
            error => Self::other(error),
        }
    }
}

/// The limits of a server's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The limits and times of HTTP itself.
    pub http: server::Config,
    /// The limits of the driver.
    pub driver: crate::Config,
    /// Whether a response without `Date` gets one: by default it does (RFC 9110, 6.6.1).
    pub date: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { http: server::Config::default(), driver: crate::Config::default(), date: true }
    }
}

/// Serves every connection of `server` with `handler`, until the server is asked to stop: a thread for each connection,
/// and a call for each of its requests.
///
/// A handler that returns without a response has answered 500; one that fails before its response has too, and
/// behind it the connection ends. One that fails, or returns, inside its response resets the connection, because content
/// that is cut off must not look whole. A panic ends its connection only. At a shutdown idle connections close, and each
/// running exchange is brought to its end.
pub fn serve<H>(server: Server, config: Config, handler: H) -> io::Result<Stopped>
where
    H: Fn(&mut Exchange<'_, TcpTransport>) -> io::Result<()> + Send + Sync + 'static,
{
    server.run(move |transport, _| {
        // How a connection ends is its peer's affair.
        let _ = serve_connection(transport, &config, &handler);
    })
}

/// Serves one connection, such as one behind TLS, to its end.
pub fn serve_connection<T: Transport>(
    transport: T,
    config: &Config,
    handler: impl Fn(&mut Exchange<'_, T>) -> io::Result<()>,
) -> Result<(), Error> {
    let machine = server::Connection::new(transport.now(), config.http.clone());
    let mut connection = Connection {
        driver: Driver::with_config(machine, transport, config.driver.clone()),
        exchanges: Exchanges::new(),
        calendar: config.date.then(Calendar::new),
    };
    while let Some(head) = connection.next_request()? {
        let content = match connection.driver.machine().state() {
            State::Receiving => Content::Arriving,
            _ => Content::Ended(Trailers::default()),
        };
        let mut exchange =
            Exchange { connection: &mut connection, head, content, piece: Bytes::new(), response: Response::None };
        let result = handler(&mut exchange);
        let response = exchange.response;
        connection.end(response, result)?;
    }
    Ok(())
}

struct Connection<T> {
    driver: Driver<server::Connection, T>,
    exchanges: Exchanges,
    calendar: Option<Calendar>,
}

impl<T: Transport> Connection<T> {
    /// Waits for something that concerns whoever takes events or not.
    fn wait(&mut self, takes_events: bool) -> Result<Progress, Error> {
        loop {
            if self.driver.is_shutting_down() {
                self.driver.machine_mut().shutdown();
            }
            let exchanges = &mut self.exchanges;
            match self.driver.wait_with(|engine, wire| exchanges.poll(engine, wire, takes_events))?? {
                Progress::Woken => {}
                progress => return Ok(progress),
            }
        }
    }

    /// Waits for the next request, past what is left of the last one.
    fn next_request(&mut self) -> Result<Option<RequestHead>, Error> {
        loop {
            match self.wait(true)? {
                Progress::Request(head) => return Ok(Some(head)),
                Progress::Closed => return Ok(None),
                _ => {}
            }
        }
    }

    /// Brings the exchange to its end when the handler has returned.
    fn end(&mut self, response: Response, result: io::Result<()>) -> Result<(), Error> {
        let http = self.driver.machine_mut();
        if result.is_err() {
            http.shutdown();
        }
        match response {
            Response::None => {
                let refusal = PlainResponse::new(500, &[]);
                // A refused command means that the connection has failed, which `wait` tells.
                let _ = http.respond(&refusal, Length::Known(0)).and_then(|()| http.finish(None));
            }
            // Where nothing is missing it was only forgotten.
            Response::Begun if result.is_ok() && http.finish(None).is_ok() => {}
            Response::Begun => http.abort(),
            Response::Ended => {}
        }
        let Err(error) = result else { return Ok(()) };
        // What becomes of the farewell changes nothing.
        while !matches!(self.wait(true), Ok(Progress::Closed) | Err(_)) {}
        Err(error.into())
    }
}

/// One request and its response. Reading gives the request's content, writing sends the response's.
///
/// Both may be done in any order, and in turn: what the client sends while only the response is written stays unread beyond
/// one piece, which the client feels.
pub struct Exchange<'a, T> {
    connection: &'a mut Connection<T>,
    head: RequestHead,
    content: Content,
    /// What `Read` has not given yet.
    piece: Bytes,
    response: Response,
}

enum Content {
    Arriving,
    Ended(Trailers),
}

#[derive(Clone, Copy)]
enum Response {
    None,
    Begun,
    Ended,
}

impl<T: Transport> Exchange<'_, T> {
    /// The head of the request.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// The connection's transport.
    pub fn transport(&self) -> &T {
        self.connection.driver.transport()
    }

    /// Waits for the next piece of the request's content. `None` is the end.
    ///
    /// A client that waits for 100 (Continue) gets it when content is first asked for, unless the response has begun.
    pub fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.piece.is_empty() {
            return Ok(Some(std::mem::take(&mut self.piece)));
        }
        while let Content::Arriving = self.content {
            self.connection.exchanges.want_content(self.connection.driver.machine_mut());
            match self.connection.wait(true)? {
                Progress::Content(piece) => return Ok(Some(piece)),
                Progress::End(trailers) => self.content = Content::Ended(trailers),
                Progress::Closed => return Err(Error::Gone),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The trailers, once [`chunk`](Self::chunk) has returned `None` (RFC 9110, 6.5).
    pub fn trailers(&self) -> Option<&Trailers> {
        match &self.content {
            Content::Arriving => None,
            Content::Ended(trailers) => Some(trailers),
        }
    }

    /// Begins the response, with the date if it has none ([`server::Connection::respond`]).
    pub fn respond(&mut self, parts: &impl ResponseParts, length: Length) -> Result<(), Error> {
        let Connection { driver, calendar, .. } = &mut *self.connection;
        match calendar {
            Some(calendar) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                driver.machine_mut().respond(&calendar.date(now, parts), length)?;
            }
            None => driver.machine_mut().respond(parts, length)?,
        }
        self.response = Response::Begun;
        Ok(())
    }

    /// Queues a piece of the response's content, and waits only where there is no room. It leaves with the next
    /// [`flush`](Write::flush), or with whatever waits next.
    pub fn send(&mut self, mut piece: Bytes) -> Result<(), Error> {
        loop {
            match self.connection.driver.machine_mut().send_content(piece) {
                Ok(()) => return Ok(()),
                Err(CommandError::Full(back)) => piece = back,
                Err(error) => return Err(error.into()),
            }
            if let Progress::Closed = self.connection.wait(false)? {
                return Err(Error::Gone);
            }
        }
    }

    /// Ends the response ([`server::Connection::finish`]). What is left of the request's content is dropped.
    pub fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), Error> {
        self.connection.driver.machine_mut().finish(trailers)?;
        self.response = Response::Ended;
        Ok(())
    }
}

impl<T: Transport> Read for Exchange<'_, T> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.chunk()?.unwrap_or_default();
        }
        let n = self.piece.len().min(room.len());
        self.piece.split_to(n).copy_to_slice(&mut room[..n]);
        Ok(n)
    }
}

impl<T: Transport> Write for Exchange<'_, T> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.send(Bytes::copy_from_slice(piece))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.connection.driver.engine_mut().is_flushed() {
            if let Progress::Closed = self.connection.wait(false)? {
                return Err(Error::Gone.into());
            }
        }
        Ok(())
    }
}
