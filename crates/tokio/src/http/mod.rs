//! HTTP for those who want requests and responses, not events: a [`Client`] (feature `client`), and servers (feature `http`)
//! with a handler that gets a request with its content and returns a response with its own:
//!
//! ```
//! use drywire_tokio::http::{self, Body};
//! use drywire_tokio::{Server, TcpTransport};
//! use ::http::{Request, Response};
//! # use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! async fn shout(mut request: Request<Body>) -> Response<Body> {
//!     let mut shouted = Vec::new();
//!     while let Ok(Some(piece)) = request.body_mut().chunk().await {
//!         shouted.extend(piece.to_ascii_uppercase());
//!     }
//!     Response::new(shouted.into())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind("127.0.0.1:0").await?;
//! let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
//! let running = tokio::spawn(http::serve(server, http::Config::default(), shout));
//!
//! let mut client = tokio::net::TcpStream::connect(address).await?;
//! client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nHELLO"));
//!
//! shutdown.shutdown();
//! running.await??;
//! # Ok(()) }
//! ```

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "http")]
mod server;

#[cfg(feature = "client")]
pub use client::Client;
#[cfg(feature = "http")]
pub use server::{Body, BodyError, BodyReader, Config, Error, Sender, serve, serve_connection};
#[cfg(feature = "tower")]
pub(crate) use server::{Handler, serve_by, serve_connection_by};
#[cfg(all(feature = "http", feature = "ws"))]
pub use server::{Socket, Upgrade};
