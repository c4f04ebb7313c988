//! The way to an origin: directly, or through a proxy.

use http::HeaderValue;

use crate::Origin;

/// A proxy for HTTP (RFC 9110, 3.7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    /// Where it is, and whether TLS leads to it.
    pub origin: Origin,
    /// The value of `Proxy-Authorization`, if it asks for one.
    pub authorization: Option<HeaderValue>,
}

/// The way to an origin. Connections of equal routes can stand for one another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// No proxy between here and there.
    Direct(Origin),
    /// A proxy that is sent whole requests, with targets in absolute form (RFC 9112, 3.2.2), for any origin without TLS.
    Forward(Proxy),
    /// A proxy that is asked for a tunnel (RFC 9110, 9.3.6).
    Tunnel(Proxy, Origin),
}

impl Route {
    /// What the transport has to connect to.
    pub fn first_hop(&self) -> &Origin {
        match self {
            Self::Direct(origin) => origin,
            Self::Forward(proxy) | Self::Tunnel(proxy, _) => &proxy.origin,
        }
    }

    /// The proxy, where there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        match self {
            Self::Direct(_) => None,
            Self::Forward(proxy) | Self::Tunnel(proxy, _) => Some(proxy),
        }
    }
}
