//! Opening a WebSocket on a connected transport.

use std::future::poll_fn;

use drywire_core::{Instant, Seed};
use drywire_http::{RequestHead, server};
use drywire_session::ws::{Accepting, Connecting};
use drywire_ws::client::{self, Client};
use drywire_ws::handshake::{Acceptance, Offer};

use super::{Accept, AcceptError, ConnectError, Opened, WebSocket};
use crate::{Config, Driver, Transport};

/// Opens a WebSocket as a client on a transport that is connected. Nonce and masking keys come from the system's source of
/// randomness.
///
/// Another answer than 101 comes back whole, as [`ConnectError::Refused`].
///
/// Cancel-safe in this sense: dropping the future drops the connection.
pub async fn connect<T: Transport>(
    transport: T,
    offer: Offer,
    config: client::Config,
) -> Result<(WebSocket<T>, Opened), ConnectError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::from)?;
    connect_with_seed(transport, offer, config, &Seed::from_bytes(seed)).await
}

/// [`connect`] with a seed for nonce and masking keys, which must be fresh and unpredictable on real networks (RFC 6455,
/// 5.3 and 10.3).
///
/// Cancel-safe in this sense: dropping the future drops the connection.
pub async fn connect_with_seed<T: Transport>(
    transport: T,
    offer: Offer,
    config: client::Config,
    seed: &Seed,
) -> Result<(WebSocket<T>, Opened), ConnectError> {
    let client = |now| Client::new(now, offer, Connecting::config(config), seed);
    let mut driver = Driver::start(transport, Config::default(), client)?;
    let mut connecting = Connecting::new();
    let opened = poll_fn(|cx| driver.poll_with(cx, |engine, wire| connecting.poll(engine, wire))).await?;
    let driver = driver.map_machine(|client| client.into_connection().expect("it has opened"));
    Ok((WebSocket::new(driver, opened.protocol.clone()), opened))
}

/// Waits for a client's request on a transport that is connected, and opens the WebSocket that it asks for. Gives the
/// request's head too, for its target and its fields.
///
/// A request that is rejected has been answered, and the connection is closed.
///
/// Cancel-safe in this sense: dropping the future drops the connection.
pub async fn accept<T: Transport>(transport: T, options: &Accept) -> Result<(WebSocket<T>, RequestHead), AcceptError> {
    let http = |now| Ok::<_, AcceptError>(server::Connection::new(now, options.http.clone()));
    let mut driver = Driver::start(transport, Config::default(), http)?;
    let mut accepting = Accepting::new();
    let accept = poll_fn(|cx| driver.poll_with(cx, |engine, wire| accepting.poll(engine, wire, &options.policy)));
    let (head, acceptance) = accept.await?;
    Ok((WebSocket::take_over(driver, &acceptance, options), head))
}

impl<T: Transport> WebSocket<T> {
    /// The WebSocket that goes on where the HTTP machine of `driver` has
    /// [answered](server::Connection::upgrade) with `acceptance`.
    pub fn take_over(driver: Driver<server::Connection, T>, acceptance: &Acceptance, options: &Accept) -> Self {
        let now: Instant = driver.now();
        let driver = driver.map_machine(|http| options.take_over(now, http, acceptance));
        Self::new(driver, acceptance.protocol().map(str::to_owned))
    }
}
