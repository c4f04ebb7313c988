//! Making a connection, step by step: names, addresses, tunnel, TLS.

mod state;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use drywire_core::Instant;
use url::Host;

use crate::names::Names;
use crate::race::{Race, Step};
use crate::{Config, Error, Origin, Route, Tunnel};
use state::Input;
pub use state::State;

/// What a connection that is being made needs next. Asked again without a report, it needs the same again.
#[derive(Debug)]
pub enum Action {
    /// Look a name up, and report [`resolved`](Dial::resolved).
    Resolve(String),
    /// Begin to connect to this address, beside the attempts that are running.
    Connect(SocketAddr),
    /// Wait for an attempt to end, and report [`connected`](Dial::connected) or
    /// [`attempt_failed`](Dial::attempt_failed); at this instant at the latest ask again.
    Wait(Option<Instant>),
    /// Run this machine on the connection to its event, and report [`ready`](Dial::ready) or [`failed`](Dial::failed).
    Tunnel(Box<Tunnel>),
    /// Put TLS on top, with a server of this name, and report likewise.
    Secure(Host),
}

/// A connection that is being made.
///
/// ```text
///   Resolving ─▶ Connecting ─▶ [Securing, with the proxy] ─▶ [Tunnelling] ─▶ [Securing] ─▶ Connected
///        any of them ─▶ Failed
/// ```
///
/// It opens no socket: it says what to do, and is told what came of it. Time is bounded over all steps together.
#[derive(Debug)]
pub struct Dial {
    config: Arc<Config>,
    route: Route,
    state: State,
    race: Option<Race>,
    /// What comes on top of TCP, the lowest first.
    layers: VecDeque<Layer>,
    deadline: Instant,
    /// What to say at the deadline.
    late: Error,
    error: Option<Error>,
}

#[derive(Clone, Debug)]
enum Layer {
    Tls(Host),
    Tunnel(Origin),
}

impl Dial {
    /// A connection along `route`. It has [`connect_timeout`](Config::connect_timeout), and no longer than until
    /// `deadline`, which is that of the exchange.
    pub fn new(now: Instant, config: Arc<Config>, route: Route, deadline: Option<Instant>) -> Self {
        let mut layers = VecDeque::new();
        let hop = route.first_hop();
        if hop.is_secure {
            layers.push_back(Layer::Tls(hop.host.clone()));
        }
        if let Route::Tunnel(_, origin) = &route {
            layers.push_back(Layer::Tunnel(origin.clone()));
            if origin.is_secure {
                layers.push_back(Layer::Tls(origin.host.clone()));
            }
        }
        let own = now + config.connect_timeout;
        let host = hop.host.to_string();
        let (deadline, late) = match deadline {
            Some(deadline) if deadline < own => (deadline, Error::Timeout),
            _ => (own, Error::ConnectTimeout { host }),
        };
        Self { config, route, state: State::Resolving, race: None, layers, deadline, late, error: None }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Where it leads.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// When the time for all of it is up. Whatever waits for one of its steps stops waiting then, and asks for the next.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What to do next. `None`: the connection is there.
    pub fn next(&mut self, now: Instant, names: &mut Names) -> Result<Option<Action>, Error> {
        if self.deadline <= now {
            self.failed(self.late.clone());
        }
        loop {
            return Ok(Some(match self.state {
                State::Failed => return Err(self.error.clone().unwrap_or(Error::Timeout)),
                State::Connected => return Ok(None),
                State::Resolving => match self.addresses(now, names) {
                    Ok(addresses) => {
                        self.race(&addresses);
                        continue;
                    }
                    Err(None) => Action::Resolve(self.host()),
                    Err(Some(error)) => {
                        self.failed(Error::Resolve { host: self.host(), error });
                        continue;
                    }
                },
                State::Connecting => match self.race.as_mut().map(|race| race.next(now)) {
                    Some(Step::Connect(address)) => Action::Connect(address),
                    Some(Step::Wait(until)) => Action::Wait(until.into_iter().chain([self.deadline]).min()),
                    Some(Step::Failed(error)) => {
                        let host = self.host();
                        // They may have moved.
                        names.forget(&host);
                        self.failed(Error::Connect { host, error });
                        continue;
                    }
                    None => Action::Wait(Some(self.deadline)),
                },
                State::Tunnelling | State::Securing => match self.layers.front() {
                    Some(Layer::Tls(host)) => Action::Secure(host.clone()),
                    Some(Layer::Tunnel(origin)) => {
                        let authorization = self.route.proxy().and_then(|proxy| proxy.authorization.as_ref());
                        let http = &self.config.http;
                        Action::Tunnel(Box::new(Tunnel::new(now, origin, authorization, http, Some(self.deadline))))
                    }
                    None => {
                        self.climb();
                        continue;
                    }
                },
            }));
        }
    }

    /// What the lookup came to.
    pub fn resolved(&mut self, now: Instant, names: &mut Names, addresses: io::Result<Vec<IpAddr>>) {
        if let Host::Domain(name) = &self.route.first_hop().host {
            names.insert(now, name, addresses.map(Into::into).map_err(Arc::new));
        }
    }

    /// An attempt has succeeded. The others are to be dropped.
    pub fn connected(&mut self) {
        self.race = None;
        self.climb();
    }

    /// An attempt has failed.
    pub fn attempt_failed(&mut self, error: io::Error) {
        if let Some(race) = &mut self.race {
            race.failed(Arc::new(error));
        }
    }

    /// The tunnel, or TLS, is there.
    pub fn ready(&mut self) {
        self.layers.pop_front();
        self.climb();
    }

    /// A step has failed.
    pub fn failed(&mut self, error: Error) {
        if self.go(Input::Failed) {
            self.error = Some(error);
        }
    }

    /// The host that is connected to, for messages.
    pub fn host(&self) -> String {
        self.route.first_hop().host.to_string()
    }

    /// The addresses of the first hop, or why there are none: not yet, or an error.
    fn addresses(&self, now: Instant, names: &mut Names) -> Result<Arc<[IpAddr]>, Option<Arc<io::Error>>> {
        let name = match &self.route.first_hop().host {
            Host::Ipv4(address) => return Ok(Arc::new([(*address).into()])),
            Host::Ipv6(address) => return Ok(Arc::new([(*address).into()])),
            Host::Domain(name) => name,
        };
        match self.config.hosts.get(name) {
            Some(addresses) => Ok(addresses.as_slice().into()),
            None => names.lookup(now, name).ok_or(None)?.map_err(Some),
        }
    }

    fn race(&mut self, addresses: &[IpAddr]) {
        let port = self.route.first_hop().port;
        let addresses = addresses.iter().map(|address| SocketAddr::new(*address, port));
        self.race = Some(Race::new(addresses, self.config.attempt_delay));
        self.go(Input::Resolved);
    }

    /// Goes to the next layer.
    fn climb(&mut self) {
        self.go(match self.layers.front() {
            Some(Layer::Tls(_)) => Input::NextIsTls,
            Some(Layer::Tunnel(_)) => Input::NextIsTunnel,
            None => Input::WasLast,
        });
    }

    fn go(&mut self, input: Input) -> bool {
        let next = self.state.next(input);
        self.state = next.unwrap_or(self.state);
        next.is_some()
    }
}
