//! HTTP for those who want requests and responses, not events: a [`Client`] (feature `client`), and servers (feature `http`)
//! whose exchanges are read and written like files:
//!
//! ```
//! use std::io::{Read as _, Write as _};
//!
//! use drywire_http::{Length, PlainResponse};
//! use drywire_std::Server;
//! use drywire_std::http::{self, Config};
//!
//! let server = Server::bind("127.0.0.1:0")?;
//! let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
//! let running = std::thread::spawn(move || {
//!     http::serve(server, Config::default(), |exchange| {
//!         let mut text = String::new();
//!         exchange.read_to_string(&mut text)?;
//!         exchange.respond(&PlainResponse::new(200, &[]), Length::Known(text.len() as u64))?;
//!         exchange.write_all(text.to_uppercase().as_bytes())?;
//!         Ok(exchange.finish(None)?)
//!     })
//! });
//!
//! let mut client = std::net::TcpStream::connect(address)?;
//! client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nHELLO"));
//!
//! shutdown.shutdown();
//! running.join().expect("no panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "http")]
mod server;

#[cfg(feature = "client")]
pub use client::Client;
#[cfg(feature = "http")]
pub use server::{Config, Error, Exchange, serve, serve_connection};
