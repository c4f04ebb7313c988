//! WebSockets by URL.

use drywire_client::{Error, InvalidUrl, Origin, Reconnect, Url, request_target};
use drywire_core::Seed;

use super::{Client, Link, until};
use crate::ws::{self, ConnectError, Offer, Opened, WebSocket};

/// Why a WebSocket could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// There is no connection.
    #[error(transparent)]
    Connection(#[from] Error),
    /// The server did not agree to a WebSocket.
    #[error(transparent)]
    Handshake(#[from] ConnectError),
}

impl Client {
    /// Opens a WebSocket at a `ws` or `wss` URL. Host and target of `offer` are those of the URL, whatever it says.
    ///
    /// Redirects are not followed (RFC 6455, 4.1, leaves it open): they come as [`ConnectError`].
    ///
    /// Cancel-safe: dropping the future closes the connection.
    pub async fn websocket(
        &self,
        url: &str,
        offer: Offer,
        config: ws::client::Config,
    ) -> Result<(WebSocket<Link>, Opened), WebSocketError> {
        let parsed = Url::parse(url).map_err(InvalidUrl::from).map_err(Error::from)?;
        let host = Origin::of(&parsed).map_err(Error::from)?.authority();
        let offer = Offer { host, target: request_target(&parsed), ..offer };
        let link = self.connect(url).await?;
        Ok(ws::connect(link, offer, config).await?)
    }

    /// A WebSocket that is opened again whenever it is lost.
    pub fn reconnecting(&self, url: &str, offer: Offer, config: ws::client::Config, seed: &Seed) -> Reconnecting {
        Reconnecting {
            client: self.clone(),
            url: url.to_owned(),
            offer,
            config,
            reconnect: Reconnect::new(seed),
            tried: false,
        }
    }
}

/// Opens a WebSocket, and opens it again when it was lost, with growing pauses.
///
/// What was sent and not answered is not sent again: only the application knows what of it still counts.
///
/// ```no_run
/// # use drywire_core::Seed;
/// # use drywire_tokio::http::Client;
/// # use drywire_tokio::ws::Offer;
/// # async fn f(seed: Seed) {
/// let mut connections = Client::default().reconnecting("ws://a.example/feed", Offer::default(), Default::default(), &seed);
/// loop {
///     let (mut socket, _) = connections.next().await;
///     while let Some(Ok(message)) = socket.next().await {
///         println!("{message:?}");
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Reconnecting {
    client: Client,
    url: String,
    offer: Offer,
    config: ws::client::Config,
    reconnect: Reconnect,
    tried: bool,
}

impl Reconnecting {
    /// Sets the pauses, and how long a connection has to last.
    #[must_use]
    pub fn with_reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Waits for the next open WebSocket: at once the first time, later behind a pause, and until there is one.
    ///
    /// Cancel-safe: the next call tries again, behind a pause.
    pub async fn next(&mut self) -> (WebSocket<Link>, Opened) {
        loop {
            if let Ok(opened) = self.next_try().await {
                return opened;
            }
        }
    }

    /// One try behind its pause, for those who want to know why it failed.
    ///
    /// Cancel-safe: as [`next`](Self::next).
    pub async fn next_try(&mut self) -> Result<(WebSocket<Link>, Opened), WebSocketError> {
        if std::mem::replace(&mut self.tried, true) {
            let due = self.reconnect.lost(self.client.now());
            until(self.client.inner.clock, Some(due), std::future::pending::<()>()).await;
        }
        let opened = self.client.websocket(&self.url, self.offer.clone(), self.config.clone()).await?;
        self.reconnect.opened(self.client.now());
        Ok(opened)
    }
}
