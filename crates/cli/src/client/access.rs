//! How a client reaches a server on the kernel's TCP, as the command line says it.

use std::env;
use std::sync::Arc;

use drywire::client::{Config, Error, Proxies, credentials};
use drywire::std::http::Client as StdClient;
use drywire::std::http::client::{load_hsts, save_hsts};
use drywire::tls::ClientConfig;
use drywire::tokio::http::Client as TokioClient;

use super::{Destination, trust};
use crate::Failure;
use crate::args::Access;

impl Access {
    /// What the library's client is made with.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::default();
        config.proxies = match self.proxy.as_deref() {
            Some("") => Proxies::none(),
            Some(proxy) => Proxies::all(proxy).map_err(Failure::usage)?,
            None => Proxies::from_environment(|name| env::var(name).ok()).map_err(Failure::usage)?,
        };
        if let Some(path) = &self.hsts {
            let told = |error| Failure::usage(format_args!("{}: {error}", path.display()));
            config.hsts = load_hsts(path).map_err(told)?;
        }
        config.connect_timeout = self.connect_timeout.unwrap_or(config.connect_timeout);
        Ok(config)
    }

    /// The TLS that it is made with, if there is any.
    pub(super) fn tls(&self, to: &Destination) -> Result<Option<Arc<ClientConfig>>, Failure> {
        self.trust.config(to.is_secure)
    }

    /// The value of `Authorization`.
    pub(super) fn authorization(&self) -> Result<Option<String>, Failure> {
        let Some(given) = &self.user else { return Ok(None) };
        let (user, password) = given.split_once(':').unwrap_or((given, ""));
        let value = credentials::basic(user, password).map_err(Failure::usage)?;
        Ok(value.to_str().ok().map(str::to_owned))
    }

    /// Writes the hosts that want TLS, if there are others than before.
    pub(super) fn keep(&self, before: &Config, after: &drywire::client::hsts::Store) -> Result<(), Failure> {
        match &self.hsts {
            Some(path) if before.hsts != *after || !path.exists() => save_hsts(after, path)
                .map_err(|error| Failure::failed(format_args!("cannot write {}: {error}", path.display()))),
            _ => Ok(()),
        }
    }

    /// Our own TCP goes its own way.
    pub(super) fn check_without_kernel(&self, to: &Destination) -> Result<(), Failure> {
        if to.is_secure || self.trust.is_given() {
            return Err(Failure::usage("--runtime tun has no TLS"));
        }
        if self.proxy.is_none() && self.hsts.is_none() && self.connect_timeout.is_none() {
            return Ok(());
        }
        Err(Failure::usage("--proxy, --hsts and --connect-timeout are not for --runtime tun"))
    }
}

/// The client that blocks.
pub(super) fn std_client(config: Config, tls: Option<Arc<ClientConfig>>) -> StdClient {
    match tls {
        Some(tls) => StdClient::with_tls(config, tls),
        None => StdClient::new(config),
    }
}

/// The same on tokio.
pub(super) fn tokio_client(config: Config, tls: Option<Arc<ClientConfig>>) -> TokioClient {
    match tls {
        Some(tls) => TokioClient::with_tls(config, tls),
        None => TokioClient::new(config),
    }
}

/// What the library's client says: the user's fault, or the world's.
pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Url(_) | Error::Request(_) | Error::NoTls { .. } => Failure::usage(error),
        Error::Tls { ref host, error: ref why } => match trust::mistrust(why) {
            Some(why) => Failure::failed(format_args!("cannot connect to {host} by TLS: {why}")),
            None => Failure::failed(error),
        },
        error => Failure::failed(error),
    }
}
