//! The certificate that the site is served with, as the command line asks for it.

use std::net::SocketAddr;
use std::sync::Arc;

use drywire::Bytes;
use drywire::tls::server::{self, ClientCertificates};
use drywire::tls::{Identity, ServerConfig, Session};

use crate::args::Security;
use crate::{Failure, pem};

/// HTTPS, for every connection of a server.
#[derive(Clone)]
pub(super) struct Secure {
    config: Arc<ServerConfig>,
    /// What a peer reads that asks without TLS.
    plain_answer: Bytes,
}

impl Secure {
    /// What the arguments say, or `None` where they say nothing of TLS.
    pub(super) fn of(args: &Security, listen: SocketAddr) -> Result<Option<Self>, Failure> {
        let identity = match (&args.cert, &args.key) {
            (Some(cert), Some(key)) => pem::identity(cert, key)?,
            _ if args.tls.is_some() => self_signed(listen)?,
            _ if args.client_ca.is_some() => {
                return Err(Failure::usage("--client-ca needs --tls or --cert and --key"));
            }
            _ => return Ok(None),
        };
        let clients = match &args.client_ca {
            Some(path) => ClientCertificates::Required(pem::roots(path)?),
            None => ClientCertificates::NotAsked,
        };
        let config = server::config(identity, clients).map_err(pem::refused)?;
        let text = "This port speaks TLS: ask it by https or wss.\n";
        let plain_answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{text}",
            text.len()
        );
        let secure = Self { config: Arc::new(config), plain_answer: plain_answer.into() };
        // Whatever rustls does not take is told before the first connection.
        Session::server(secure.config()).map_err(Failure::usage)?;
        Ok(Some(secure))
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    pub(super) fn plain_answer(&self) -> Bytes {
        self.plain_answer.clone()
    }

    /// The TLS of one connection.
    pub(super) fn session(&self) -> Session {
        let session = Session::server(self.config()).expect("the configuration was tried at the start");
        session.with_plain_answer(self.plain_answer())
    }
}

/// For every name that this machine is reached by on the loopback interface, and the address that it listens on.
fn self_signed(listen: SocketAddr) -> Result<Identity, Failure> {
    let mut names: Vec<_> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let own = listen.ip().to_string();
    if !listen.ip().is_unspecified() && !names.contains(&own) {
        names.push(own);
    }
    Identity::self_signed(names).map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn nothing_said_is_no_tls() {
        assert!(Secure::of(&Security::default(), listen()).unwrap().is_none());
    }

    #[test]
    fn a_certificate_is_made_on_the_spot() {
        let args = Security { tls: Some(crate::args::Tls::SelfSigned), ..Security::default() };
        let secure = Secure::of(&args, "10.7.7.7:443".parse().unwrap()).unwrap().unwrap();
        assert!(secure.session().is_handshaking());
        assert!(secure.plain_answer().starts_with(b"HTTP/1.1 400 "));
    }

    #[test]
    fn wrong_files_take_one_line_that_names_them() {
        let (manifest, missing) = (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "/nowhere/key.pem");
        let cert =
            |cert: &str, key: &str| Security { cert: Some(cert.into()), key: Some(key.into()), ..Security::default() };
        for (args, said) in [
            (cert(missing, missing), "/nowhere/key.pem: No such file"),
            (cert(manifest, manifest), "Cargo.toml: there is no certificate in it"),
            (Security { client_ca: Some(manifest.into()), ..Security::default() }, "--client-ca needs"),
        ] {
            let Err(failure) = Secure::of(&args, listen()) else { panic!("{said}") };
            assert_eq!(failure.status, 2);
            assert!(failure.message.contains(said) && !failure.message.contains('\n'), "{}", failure.message);
        }
    }
}
