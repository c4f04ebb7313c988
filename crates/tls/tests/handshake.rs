//! Who is trusted, what is negotiated, and how it fails.

mod shared;

use std::sync::Arc;

use drywire_core::Bytes;
use drywire_tls::rustls::pki_types::ServerName;
use drywire_tls::rustls::version::{TLS12, TLS13};
use drywire_tls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Connection, Error as Rustls, HandshakeKind, ProtocolVersion,
    SupportedProtocolVersion, crypto,
};
use drywire_tls::server::ClientCertificates;
use drywire_tls::{ConfigError, Error, Identity, Roots, client, server};
use rcgen::CertificateParams;
use shared::{
    Authority, Exchange, Link, NAME, Outcome, Scene, Side, client_config, client_identity, roots, server_config,
    server_identity,
};

/// What rustls says of the certificate of a server that the client met.
fn certificate_error(client: &Side) -> &CertificateError {
    match &client.outcome {
        Some(Outcome::Tls(Error::Tls(Rustls::InvalidCertificate(error)))) => error,
        other => panic!("{other:?}"),
    }
}

/// The alert that a side got in place of what it waited for.
fn alert(side: &Side) -> AlertDescription {
    match side.outcome {
        Some(Outcome::Tls(Error::Tls(Rustls::AlertReceived(alert)))) => alert,
        ref other => panic!("{other:?}"),
    }
}

fn is_closed(side: &Side) -> bool {
    side.outcome == Some(Outcome::Closed) && side.machine().ended == Some(true)
}

/// A client that speaks one version only.
fn only(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let store = roots();
    let mut config = client::config(store.clone(), None).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = drywire_tls::rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new(store.into_store()),
        Arc::clone(&provider),
    );
    let alpn = config.alpn_protocols.clone();
    config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_webpki_verifier(verifier.build().unwrap())
        .with_no_client_auth();
    config.alpn_protocols = alpn;
    Arc::new(config)
}

#[test]
fn both_versions_and_what_is_negotiated() {
    for (version, number) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
        let (client, server) = Scene::with(only(version), Arc::new(server_config())).run();
        assert!(is_closed(&client) && is_closed(&server));
        for side in [&client, &server] {
            let tls = side.session.connection();
            assert_eq!((tls.protocol_version(), tls.alpn_protocol()), (Some(number), Some(&b"http/1.1"[..])));
        }
        let Connection::Server(tls) = server.session.connection() else { panic!("a server") };
        assert_eq!(tls.server_name(), Some(NAME));
    }
}

#[test]
fn an_address_is_verified_and_not_sent_as_a_name() {
    let (client, server) = Scene { name: ServerName::try_from("127.0.0.1").unwrap(), ..Scene::new() }.run();
    assert!(is_closed(&client));
    let Connection::Server(tls) = server.session.connection() else { panic!("a server") };
    assert_eq!(tls.server_name(), None);
}

#[test]
fn the_second_session_is_resumed_in_both_versions() {
    for version in [&TLS13, &TLS12] {
        let (client_config, server_config) = (only(version), Arc::new(server_config()));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (client, server) = Scene::with(Arc::clone(&client_config), Arc::clone(&server_config)).run();
            assert!(is_closed(&client) && is_closed(&server));
            assert_eq!(client.session.connection().handshake_kind(), Some(kind), "{version:?}");
            assert_eq!(server.session.connection().handshake_kind(), Some(kind), "{version:?}");
        }
    }
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused_and_told() {
    let other = client::config(Authority::new("another").roots(), None).unwrap();
    let (client, server) = Scene::with(Arc::new(other), Arc::new(server_config())).run();
    assert_eq!(certificate_error(&client), &CertificateError::UnknownIssuer);
    assert_eq!(alert(&server), AlertDescription::UnknownCA);
    assert_eq!((&client.machine().heard[..], &server.machine().heard[..]), (&b""[..], &b""[..]));
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (client, server) = Scene { name: ServerName::try_from("elsewhere.example").unwrap(), ..Scene::new() }.run();
    assert!(matches!(certificate_error(&client), CertificateError::NotValidForNameContext { .. }));
    assert_eq!(alert(&server), AlertDescription::BadCertificate);
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new("another");
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let server = server::config(authority.identity_of(&params), ClientCertificates::NotAsked).unwrap();
    let client = client::config(authority.roots(), None).unwrap();
    let (client, server) = Scene::with(Arc::new(client), Arc::new(server)).run();
    assert!(matches!(certificate_error(&client), CertificateError::ExpiredContext { .. }));
    assert_eq!(alert(&server), AlertDescription::CertificateExpired);
}

#[test]
fn a_client_without_verification_takes_every_server() {
    let config = client::insecure_config_that_trusts_any_server(None).unwrap();
    let authority = Authority::new("another");
    let server = server::config(authority.identity(&["elsewhere.example"]), ClientCertificates::NotAsked).unwrap();
    let (client, server) = Scene::with(Arc::new(config), Arc::new(server)).run();
    assert!(is_closed(&client) && is_closed(&server));
}

#[test]
fn protocols_that_do_not_meet_fail() {
    let mut config = client_config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (client, server) = Scene::with(Arc::new(config), Arc::new(server_config())).run();
    assert_eq!(server.outcome, Some(Outcome::Tls(Error::Tls(Rustls::NoApplicationProtocol))));
    assert_eq!(alert(&client), AlertDescription::NoApplicationProtocol);

    // Who offers none is served.
    let mut config = client_config();
    config.alpn_protocols = Vec::new();
    let (client, _) = Scene::with(Arc::new(config), Arc::new(server_config())).run();
    assert!(is_closed(&client) && client.session.connection().alpn_protocol().is_none());
}

#[test]
fn client_certificates_are_asked_for_and_verified() {
    let with = |clients| Arc::new(server::config(server_identity(), clients).unwrap());
    let known = Arc::new(client::config(roots(), Some(client_identity())).unwrap());
    let stranger = Authority::new("another").identity(&["client.example"]);
    let unknown = Arc::new(client::config(roots(), Some(stranger)).unwrap());
    let nobody = Arc::new(client_config());

    for clients in [ClientCertificates::Required(roots()), ClientCertificates::Optional(roots())] {
        let (client, server) = Scene::with(Arc::clone(&known), with(clients)).run();
        assert!(is_closed(&client) && is_closed(&server));
        assert_eq!(server.session.connection().peer_certificates().map(<[_]>::len), Some(1));
    }
    let (client, server) = Scene::with(Arc::clone(&nobody), with(ClientCertificates::Optional(roots()))).run();
    assert!(is_closed(&client) && server.session.connection().peer_certificates().is_none());

    // In TLS 1.3 the client has sent its question by then. It is not heard, and the alert still comes.
    let (client, server) = Scene::with(nobody, with(ClientCertificates::Required(roots()))).run();
    assert_eq!(alert(&client), AlertDescription::CertificateRequired);
    assert_eq!(server.outcome, Some(Outcome::Tls(Error::Tls(Rustls::NoCertificatesPresented))));
    for clients in [ClientCertificates::Required(roots()), ClientCertificates::Optional(roots())] {
        let (client, server) = Scene::with(Arc::clone(&unknown), with(clients)).run();
        assert_eq!(alert(&client), AlertDescription::UnknownCA);
        assert!(matches!(server.outcome, Some(Outcome::Tls(Error::Tls(Rustls::InvalidCertificate(_))))));
        assert_eq!(server.machine().heard, b"");
    }
}

/// One side of a scene whose other side is the test.
fn alone(scene: Scene, is_client: bool) -> (Side, shared::End) {
    let (client, server) = scene.sides();
    if is_client { (client, server.end) } else { (server, client.end) }
}

#[test]
fn a_peer_that_does_not_speak_tls_is_named_and_told() {
    const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    for one_by_one in [false, true] {
        let link = || Link { one_by_one, ..Link::default() };
        // As an alert, which it does not understand.
        let (mut server, peer) = alone(Scene { link: link(), ..Scene::new() }, false);
        peer.inject(b"GET / HTTP/1.1\r\n");
        server.run_alone();
        let Some(Outcome::Tls(Error::NotTls(start))) = &server.outcome else { panic!("{:?}", server.outcome) };
        assert!(!start.is_empty() && b"GET / HTTP/1.1\r\n".starts_with(start));
        assert_eq!(peer.pending()[..3], [21, 3, 3]);

        // In words.
        let (mut server, peer) = alone(Scene { link: link(), ..Scene::new() }, false);
        server.session = server.session.with_plain_answer(Bytes::from_static(ANSWER));
        peer.inject(b"GET / HTTP/1.1\r\n");
        server.run_alone();
        assert!(matches!(server.outcome, Some(Outcome::Tls(Error::NotTls(_)))));
        assert_eq!(peer.pending(), ANSWER);

        // A client that was answered so.
        let (mut client, peer) = alone(Scene { link: link(), ..Scene::new() }, true);
        peer.inject(ANSWER);
        client.run_alone();
        assert!(matches!(client.outcome, Some(Outcome::Tls(Error::NotTls(_)))));
    }
}

#[test]
fn a_silent_peer_that_goes_is_no_failure_for_a_server_with_nothing_to_say() {
    let says = [Exchange::new(b""), Exchange::new(b"")];
    let (mut server, peer) = alone(Scene { says, ..Scene::new() }, false);
    peer.hang_up();
    server.run_alone();
    assert_eq!((&server.outcome, server.machine().ended), (&Some(Outcome::Closed), Some(true)));
    assert!(peer.pending().is_empty());

    let (mut client, peer) = alone(Scene::new(), true);
    peer.hang_up();
    client.run_alone();
    assert_eq!(client.outcome, Some(Outcome::Tls(Error::EndedInHandshake)));
}

/// Input: `close_notify` in the clear as the first record, which anybody could have sent, and then the end.
#[test]
fn a_close_notify_that_nobody_vouches_for_does_not_count() {
    let (mut client, peer) = alone(Scene::new(), true);
    peer.inject(&[21, 3, 3, 0, 2, 1, 0]);
    peer.hang_up();
    client.run_alone();
    assert_eq!(client.outcome, Some(Outcome::Tls(Error::EndedInHandshake)));
}

/// Input: a record of the handshake that announces a message of more than 64 KiB, and then its bytes.
#[test]
fn a_handshake_message_without_end_is_refused_in_bounded_memory() {
    let (mut server, peer) = alone(Scene::new(), false);
    let mut record = vec![22, 3, 1, 0x40, 0];
    record.extend([1, 0xff, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    for _ in 0..20 {
        peer.inject(&record);
        record[5] = 0;
    }
    server.run_alone();
    assert!(matches!(server.outcome, Some(Outcome::Tls(Error::Tls(_)))), "{:?}", server.outcome);
}

#[test]
fn what_cannot_be_used_is_told_apart() {
    assert!(matches!(Roots::from_pem(b""), Err(ConfigError::NoCertificate)));
    assert!(matches!(
        Roots::from_pem(b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n"),
        Err(ConfigError::Pem(_))
    ));
    assert!(matches!(
        Roots::from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        Err(ConfigError::Tls(_))
    ));
    let (one, other) = (server_identity(), client_identity());
    assert!(matches!(Identity::from_pem(b"", b""), Err(ConfigError::NoCertificate)));
    let mixed = Identity { chain: one.chain, key: other.key };
    assert!(matches!(server::config(mixed, ClientCertificates::NotAsked), Err(ConfigError::Tls(_))));
    let none = Roots::from_der([]).unwrap();
    assert!(matches!(
        server::config(server_identity(), ClientCertificates::Required(none)),
        Err(ConfigError::ClientVerifier(_))
    ));
}
