//! An HTTP client: URLs in, responses out.
//!
//! What it decides stands in [`drywire_client`], whose front page lists what is there and what is not; this module
//! connects and waits.

mod content;
mod dial;
mod response;
mod transfer;
#[cfg(feature = "ws")]
mod websocket;

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use drywire_client::hsts::{self, UnixTime};
use drywire_client::plan::Action;
use drywire_client::pool::Lease;
use drywire_client::{Exchange, InvalidUrl, Plan, Shared, Url};
use drywire_core::Instant;

pub use content::Content;
#[doc(no_inline)]
pub use drywire_client::{Config, Error, Proxies, Request, RequestError, Seen, Trace};
pub use response::Response;
use transfer::Transfer;
#[cfg(feature = "ws")]
pub use websocket::{Reconnecting, WebSocketError};

use crate::{Clock, Driver, Transport};

/// What a connection of the client runs on: TCP, or TLS over it.
pub type Link = Box<dyn Transport + Send>;

type Connection = Driver<Exchange, Link>;

/// An HTTP client with kept connections. Clones are the same client.
///
/// Its limits, times and policies are those of its [`Config`]. A client belongs to one tokio runtime: its connections do.
///
/// ```no_run
/// use drywire_tokio::http::Client;
/// use drywire_tokio::http::client::Request;
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::default();
/// let tea = client.get("http://a.example/tea").await?.bytes(1 << 20).await?;
///
/// let request = Request::post("http://a.example/order")?.bearer("secret")?.with_content("two cups");
/// let mut response = client.send(request).await?;
/// println!("{} from {}", response.status(), response.url());
/// while let Some(piece) = response.chunk().await? {
///     println!("{} bytes", piece.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Mutex<Shared<Connection>>,
    clock: Clock,
    #[cfg(feature = "tls")]
    tls: Option<Arc<drywire_tls::ClientConfig>>,
}

impl Default for Client {
    /// A client with the default limits, without proxies and without TLS.
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Client {
    /// A client that only speaks plain HTTP.
    pub fn new(config: Config) -> Self {
        Self { inner: Arc::new(Inner::new(config)) }
    }

    /// A client that also speaks TLS. The configuration holds what resumes sessions, so clients may share it.
    #[cfg(feature = "tls")]
    pub fn with_tls(config: Config, tls: Arc<drywire_tls::ClientConfig>) -> Self {
        Self { inner: Arc::new(Inner { tls: Some(tls), ..Inner::new(config) }) }
    }

    /// Asks for a URL, and waits for the head of the response.
    ///
    /// Cancel-safe as [`send`](Self::send).
    pub async fn get(&self, url: &str) -> Result<Response, Error> {
        self.send(Request::get(url).map_err(invalid)?).await
    }

    /// Sends a request, and waits for the head of the final response. Informational ones are passed over.
    ///
    /// A response may come before the request has been sent in full. One that is not 2xx ends the sending; with one
    /// that is, the rest is sent while the response is [read](Response::chunk).
    ///
    /// Cancel-safe in this sense: dropping the future closes the connection and gives its place back. Whether the
    /// server has acted on the request cannot be known then.
    pub async fn send<B: Into<Content>>(&self, request: Request<B>) -> Result<Response, Error> {
        let (request, content) = request.split();
        let mut content = content.into();
        let (length, is_replayable) = (content.length(), content.is_replayable());
        let now = self.inner.clock.now();
        let plan = self.with(|shared| Plan::new(now, shared, request, length, is_replayable));
        Journey { client: self, plan }.run(&mut content).await
    }

    /// Connects to the origin of an `http`, `https`, `ws` or `wss` URL, for a protocol of one's own: by TLS where the URL or
    /// its host asks for it, and through a tunnel where a proxy is on the way. The connection is not one of the pool's.
    ///
    /// Cancel-safe: dropping the future gives the attempts up.
    pub async fn connect(&self, url: &str) -> Result<Link, Error> {
        let mut url = Url::parse(url).map_err(InvalidUrl::from)?;
        let mut dial = self.with(|shared| shared.dial(self.now(), &mut url))?;
        self.dial(&mut dial).await
    }

    /// What is known of hosts that want TLS, to be [written](save_hsts) to a file.
    pub fn hsts(&self) -> hsts::Store {
        self.with(|shared| shared.hsts.clone())
    }

    /// How many connections there are, in use or kept.
    pub fn connections(&self) -> usize {
        self.with(|shared| shared.pool.open())
    }

    /// Closes the connections that are kept. Those in use are not touched.
    pub fn close_idle(&self) {
        self.with(|shared| shared.pool.clear());
    }

    /// One step under the lock, and what it leaves behind outside of it.
    fn with<R>(&self, step: impl FnOnce(&mut Shared<Connection>) -> R) -> R {
        let (result, leftovers) = {
            // A panic elsewhere leaves whole values behind.
            let mut shared = self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner);
            let result = step(&mut shared);
            (result, shared.pool.leftovers())
        };
        leftovers.settle();
        result
    }

    fn now(&self) -> Instant {
        self.inner.clock.now()
    }
}

impl Inner {
    fn new(config: Config) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            shared: Mutex::new(Shared::new(config, UnixTime(since_1970.as_secs()))),
            clock: Clock::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

/// An invalid URL that was given as text, as the error of the exchange that does not take place.
fn invalid(error: RequestError) -> Error {
    match error {
        RequestError::Url(error) => error.into(),
        other => Error::Content(Arc::new(io::Error::new(ErrorKind::InvalidInput, other))),
    }
}

/// A request on its way. Dropped on the way, it gives back what it holds.
struct Journey<'a> {
    client: &'a Client,
    plan: Plan,
}

impl Journey<'_> {
    async fn run(&mut self, content: &mut Content) -> Result<Response, Error> {
        let client = self.client;
        let mut connection = None;
        let mut answer = None;
        loop {
            match self.next().await? {
                Action::Check(mut kept) => {
                    if transfer::is_quiet(&mut kept) {
                        connection = Some(kept);
                        self.plan.alive();
                    } else {
                        drop(kept);
                        client.with(|shared| self.plan.stale(shared));
                    }
                }
                Action::Dial(mut dial) => match client.dial(&mut dial).await {
                    Ok(link) => {
                        let machine = Exchange::new(client.now(), self.plan.connection_config());
                        connection = Some(Driver::new(machine, link));
                        self.plan.connected();
                    }
                    Err(error) => client.with(|shared| self.plan.failed(client.now(), shared, error)),
                },
                Action::Exchange => {
                    let (Some(connection), now) = (connection.take(), client.now()) else { return Err(Error::Timeout) };
                    let source = if self.plan.sends_content() { content.source() } else { Content::from(()).source() };
                    let mut transfer = match Transfer::begin(connection, &self.plan, source) {
                        Ok(transfer) => transfer,
                        Err(error) => {
                            client.with(|shared| self.plan.failed(now, shared, error));
                            continue;
                        }
                    };
                    match poll_fn(|cx| transfer.poll_head(cx)).await {
                        Ok(head) => {
                            client.with(|shared| self.plan.answered(client.now(), shared, &head));
                            answer = Some((head, transfer));
                        }
                        Err(error) => {
                            let heard = transfer.heard();
                            drop(transfer);
                            client.with(|shared| self.plan.lost(client.now(), shared, error, heard));
                        }
                    }
                }
                Action::Discard => {
                    if let Some((_, mut transfer)) = answer.take() {
                        let place = Place { client: client.clone(), lease: self.plan.take_lease() };
                        if poll_fn(|cx| transfer.poll_discard(cx)).await {
                            place.keep(transfer);
                        }
                    }
                    client.with(|shared| self.plan.settled(shared));
                }
                Action::Deliver => {
                    let Some((head, transfer)) = answer.take() else { return Err(Error::Timeout) };
                    let place = Place { client: client.clone(), lease: self.plan.take_lease() };
                    return Ok(Response::new(head, &self.plan, transfer, place));
                }
            }
        }
    }

    /// The next action; waits for a place in the pool no longer than the exchange may take.
    async fn next(&mut self) -> Result<Action<Connection>, Error> {
        let (client, deadline) = (self.client, self.plan.deadline());
        loop {
            let polled = poll_fn(|cx| client.with(|shared| self.plan.poll(client.now(), shared, cx.waker())));
            if let Some(action) = until(client.inner.clock, deadline, polled).await {
                return action;
            }
        }
    }
}

impl Drop for Journey<'_> {
    fn drop(&mut self) {
        let now = self.client.now();
        self.client.with(|shared| self.plan.abandon(now, shared));
    }
}

/// A place in the pool that a response holds, until the connection is kept or closed.
struct Place {
    client: Client,
    lease: Option<Lease>,
}

impl Place {
    /// Keeps the connection if it can take another exchange.
    fn keep(mut self, transfer: Transfer) {
        if let Some(connection) = transfer.into_reusable()
            && let Some(lease) = self.lease.take()
        {
            let now = self.client.now();
            self.client.with(|shared| shared.pool.keep(now, lease, connection));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.client.with(|shared| shared.pool.release(lease));
        }
    }
}

/// What `future` comes to, unless the time is up before.
async fn until<F: Future>(clock: Clock, deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline.and_then(|deadline| clock.to_tokio(deadline)) {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// Reads the hosts that want TLS from a file; none where there is no such file.
///
/// Cancel-safe: it only reads.
pub async fn load_hsts(path: impl AsRef<Path>) -> io::Result<hsts::Store> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) => hsts::Store::parse(&text).map_err(|error| io::Error::new(ErrorKind::InvalidData, error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(hsts::Store::new()),
        Err(error) => Err(error),
    }
}

/// Writes them to a file, which is replaced as a whole: whoever reads it at the same time sees the old one or the new one.
///
/// Cancel-safe in this sense: dropping the future may leave the new file beside the old one, under another name.
pub async fn save_hsts(store: &hsts::Store, path: impl AsRef<Path>) -> io::Result<()> {
    let mut beside = path.as_ref().as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    tokio::fs::write(&beside, store.to_string()).await?;
    tokio::fs::rename(&beside, path).await
}
