//! Asking a proxy for a tunnel (RFC 9110, 9.3.6).

use drywire_core::{Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
use drywire_http::client::{Config, Connection, Event};
use drywire_http::{CommandError, Length, PlainRequest};
use http::HeaderValue;

use crate::Origin;

/// Why there is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The proxy answered with another status than 2xx: 407 wants credentials, 403 and 502 speak for themselves.
    #[error("it refuses a tunnel with status {0}")]
    Refused(u16),
    /// The proxy broke a rule of HTTP, or closed without an answer.
    #[error("{0}")]
    Http(#[from] drywire_http::Error),
    /// `CONNECT` could not be sent.
    #[error("{0}")]
    Request(#[from] CommandError),
    /// The proxy did not answer in time.
    #[error("it does not answer in time")]
    Timeout,
    /// Bytes came through the tunnel before any were sent: no server of ours speaks first.
    #[error("it sends what nobody asked for")]
    Unasked,
}

/// The tunnel is there: what the connection carries from here on belongs to another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened;

/// A connection to a proxy that is to become a tunnel. Its one event is [`Opened`].
#[derive(Debug)]
pub struct Tunnel {
    http: Connection,
    deadline: Option<Instant>,
    failure: Option<TunnelError>,
}

impl Tunnel {
    /// Asks for a tunnel to `origin`, until `deadline`.
    pub fn new(
        now: Instant,
        origin: &Origin,
        authorization: Option<&HeaderValue>,
        config: &Config,
        deadline: Option<Instant>,
    ) -> Self {
        // In authority form, whatever goes through the proxy otherwise.
        let mut http = Connection::new(now, Config { absolute_form: false, ..config.clone() });
        let target = origin.host_and_port();
        let credentials = authorization.and_then(|value| value.to_str().ok());
        let fields = [("Host", &*target), ("Proxy-Authorization", credentials.unwrap_or_default())];
        let fields = if credentials.is_some() { &fields[..] } else { &fields[..1] };
        let sent = http.send_request(&PlainRequest::new("CONNECT", &target, fields), Length::Known(0));
        let failure = sent.and_then(|()| http.finish(None)).err().map(TunnelError::Request);
        Self { http, deadline, failure }
    }

    fn fail(&mut self, error: TunnelError) -> TunnelError {
        self.deadline = None;
        self.failure.insert(error).clone()
    }
}

impl StreamMachine for Tunnel {
    type Event = Opened;
    type Error = TunnelError;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Opened>, TunnelError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        loop {
            match self.http.poll_event(now, recv) {
                Ok(Some(Event::Response(_))) if self.http.is_upgraded() => {
                    self.deadline = None;
                    if !recv.is_empty() {
                        return Err(self.fail(TunnelError::Unasked));
                    }
                    return Ok(Some(Opened));
                }
                Ok(Some(Event::Response(head))) => return Err(self.fail(TunnelError::Refused(head.status()))),
                Ok(Some(Event::Informational(_) | Event::Content(_) | Event::End(_) | Event::Closed)) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.fail(error.into())),
            }
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.http.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.deadline, self.http.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.fail(TunnelError::Timeout);
        }
        self.http.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        // Nothing that a proxy says behind a refusal is waited for.
        if self.failure.is_some() { Demand { read: false, close: Some(Close::Abort) } } else { self.http.demand() }
    }
}
