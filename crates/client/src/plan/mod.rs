//! The way of one request to its response, over as many connections as it takes.

mod head;
mod state;

use std::sync::Arc;
use std::task::{Poll, Waker};

use drywire_core::Instant;
use drywire_http::{Length, ResponseHead};
use http::Method;
use url::Url;

use crate::pool::{Acquired, Lease, Ticket};
use crate::{Config, Dial, Error, Exchange, RedirectError, Request, Route, Shared, redirect};
pub use head::Head;
use state::Input;
pub use state::State;

/// What an exchange needs next.
#[derive(Debug)]
pub enum Action<C> {
    /// Look whether this kept connection is still open, and report [`alive`](Plan::alive) or [`stale`](Plan::stale).
    Check(C),
    /// Perform what this wants, and report [`connected`](Plan::connected) or [`failed`](Plan::failed).
    Dial(Box<Dial>),
    /// [`begin`](Plan::begin) the request, send the content if [`sends_content`](Plan::sends_content); report
    /// [`answered`](Plan::answered) with the head of the final response, or [`lost`](Plan::lost).
    Exchange,
    /// Read the rest of the response, unless it is long. Then keep the connection or close it, with
    /// [`take_lease`](Plan::take_lease), and report [`settled`](Plan::settled).
    Discard,
    /// Hand out the response. The connection goes with it, and the [lease](Plan::take_lease).
    Deliver,
}

/// How much of a redirect's content is read to keep its connection: more would cost more than a new one.
pub const MAX_DISCARD: u64 = 64 * 1024;

/// The way of one request to its response.
///
/// ```text
///               ┌────────────────── Stale, Lost ─────────────────┐
///               ▼                                                │
///   ┌─────────────┐ kept ┌──────────┐ open     ┌────────┐ head   │     ┌──────────┐
///   │  Acquiring  │ ───▶ │ Checking │ ───────▶ │ OnKept │ ───────┼───▶ │ Answered │
///   └─────────────┘      └──────────┘          └────────┘        │     └──────────┘
///     ▲    │ a place     ┌──────────┐ there    ┌─────────┐ head  │
///     │    └───────────▶ │ Dialing  │ ───────▶ │ OnFresh │ ──────┘
///     │                  └──────────┘          └─────────┘
///     └────────────── Discarding ◀── a redirect ────┘          any of them ─▶ Failed
/// ```
///
/// - A kept connection that is lost before a byte of the response means that the server closed it in the meantime.
///   The request is sent again, once and on a new connection, if its method is idempotent and its content is still there
///   (RFC 9110, 9.2.2).
/// - Redirects are followed as [the policy](redirect::Policy) says; `Strict-Transport-Security` is noted.
///
/// It holds a place in the pool from the moment that one is granted. If it is given up on the way,
/// [`abandon`](Self::abandon) gives the place back.
#[derive(Debug)]
pub struct Plan {
    config: Arc<Config>,
    request: Request,
    length: Length,
    is_replayable: bool,
    route: Option<Route>,
    state: State,
    deadline: Option<Instant>,
    ticket: Option<Ticket>,
    lease: Option<Lease>,
    /// The second try: no kept connection will do.
    is_second: bool,
    /// The requests that were redirected.
    history: Vec<(Method, Url)>,
    error: Option<Error>,
}

impl Plan {
    /// The way of `request`, with content of this length, which can be sent again if `is_replayable`.
    pub fn new<C>(now: Instant, shared: &Shared<C>, request: Request, length: Length, is_replayable: bool) -> Self {
        let config = Arc::clone(&shared.config);
        let deadline = request.timeout.or(config.timeout).map(|timeout| now + timeout);
        Self {
            config,
            request,
            is_replayable: is_replayable || length == Length::Known(0),
            length,
            route: None,
            state: State::Acquiring,
            deadline,
            ticket: None,
            lease: None,
            is_second: false,
            history: Vec::new(),
            error: None,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The URL that is being asked, behind all redirects so far.
    pub fn url(&self) -> &Url {
        &self.request.url
    }

    /// How many redirects were followed.
    pub fn redirects(&self) -> usize {
        self.history.len()
    }

    /// When the exchange has to be over: whatever waits for one of its steps stops waiting then and polls.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The limits of a new connection for this exchange.
    pub fn connection_config(&self) -> drywire_http::client::Config {
        let absolute_form = matches!(self.route, Some(Route::Forward(_)));
        drywire_http::client::Config { absolute_form, ..self.config.http.clone() }
    }

    /// The head of the request, as it is to be sent now.
    pub fn head(&self) -> Head<'_> {
        Head::new(&self.request, &self.config.fields, self.route.as_ref())
    }

    /// Begins the request on a connection.
    pub fn begin(&self, exchange: &mut Exchange) -> Result<(), Error> {
        exchange.begin(&self.head(), self.length, self.deadline)?;
        exchange.set_trace(self.config.trace.clone());
        Ok(())
    }

    /// The length of the content: nothing where a redirect has made it a request without.
    pub fn length(&self) -> Length {
        self.length
    }

    /// Whether the content goes along.
    pub fn sends_content(&self) -> bool {
        self.length != Length::Known(0)
    }

    /// What to do next. `Pending`: all connections are in use, and `waker` will be woken.
    pub fn poll<C>(&mut self, now: Instant, shared: &mut Shared<C>, waker: &Waker) -> Poll<Result<Action<C>, Error>> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.failed(now, shared, Error::Timeout);
        }
        if self.state == State::Checking {
            // The connection was handed out, and nothing was said of it.
            self.stale(shared);
        }
        Poll::Ready(Ok(match self.state {
            State::Acquiring => return self.acquire(now, shared, waker),
            State::Dialing => match &self.route {
                Some(route) => self.dial(now, route.clone()),
                None => return Poll::Ready(Err(Error::Timeout)),
            },
            State::OnKept | State::OnFresh => Action::Exchange,
            State::Discarding => Action::Discard,
            State::Checking | State::Answered => Action::Deliver,
            State::Failed => return Poll::Ready(Err(self.error.clone().unwrap_or(Error::Timeout))),
        }))
    }

    fn acquire<C>(&mut self, now: Instant, shared: &mut Shared<C>, waker: &Waker) -> Poll<Result<Action<C>, Error>> {
        let route = match self.route.take() {
            Some(route) => route,
            None => match shared.route(now, &mut self.request.url, false) {
                Ok(route) => route,
                Err(error) => {
                    self.failed(now, shared, error.clone().into());
                    return Poll::Ready(Err(error.into()));
                }
            },
        };
        let acquired = shared.pool.poll_acquire(now, &route, self.is_second, &mut self.ticket, waker);
        let action = acquired.map(|acquired| match acquired {
            Acquired::Kept(connection, lease) => {
                self.lease = Some(lease);
                self.go(Input::GotKept);
                Ok(Action::Check(connection))
            }
            Acquired::Fresh(lease) => {
                self.lease = Some(lease);
                self.go(Input::GotPlace);
                Ok(self.dial(now, route.clone()))
            }
        });
        self.route = Some(route);
        action
    }

    fn dial<C>(&self, now: Instant, route: Route) -> Action<C> {
        Action::Dial(Box::new(Dial::new(now, Arc::clone(&self.config), route, self.deadline)))
    }

    /// The kept connection is open.
    pub fn alive(&mut self) {
        self.go(Input::Alive);
    }

    /// The kept connection is closed, and has been dropped.
    pub fn stale<C>(&mut self, shared: &mut Shared<C>) {
        if self.go(Input::Stale) {
            self.release(shared);
        }
    }

    /// The new connection is there.
    pub fn connected(&mut self) {
        self.go(Input::Connected);
    }

    /// The head of the final response has come.
    pub fn answered<C>(&mut self, now: Instant, shared: &mut Shared<C>, head: &ResponseHead) {
        let date = shared.unix_time(now);
        shared.hsts.note_fields(date, &self.request.url, head.field_section());
        let secure = |url: &mut Url| {
            shared.hsts.upgrade(date, url);
        };
        let policy = &self.config.redirects;
        let next = match redirect::follow(policy, &self.request, self.is_replayable, head, secure) {
            Ok(Some(next)) if policy.limit > 0 => next,
            Ok(_) => {
                self.go(Input::Responded);
                return;
            }
            // Where none is followed, it is the user's to see what is wrong with them.
            Err(_) if policy.limit == 0 => {
                self.go(Input::Responded);
                return;
            }
            Err(error) => return self.failed(now, shared, error.into()),
        };
        if self.history.len() >= policy.limit {
            let error = RedirectError::TooMany(policy.limit);
            return self.failed(now, shared, error.into());
        }
        self.history.push((self.request.method.clone(), without_fragment(&self.request.url)));
        let asked = (next.method.clone(), without_fragment(&next.url));
        if self.history.contains(&asked) {
            return self.failed(now, shared, RedirectError::Loop(next.url).into());
        }
        if next.method != self.request.method {
            self.length = Length::Known(0);
            self.is_replayable = true;
        }
        self.request = next;
        self.go(Input::Redirected);
    }

    /// The connection was lost before the head of a final response; `heard` says whether a byte of it had come.
    pub fn lost<C>(&mut self, now: Instant, shared: &mut Shared<C>, error: Error, heard: bool) {
        let may_repeat = error.is_disconnect()
            && !heard
            && !self.is_second
            && self.is_replayable
            && self.request.method.is_idempotent();
        if may_repeat && self.go(Input::Lost) {
            self.is_second = true;
            self.release(shared);
        } else {
            self.failed(now, shared, error);
        }
    }

    /// The connection of the redirect is kept or closed.
    pub fn settled<C>(&mut self, shared: &mut Shared<C>) {
        if self.go(Input::Settled) {
            (self.route, self.is_second) = (None, false);
            self.release(shared);
        }
    }

    /// A step has failed for good.
    pub fn failed<C>(&mut self, now: Instant, shared: &mut Shared<C>, error: Error) {
        if self.go(Input::Failed) {
            self.error = Some(error);
            self.abandon(now, shared);
        }
    }

    /// The place in the pool, for whoever keeps the connection or closes it.
    pub fn take_lease(&mut self) -> Option<Lease> {
        self.lease.take()
    }

    /// Gives back what the exchange holds of the pool. It is not to be polled any more.
    pub fn abandon<C>(&mut self, now: Instant, shared: &mut Shared<C>) {
        self.go(Input::Failed);
        if let Some(ticket) = self.ticket.take() {
            shared.pool.withdraw(now, ticket);
        }
        self.release(shared);
    }

    fn release<C>(&mut self, shared: &mut Shared<C>) {
        if let Some(lease) = self.lease.take() {
            shared.pool.release(lease);
        }
    }

    fn go(&mut self, input: Input) -> bool {
        let next = self.state.next(input);
        self.state = next.unwrap_or(self.state);
        next.is_some()
    }
}

/// What is asked of the server: the fragment stays here.
fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}
