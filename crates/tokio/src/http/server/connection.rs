//! One connection of a server: its exchanges, one after the other.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use drywire_core::{Buf as _, StreamMachine as _};
use drywire_driver::DriveError;
use drywire_http::server::{self, State};
use drywire_http::{CommandError, Length, PlainResponse, RequestHead, Trailers};
use drywire_session::http::{Calendar, Exchanges, Progress};
#[cfg(feature = "ws")]
use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode};

use super::head::{self, Head};
use super::pipe::{Pipe, Room};
use super::serve::Handler;
#[cfg(feature = "ws")]
use super::upgrade::{Accepted, Socket, Upgrade};
use super::{Body, BodyError, Config};
use crate::{Driver, ShutdownHandle, Transport};

/// Why a connection of a server ended other than in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client broke a rule of HTTP, or was too slow.
    #[error(transparent)]
    Protocol(#[from] drywire_http::Error),
    /// The transport failed.
    #[error("transport: {0}")]
    Io(#[from] io::Error),
    /// The service failed. The client got a 500, the last response of the connection.
    #[error("the service failed: {0}")]
    Service(#[source] Box<dyn StdError + Send + Sync>),
    /// The response's body failed, and the connection was reset.
    #[error("the response's body failed: {0}")]
    Body(#[source] Box<dyn StdError + Send + Sync>),
    /// The response cannot be sent as it is: an invalid head (the client got a 500), or a body that is not as long as was
    /// announced (the connection was reset).
    #[error("the response cannot be sent: {0}")]
    Response(#[from] CommandError),
    /// The client went before it had its response.
    #[error("the client went before it had its response")]
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

pub(super) struct Connection<T> {
    driver: Driver<server::Connection, T>,
    exchanges: Exchanges,
    /// The content of the request that is arriving, on its way to the handler.
    content: Option<Arc<Pipe>>,
    read_ahead: usize,
    calendar: Option<Calendar>,
    shutdown: ShutdownHandle,
    is_asked_to_stop: bool,
}

/// What has happened.
enum Step {
    Request(RequestHead),
    /// Content has come, or there is room for some.
    Moved,
    Closed,
}

impl<T: Transport + Send + 'static> Connection<T> {
    pub(super) fn new(driver: Driver<server::Connection, T>, config: &Config, shutdown: ShutdownHandle) -> Self {
        Self {
            driver,
            exchanges: Exchanges::new(),
            content: None,
            read_ahead: config.read_ahead.max(1),
            calendar: config.date.then(Calendar::new),
            shutdown,
            is_asked_to_stop: false,
        }
    }

    /// Serves to the end of the connection.
    pub(super) async fn run(mut self, handler: &mut impl Handler) -> Result<(), Error> {
        loop {
            let head = loop {
                match poll_fn(|cx| self.poll_step(cx)).await? {
                    Step::Request(head) => break head,
                    Step::Moved => {}
                    Step::Closed => return Ok(()),
                }
            };
            if head.method() == "CONNECT" {
                // Nobody could take the tunnel over.
                self.refuse(StatusCode::NOT_IMPLEMENTED)?;
                continue;
            }
            let is_head = head.method() == "HEAD";
            #[cfg(feature = "ws")]
            let upgrade = Upgrade::of(&head);
            let Some(request) = self.request(head) else {
                // The `http` crate takes fewer targets for valid than RFC 9112 does.
                self.refuse(StatusCode::BAD_REQUEST)?;
                continue;
            };
            #[cfg(feature = "ws")]
            let request = Upgrade::put(upgrade.as_ref(), request);
            let response = match self.answer(handler, request).await? {
                Ok(response) => response,
                Err(error) => return self.fail(Error::Service(error.into())).await,
            };
            #[cfg(feature = "ws")]
            if response.status() == StatusCode::SWITCHING_PROTOCOLS
                && let Some(accepted) = upgrade.and_then(|upgrade| upgrade.take())
            {
                return self.switch(response, accepted).await;
            }
            if let Err(error) = self.respond(response, is_head).await {
                return self.fail(error).await;
            }
        }
    }

    /// The request for the handler, whose content follows.
    fn request(&mut self, head: RequestHead) -> Option<Request<Body>> {
        let length = head.content_length();
        let body = if self.driver.machine().state() == State::Receiving {
            let pipe = Arc::new(Pipe::new(self.read_ahead));
            self.content = Some(Arc::clone(&pipe));
            Body::piped(pipe, length)
        } else {
            Body::empty()
        };
        head.into_request().ok().map(|request| request.map(|()| body))
    }

    /// Lets the handler answer while the connection goes on.
    async fn answer<H: Handler>(
        &mut self,
        handler: &mut H,
        request: Request<Body>,
    ) -> Result<Result<Response<H::Body>, H::Error>, Error> {
        if let Err(error) = self.beside(pin!(poll_fn(|cx| handler.poll_ready(cx)))).await? {
            return Ok(Err(error));
        }
        self.beside(pin!(handler.call(request))).await
    }

    /// Awaits `future` and drives the connection meanwhile.
    async fn beside<F: Future>(&mut self, mut future: Pin<&mut F>) -> Result<F::Output, Error> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                if let Step::Closed = ready!(self.poll_step(cx))? {
                    return Poll::Ready(Err(Error::Gone));
                }
            }
        })
        .await
    }

    /// Sends a whole response.
    async fn respond<B>(&mut self, response: Response<B>, is_head: bool) -> Result<(), Error>
    where
        B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>>,
    {
        let (mut parts, body) = response.into_parts();
        let http = self.driver.machine_mut();
        let length = head::length(&mut parts, &body, is_head);
        match &mut self.calendar {
            Some(calendar) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                http.respond(&calendar.date(now, &Head(&parts)), length)?;
            }
            None => http.respond(&Head(&parts), length)?,
        }
        if !head::has_content(&parts, is_head) || body.is_end_stream() {
            http.finish(None)?;
        } else {
            let mut body = pin!(body);
            poll_fn(|cx| self.poll_send(body.as_mut(), cx)).await?;
        }
        // What is left of the request's content is the machine's to drop.
        if let Some(pipe) = self.content.take() {
            pipe.finish(Err(BodyError::Over));
        }
        Ok(())
    }

    /// Sends a body as its frames come and there is room for them.
    fn poll_send<B>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Result<(), Error>>
    where
        B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>>,
    {
        loop {
            while !self.driver.machine_mut().transmit().is_full() {
                let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else { break };
                let http = self.driver.machine_mut();
                match frame.transpose().map_err(|error| Error::Body(error.into()))? {
                    None => return Poll::Ready(Ok(http.finish(None)?)),
                    Some(frame) => match frame.into_data() {
                        Ok(mut data) => http.send_content(data.copy_to_bytes(data.remaining()))?,
                        // Trailers are the last frame.
                        Err(frame) => {
                            let trailers = frame.into_trailers().ok().map(|map| Trailers::new(&map)).transpose()?;
                            return Poll::Ready(Ok(http.finish(trailers.as_ref())?));
                        }
                    },
                }
            }
            if let Step::Closed = ready!(self.poll_step(cx))? {
                return Poll::Ready(Err(Error::Gone));
            }
        }
    }

    /// Drives the connection until something happens.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, Error>> {
        loop {
            if !self.is_asked_to_stop && self.shutdown.poll_requested(cx).is_ready() {
                self.is_asked_to_stop = true;
                self.driver.machine_mut().shutdown();
            }
            let takes_events = self.poll_reader(cx);
            let exchanges = &mut self.exchanges;
            let progress = ready!(self.driver.poll_with(cx, |engine, wire| exchanges.poll(engine, wire, takes_events)));
            let progress = match progress {
                Ok(progress) => progress,
                Err(error) => {
                    self.cut_off();
                    return Poll::Ready(Err(error.into()));
                }
            };
            match progress {
                Progress::Request(head) => return Poll::Ready(Ok(Step::Request(head))),
                Progress::Content(piece) => {
                    if let Some(pipe) = &self.content {
                        pipe.push(piece);
                        return Poll::Ready(Ok(Step::Moved));
                    }
                }
                Progress::End(trailers) => {
                    if let Some(pipe) = self.content.take() {
                        // Names and values have been parsed, and the map has room for as many as a section may have.
                        let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
                        pipe.finish(Ok(trailers.and_then(|trailers| trailers.to_header_map().ok())));
                        return Poll::Ready(Ok(Step::Moved));
                    }
                }
                Progress::Room => return Poll::Ready(Ok(Step::Moved)),
                Progress::Closed => {
                    self.cut_off();
                    return Poll::Ready(Ok(Step::Closed));
                }
                _ => {}
            }
        }
    }

    /// Whether the handler takes content, or there is none to be taken.
    fn poll_reader(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pipe) = &self.content else { return true };
        match pipe.poll_room(cx) {
            Poll::Ready(Room::Wanted) => {
                self.exchanges.want_content(self.driver.machine_mut());
                true
            }
            Poll::Ready(Room::Free) => true,
            Poll::Ready(Room::Gone) | Poll::Pending => false,
        }
    }

    /// No more content will come.
    fn cut_off(&mut self) {
        if let Some(pipe) = self.content.take() {
            pipe.finish(Err(BodyError::Incomplete));
        }
    }

    /// Answers with a status alone.
    fn refuse(&mut self, status: StatusCode) -> Result<(), Error> {
        self.cut_off();
        let http = self.driver.machine_mut();
        http.respond(&PlainResponse::new(status.as_u16(), &[]), Length::Known(0))?;
        Ok(http.finish(None)?)
    }

    /// Ends the connection behind a 500, or, where a response is under way, by a reset.
    async fn fail(mut self, error: Error) -> Result<(), Error> {
        if matches!(error, Error::Protocol(_) | Error::Io(_) | Error::Gone) {
            return Err(error);
        }
        self.driver.machine_mut().shutdown();
        if self.refuse(StatusCode::INTERNAL_SERVER_ERROR).is_err() {
            self.driver.machine_mut().abort();
        }
        // What becomes of the farewell changes nothing.
        while let Ok(Step::Request(_) | Step::Moved) = poll_fn(|cx| self.poll_step(cx)).await {}
        Err(error)
    }

    /// Answers 101, and lets the WebSocket take over.
    #[cfg(feature = "ws")]
    async fn switch<B>(mut self, mut response: Response<B>, accepted: Accepted) -> Result<(), Error> {
        let Accepted { acceptance, options, then } = accepted;
        // An upgrade waits for the end of the request (RFC 9110, 7.8), whose content has no meaning.
        self.content = None;
        while self.driver.machine().state() == State::Receiving {
            if let Step::Closed = poll_fn(|cx| self.poll_step(cx)).await? {
                return Err(Error::Gone);
            }
        }
        // By way of the handler's response: layers may have added fields, axum a length (RFC 9110, 8.6: not here).
        response.headers_mut().remove(CONTENT_LENGTH);
        if let Err(error) = self.driver.machine_mut().upgrade(&response) {
            return self.fail(error.into()).await;
        }
        let driver = self.driver.map_transport(|transport| Box::new(transport) as Box<dyn Transport + Send>);
        let socket: Socket = Socket::take_over(driver, &acceptance, &options).with_shutdown(self.shutdown);
        then(socket).await;
        Ok(())
    }
}
