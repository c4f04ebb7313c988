//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// TCP, HTTP/1.1 and WebSocket from pure state machines.
#[derive(Debug, Parser)]
#[command(name = "drywire", version, about, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve HTTP and WebSocket: a page, an echo, byte streams, and one event feed by every technique.
    Serve(Serve),
    /// Fetch a URL.
    Get(Get),
    /// Open a WebSocket: lines of standard input go out as text messages, what arrives is printed.
    ///
    /// At the end of the input it waits until nothing has arrived for half a second, and closes with 1000.
    Ws(Ws),
    /// Run client and server over a simulated network and print every segment, head and frame.
    ///
    /// Sequence numbers and timestamps are shown from zero on.
    Tour(Tour),
}

/// What carries the machines' bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// Tasks on tokio.
    Tokio,
    /// Threads on std::net.
    Std,
    /// A readiness loop, one thread (servers only).
    Poll,
    /// Our own TCP on a TUN device, one thread (Linux).
    Tun,
}

/// How `--runtime tun` reaches the world.
#[derive(Debug, clap::Args)]
pub(crate) struct Link {
    /// With --runtime tun, an address of our TCP, such as 10.77.0.2/24; repeat it for more.
    #[arg(long = "tun-address", value_name = "ADDRESS/PREFIX")]
    pub(crate) addresses: Vec<TunAddress>,
    /// With --runtime tun, the device, which is made if it is not there [default: dry0].
    #[arg(long = "tun-name", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// With --runtime tun, exchange segments of up to 64 KiB with the kernel, which cuts them and sums them up.
    #[arg(long = "tun-offload")]
    pub(crate) offload: bool,
}

impl Link {
    /// Whether anything is said of it.
    pub(crate) fn is_given(&self) -> bool {
        self.offload || self.name.is_some() || !self.addresses.is_empty()
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:8080, or port 80 of each TUN address].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    #[arg(long, value_enum, default_value = "tokio")]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) link: Link,
    #[command(flatten)]
    pub(crate) security: Security,
    /// Let pages of this origin, such as `https://app.example`, use the server too, or of any (*); repeat it for more.
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub(crate) allowed_origins: Vec<String>,
    /// How many connections are served at a time; further ones wait.
    #[arg(long, value_name = "NUMBER", default_value_t = 1024)]
    pub(crate) max_connections: usize,
    /// Do not log requests.
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// How a site is served by TLS.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Security {
    /// Serve HTTPS with a certificate that is made on the spot and that nobody trusts by itself.
    #[arg(long, value_enum, conflicts_with_all = ["cert", "key"])]
    pub(crate) tls: Option<Tls>,
    /// Serve HTTPS with the certificate in this PEM file, those that vouch for it behind it.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of --cert, a PEM file.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Serve only clients with a certificate that one of those in this PEM file vouches for.
    #[arg(long = "client-ca", value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,
}

/// Where a certificate comes from that is in no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tls {
    /// Made for localhost and the address that is listened on; it vouches for itself.
    SelfSigned,
}

/// An address of ours on the device, and how many bits of it the whole link shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TunAddress {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl FromStr for TunAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| "not an IP address")?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        match prefix.map_or(Ok(bits), str::parse) {
            Ok(prefix) if prefix <= bits => Ok(Self { address, prefix }),
            _ => Err("not a prefix length"),
        }
    }
}

/// How a client reaches a server on the kernel's TCP.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Access {
    /// Go through this proxy, whatever the environment says (`http_proxy` and its like); '' for none.
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Authenticate by user and password.
    #[arg(short = 'u', long = "user", value_name = "USER:PASSWORD")]
    pub(crate) user: Option<String>,
    /// Keep the hosts that want TLS in this file, which is made if it is not there. The format is curl's.
    #[arg(long, value_name = "FILE")]
    pub(crate) hsts: Option<PathBuf>,
    /// How long a connection may take, such as 2 or 0.5 [default: 30].
    #[arg(long = "connect-timeout", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) connect_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) trust: Trust,
}

/// Which servers a client trusts, and who it is to them.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Trust {
    /// Trust those servers that a certificate in this PEM file vouches for, in place of those that the system trusts.
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Trust every server, whatever certificate it shows: anybody in between can read and change everything.
    #[arg(short = 'k', long, conflicts_with = "cacert")]
    pub(crate) insecure: bool,
    /// Show the certificate in this PEM file to servers that ask for one, those that vouch for it behind it.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of --cert, a PEM file.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "not a number of seconds")
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// An http:// or https:// URL.
    pub(crate) url: String,
    /// Follow redirects.
    #[arg(short = 'L', long = "location")]
    pub(crate) location: bool,
    /// With --location, how many redirects at most.
    #[arg(long = "max-redirects", value_name = "NUMBER", default_value_t = 10, requires = "location")]
    pub(crate) max_redirects: usize,
    /// How long the whole exchange may take, such as 10 or 0.5 [default: no limit].
    #[arg(long = "max-time", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_time: Option<Duration>,
    #[command(flatten)]
    pub(crate) access: Access,
    /// The request's method (GET, or POST with --data).
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// A field line to send, 'Name: value'; 'Name:' leaves out one that would be sent by itself.
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    pub(crate) fields: Vec<String>,
    /// Content to send: text, or @FILE for a file's text without its line breaks (@- for standard input).
    #[arg(short = 'd', long = "data", value_name = "DATA")]
    pub(crate) data: Option<String>,
    /// Write the content to this file instead of standard output.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Show the heads of both directions, and trailers, on standard error.
    #[arg(short = 'v', long = "verbose")]
    pub(crate) verbose: bool,
    #[arg(long, value_enum, default_value = "tokio")]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) link: Link,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ws {
    /// A ws:// or wss:// URL.
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) access: Access,
    /// A sub-protocol to offer; repeat it for more, the preferred one first.
    #[arg(long = "protocol", value_name = "NAME")]
    pub(crate) protocols: Vec<String>,
    /// A field line for the opening handshake, 'Name: value'.
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    pub(crate) fields: Vec<String>,
    /// The Origin to state.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Option<String>,
    #[arg(long, value_enum, default_value = "tokio")]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) link: Link,
}

/// How the tour is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A sequence diagram for a terminal.
    Text,
    /// A Mermaid sequence diagram.
    Mermaid,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tour {
    /// The seed of the network and of both hosts: the same seed prints the same bytes.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many packets in a hundred the network loses, each way.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=60))]
    pub(crate) loss: u32,
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}
