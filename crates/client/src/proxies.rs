//! Which requests go through a proxy, as the environment or the caller says it.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::{InvalidCredentials, InvalidUrl, Origin, Proxy, Route, credentials};

/// A proxy setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy setting {name} cannot be used: {reason}")]
pub struct InvalidProxy {
    /// The variable, or `proxy` where the caller gave it.
    pub name: &'static str,
    /// Why.
    pub reason: ProxyFault,
}

/// What is wrong with a proxy setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyFault {
    /// It is no URL of a host.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// Its user name or password cannot be sent.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
}

/// Which requests go through which proxy.
///
/// Proxies speak HTTP, over TLS if their URL is an `https` one; SOCKS is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
}

impl Proxies {
    /// No proxy for anything.
    pub fn none() -> Self {
        Self::default()
    }

    /// One proxy for everything: a URL, or a host with an optional port, of which 80 is the default. Its user name and
    /// password, if it has some, are sent to it.
    pub fn all(proxy: &str) -> Result<Self, InvalidProxy> {
        let proxy = parse("proxy", proxy)?;
        Ok(Self { http: Some(proxy.clone()), https: Some(proxy), exceptions: Vec::new() })
    }

    /// What the environment says, where `variable` gives the value of a variable:
    ///
    /// - `http_proxy`, `https_proxy` and `all_proxy` in lower case, or else in capitals; empty ones do not count;
    /// - not `HTTP_PROXY` in capitals where `REQUEST_METHOD` is set: there it is a request's field `Proxy` (RFC 3875,
    ///   4.1.18);
    /// - `no_proxy` or `NO_PROXY`: see [`except`](Self::except).
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidProxy> {
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let value = |lower: &'static str, upper: &'static str| {
            let named = |name| variable(name).filter(|value: &String| !value.trim().is_empty()).map(|v| (name, v));
            named(lower).or_else(|| named(upper).filter(|_| !(is_cgi && upper == "HTTP_PROXY")))
        };
        let proxy = |lower, upper| {
            let setting = value(lower, upper).or_else(|| value("all_proxy", "ALL_PROXY"));
            setting.map(|(name, url)| parse(name, url.trim())).transpose()
        };
        let proxies = Self {
            http: proxy("http_proxy", "HTTP_PROXY")?,
            https: proxy("https_proxy", "HTTPS_PROXY")?,
            exceptions: Vec::new(),
        };
        Ok(match value("no_proxy", "NO_PROXY") {
            Some((_, list)) => proxies.except(&list),
            None => proxies,
        })
    }

    /// Goes directly to the hosts of a list, separated by commas or spaces: `*` for all, a name for itself and the names
    /// below it, an address, or a range of addresses such as `10.0.0.0/8`; names and addresses with a port for that one
    /// only. What is none of these fits nothing.
    #[must_use]
    pub fn except(mut self, list: &str) -> Self {
        let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        self.exceptions.extend(entries.filter_map(Exception::parse));
        self
    }

    /// The way to `origin`. `tunnel` asks for a tunnel through the proxy also where TLS does not make it necessary, as a
    /// WebSocket does (RFC 6455, 4.1).
    pub fn route(&self, origin: Origin, tunnel: bool) -> Route {
        let proxy = if origin.is_secure { &self.https } else { &self.http };
        match proxy {
            Some(proxy) if !self.exceptions.iter().any(|exception| exception.fits(&origin)) => {
                if tunnel || origin.is_secure {
                    Route::Tunnel(proxy.clone(), origin)
                } else {
                    Route::Forward(proxy.clone())
                }
            }
            _ => Route::Direct(origin),
        }
    }
}

fn parse(name: &'static str, text: &str) -> Result<Proxy, InvalidProxy> {
    let fault = |reason| InvalidProxy { name, reason };
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&with_scheme).map_err(|error| fault(InvalidUrl::from(error).into()))?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let authorization = match (&*user, &*password) {
        ("", "") => None,
        (user, password) => Some(credentials::basic(user, password).map_err(|error| fault(error.into()))?),
    };
    // They fail for URLs without a host, which the origin refuses.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    match url.scheme() {
        "http" | "https" => {}
        other => return Err(fault(InvalidUrl::UnsupportedScheme(other.to_owned()).into())),
    }
    Ok(Proxy { origin: Origin::of(&url).map_err(|error| fault(error.into()))?, authorization })
}

/// Hosts that are reached without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// This name and those below it.
    Domain(String),
    /// Addresses that share these first bits.
    Range(IpAddr, u32),
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self { hosts: Hosts::All, port: None });
        }
        if let Some(range) = parse_range(entry) {
            return Some(Self { hosts: range, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let name = || {
            let name = host.trim_start_matches("*.").trim_matches('.');
            (!name.is_empty()).then(|| Hosts::Domain(name.to_ascii_lowercase()))
        };
        let hosts = parse_range(host).or_else(name)?;
        Some(Self { hosts, port })
    }

    fn fits(&self, origin: &Origin) -> bool {
        let host_fits = match (&self.hosts, &origin.host) {
            (Hosts::All, _) => true,
            (Hosts::Domain(domain), Host::Domain(name)) => {
                let above = name.trim_end_matches('.').strip_suffix(&**domain);
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            (Hosts::Range(range, bits), Host::Ipv4(address)) => is_in_range((*address).into(), *range, *bits),
            (Hosts::Range(range, bits), Host::Ipv6(address)) => is_in_range((*address).into(), *range, *bits),
            (Hosts::Domain(_), _) | (Hosts::Range(..), Host::Domain(_)) => false,
        };
        host_fits && self.port.is_none_or(|port| port == origin.port)
    }
}

/// `address` or `address/bits`; an IPv6 address may stand in brackets.
fn parse_range(text: &str) -> Option<Hosts> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok())?;
    (bits <= width).then_some(Hosts::Range(address, bits))
}

fn is_in_range(address: IpAddr, range: IpAddr, bits: u32) -> bool {
    // The bits that differ, aligned to the left.
    let difference = match (address, range) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    difference.leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&Url::parse(url).unwrap()).unwrap()
    }

    fn from(variables: &[(&str, &str)]) -> Result<Proxies, InvalidProxy> {
        Proxies::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// The proxy's origin, or `direct`.
    fn through(variables: &[(&str, &str)], url: &str) -> String {
        let route = from(variables).unwrap().route(origin(url), false);
        route.proxy().map_or("direct".into(), |proxy| proxy.origin.to_string())
    }

    #[test]
    fn lower_case_goes_before_capitals_and_all_proxy_comes_last() {
        assert_eq!(through(&[], "http://a"), "direct");
        assert_eq!(through(&[("http_proxy", "p:3128")], "http://a"), "http://p:3128");
        assert_eq!(through(&[("http_proxy", "p:3128")], "https://a"), "direct");
        assert_eq!(through(&[("HTTPS_PROXY", "https://p")], "https://a"), "https://p");
        assert_eq!(through(&[("http_proxy", "low"), ("HTTP_PROXY", "high")], "http://a"), "http://low");
        assert_eq!(through(&[("http_proxy", ""), ("HTTP_PROXY", "high")], "http://a"), "http://high");
        assert_eq!(through(&[("all_proxy", "p"), ("https_proxy", "q")], "http://a"), "http://p");
        assert_eq!(through(&[("ALL_PROXY", "p"), ("https_proxy", "q")], "https://a"), "http://q");
    }

    #[test]
    fn rfc3875_4_1_18_a_request_cannot_set_the_proxy_of_a_cgi_program() {
        let cgi = ("REQUEST_METHOD", "GET");
        assert_eq!(through(&[cgi, ("HTTP_PROXY", "evil")], "http://a"), "direct");
        assert_eq!(through(&[cgi, ("http_proxy", "good")], "http://a"), "http://good");
        assert_eq!(through(&[cgi, ("HTTPS_PROXY", "good")], "https://a"), "http://good");
    }

    #[test]
    fn rfc9110_9_3_6_tls_takes_a_tunnel_and_so_does_a_websocket() {
        let proxies = Proxies::all("p").unwrap();
        assert!(matches!(proxies.route(origin("http://a"), false), Route::Forward(_)));
        assert!(matches!(proxies.route(origin("https://a"), false), Route::Tunnel(..)));
        assert!(matches!(proxies.route(origin("ws://a"), true), Route::Tunnel(..)));
        assert!(matches!(Proxies::none().route(origin("ws://a"), true), Route::Direct(_)));
    }

    #[test]
    fn credentials_of_a_proxy_are_for_the_proxy() {
        let proxies = Proxies::all("http://us%40er:pa%3Ass@p:8080").unwrap();
        let route = proxies.route(origin("http://a"), false);
        let proxy = route.proxy().unwrap();
        assert_eq!(proxy.origin, origin("http://p:8080"));
        assert_eq!(proxy.authorization.as_ref().unwrap(), credentials::basic("us@er", "pa:ss").unwrap());
        assert!(!format!("{proxies:?}").contains("Basic"));
    }

    #[test]
    fn settings_that_cannot_be_used_are_told_with_their_name() {
        let error = from(&[("ALL_PROXY", "socks5://p")]).unwrap_err();
        assert_eq!(error.to_string(), "the proxy setting ALL_PROXY cannot be used: the scheme socks5 is not supported");
        assert_eq!(from(&[("http_proxy", "http://")]).unwrap_err().name, "http_proxy");
        assert_eq!(from(&[("http_proxy", "http://a%3Ab:c@p")]).unwrap_err().name, "http_proxy");
    }

    #[test]
    fn exceptions_go_by_name_address_range_and_port() {
        let direct = |list: &str, url: &str| {
            let proxies = Proxies::all("p").unwrap().except(list);
            matches!(proxies.route(origin(url), false), Route::Direct(_))
        };
        assert!(direct("*", "http://a"));
        for entry in ["b.example", ".b.example", "*.b.example", "B.Example.", "x, b.example", "x b.example"] {
            assert!(direct(entry, "http://b.example") && direct(entry, "http://a.b.example"), "{entry}");
            assert!(!direct(entry, "http://ab.example") && !direct(entry, "http://example"), "{entry}");
        }
        assert!(direct("b.example:8080", "http://b.example:8080") && !direct("b.example:8080", "http://b.example"));
        assert!(direct("10.0.0.0/8", "http://10.9.8.7") && !direct("10.0.0.0/8", "http://11.0.0.1"));
        assert!(direct("10.1.2.3", "http://10.1.2.3:81") && !direct("10.1.2.3", "http://10.1.2.4"));
        assert!(direct("127.0.0.1:81", "http://127.0.0.1:81") && !direct("127.0.0.1:81", "http://127.0.0.1"));
        for entry in ["::1", "[::1]", "::/64", "[::1]:80", "0.0.0.0/0,::/0"] {
            assert!(direct(entry, "http://[::1]"), "{entry}");
        }
        assert!(!direct("0.0.0.0/0", "http://[::1]") && !direct("0.0.0.0/0", "http://a"));
        for nonsense in ["", ".", "*.", ":80", "a:b", "10.0.0.0/33", "::/129", "/8"] {
            assert!(!direct(nonsense, "http://a"), "{nonsense}");
        }
    }
}
