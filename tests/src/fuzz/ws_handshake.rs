//! The WebSocket opening handshake, either end, against bytes and cuts of the input's choosing.

use drywire::http::{CommandError, Length, server};
use drywire::ws::client::{self, Client};
use drywire::ws::deflate::Parameters;
use drywire::ws::handshake::{Offer, OriginPolicy, Policy, accept};
use drywire::{Buf, Bytes, Instant, RecvBuf, Seed, StreamMachine};

use super::Splits;

const NOW: Instant = Instant::from_secs(1);

/// The first byte chooses the end (bit 0) and, for a server, the origin policy (bits 1 and 2).
pub fn run(data: &[u8]) {
    let (&mode, rest) = data.split_first().unwrap_or((&0, &[]));
    let splits = Splits::new(rest);
    let end = if mode & 1 == 0 { serve } else { connect };
    let whole = end(mode, &mut std::iter::once(splits.payload));
    // Law 1.
    assert_eq!(end(mode, &mut splits.pieces()), whole);
    assert_eq!(end(mode, &mut splits.payload.chunks(1)), whole);
}

/// What a run shows to the outside: events as text, bytes sent, and bytes left.
type Trace = (Vec<String>, Vec<u8>, Vec<u8>);

/// A server that accepts what it can, and answers everything else.
fn serve(mode: u8, pieces: &mut dyn Iterator<Item = &[u8]>) -> Trace {
    let origin = match mode >> 1 & 3 {
        0 => OriginPolicy::Any,
        1 => OriginPolicy::List(vec!["https://a.example".into(), "null".into()]),
        _ => OriginPolicy::SameOrigin,
    };
    let deflate = Some(Parameters::default());
    let policy = Policy { protocols: vec!["chat".into(), "echo".into()], origin, deflate };
    let mut http = server::Connection::new(NOW, server::Config::default());
    let (mut recv, mut verdict) = (RecvBuf::new(), None);
    let (mut log, mut sent) = (Vec::new(), Vec::new());
    'connection: for piece in pieces {
        recv.extend_from_slice(piece);
        if http.is_upgraded() {
            continue;
        }
        loop {
            match http.poll_event(NOW, &mut recv) {
                Ok(Some(server::Event::Request(request))) => {
                    let answer = accept(&request, &policy);
                    log.push(format!("{answer:?}"));
                    verdict = Some(answer);
                }
                Ok(Some(server::Event::Content(_) | server::Event::PeerEnded | server::Event::Ready)) => {}
                Ok(Some(server::Event::End(_))) => {
                    match verdict.take().expect("a request before its end") {
                        // What is accepted can be answered with a switch of protocols.
                        Ok(acceptance) => http.upgrade(&acceptance).unwrap(),
                        Err(rejection) => match http.respond(&rejection, Length::Known(0)) {
                            Ok(()) => http.finish(None).unwrap(),
                            Err(refused) => assert_eq!(refused, CommandError::Closed),
                        },
                    }
                    let queue = http.transmit();
                    sent.extend_from_slice(&queue.copy_to_bytes(queue.remaining()));
                    if http.is_upgraded() {
                        log.push("upgraded".into());
                        continue 'connection;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    log.push(format!("{error:?}"));
                    let queue = http.transmit();
                    sent.extend_from_slice(&queue.copy_to_bytes(queue.remaining()));
                    return (log, sent, Vec::new());
                }
            }
        }
    }
    let left = if http.is_upgraded() { recv.to_vec() } else { Vec::new() };
    (log, sent, left)
}

/// A client whose request is always the same.
fn connect(_: u8, pieces: &mut dyn Iterator<Item = &[u8]>) -> Trace {
    let deflate = Some(Parameters::default());
    let offer = Offer { protocols: vec!["chat".into(), "echo".into()], deflate, ..Offer::new("a.example", "/") };
    let mut client = Client::new(NOW, offer, client::Config::default(), &Seed::from(1)).unwrap();
    client.transmit().clear();
    let mut recv = RecvBuf::new();
    let (mut log, mut content, mut failure) = (Vec::new(), Vec::new(), None);
    let mut poll = |client: &mut Client, recv: &mut RecvBuf| loop {
        match client.poll_event(NOW, recv) {
            // How content is cut into pieces says nothing.
            Ok(Some(client::Event::Content(piece))) => content.push(piece),
            Ok(Some(event)) => log.push(format!("{event:?}")),
            Ok(None) => {
                assert_eq!(failure, None, "an error is final");
                return;
            }
            Err(error) => {
                assert!(failure.as_ref().is_none_or(|earlier| *earlier == error), "an error is final");
                failure = Some(error);
                return;
            }
        }
    };
    for piece in pieces {
        recv.extend_from_slice(piece);
        poll(&mut client, &mut recv);
    }
    recv.finish();
    poll(&mut client, &mut recv);
    poll(&mut client, &mut recv);
    log.push(format!("{failure:?}"));
    let queue = client.transmit();
    let sent = queue.copy_to_bytes(queue.remaining()).to_vec();

    // Law 6.
    while let Some(deadline) = client.poll_timeout() {
        client.handle_timeout(deadline);
        assert!(client.poll_timeout().is_none_or(|next| next > deadline));
    }
    (log, sent, content.iter().map(Bytes::as_ref).collect::<Vec<_>>().concat())
}
