//! HTTP and WebSocket on our own TCP, on a network that loses, duplicates, reorders and corrupts packets.
//!
//! Everything arrives whole and in order, and every connection ends in order. `SEED=n cargo test -p drywire-tests
//! --test machines_over_tcp` runs one seed alone.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use drywire::http::{CommandError, Length, PlainRequest, PlainResponse, client, server};
use drywire::sim::{Chance, Input, LinkConfig, StreamPair, TcpHost, World};
use drywire::tcp::{CloseReason, Config};
use drywire::ws::handshake::{self, Offer, Policy};
use drywire::ws::{self, CloseCode, CloseFrame, Connection, Message, Role};
use drywire::{Bytes, Either, Instant, Rng, Seed, SendQueue, StreamMachine as _};
use drywire_tests::seeds::for_each_seed;

fn hostile() -> LinkConfig {
    LinkConfig {
        latency: Duration::from_millis(15),
        jitter: Duration::from_millis(5),
        loss: Chance::percent(10),
        duplication: Chance::percent(2),
        reordering: Chance::percent(5),
        reordering_delay: Duration::from_millis(30),
        corruption: Chance::percent(1),
        ..LinkConfig::default()
    }
}

fn patient() -> Config {
    Config {
        syn_retries: 30,
        syn_ack_retries: 30,
        data_retries: 60,
        max_rto: Duration::from_secs(5),
        ..Config::default()
    }
}

/// Content that differs along its length.
fn content(rng: &mut Rng, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes.into()
}

/// A server that returns each request's content, with backpressure: it holds what does not fit.
#[derive(Default)]
struct Echo {
    held: Option<Bytes>,
    ended: bool,
}

impl Echo {
    fn event(&mut self, http: &mut server::Connection, event: server::Event) {
        match event {
            server::Event::Request(head) => {
                let length = head.content_length().map_or(Length::Unknown, Length::Known);
                http.respond(&PlainResponse::new(200, &[]), length).unwrap();
            }
            server::Event::Content(content) => {
                let content = match self.held.take() {
                    None => content,
                    Some(held) => Bytes::from([held, content].concat()),
                };
                self.send(http, content);
            }
            server::Event::End(_) => {
                self.ended = true;
                self.go_on(http);
            }
            server::Event::PeerEnded | server::Event::Ready => {}
        }
    }

    fn send(&mut self, http: &mut server::Connection, content: Bytes) {
        match http.send_content(content) {
            Ok(()) => {}
            Err(CommandError::Full(content)) => self.held = Some(content),
            Err(error) => panic!("{error}"),
        }
    }

    fn go_on(&mut self, http: &mut server::Connection) {
        if let Some(held) = self.held.take() {
            self.send(http, held);
        }
        if self.ended && self.held.is_none() {
            self.ended = false;
            http.finish(None).unwrap();
        }
    }
}

#[test]
fn http_exchanges_survive_a_hostile_network() {
    for_each_seed::<()>(60, |seed| {
        let mut rng = Rng::new(&Seed::from(seed));
        let contents: Vec<Bytes> = (0..5)
            .map(|_| {
                let len = rng.below(60_000) as usize;
                content(&mut rng, len)
            })
            .collect();
        let chunked = rng.chance(1, 2);
        let got = Rc::new(RefCell::new(vec![Vec::new()]));

        let mut world = World::new(seed);
        world.network().connect([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), hostile());
        let there = "10.0.0.2:80".parse().unwrap();
        let isn = world.isn();
        let config =
            server::Config { idle_timeout: None, head_timeout: None, content_timeout: None, ..Default::default() };
        let machine = server::Connection::new(Instant::ORIGIN, config);
        let mut echo = Echo::default();
        world.add("server", TcpHost::listen(there, isn, patient(), machine), move |cx, input| match input {
            Input::Event(event) => echo.event(cx.machine(), event),
            Input::Writable => echo.go_on(cx.machine()),
            Input::Failed(error) => panic!("seed {seed}: server: {error}"),
            _ => {}
        });

        let isn = world.isn();
        let config =
            client::Config { idle_timeout: None, response_timeout: None, content_timeout: None, ..Default::default() };
        let machine = client::Connection::new(Instant::ORIGIN, config);
        let here = "10.0.0.1:49152".parse().unwrap();
        let host = TcpHost::connect(Instant::ORIGIN, here, there, isn, patient(), machine);
        let mut waiting = contents.clone().into_iter();
        let received = got.clone();
        world.add("client", host, move |cx, input| {
            let next = match input {
                Input::Connected => waiting.next(),
                Input::Event(client::Event::Content(content)) => {
                    received.borrow_mut().last_mut().unwrap().extend_from_slice(&content);
                    None
                }
                Input::Event(client::Event::End(_)) => {
                    let next = waiting.next();
                    match next {
                        Some(_) => received.borrow_mut().push(Vec::new()),
                        None => cx.machine().shutdown(),
                    }
                    next
                }
                Input::Failed(error) => panic!("seed {seed}: client: {error}"),
                _ => None,
            };
            if let Some(content) = next {
                let http = cx.machine();
                let length = if chunked { Length::Unknown } else { Length::Known(content.len() as u64) };
                http.send_request(&PlainRequest::new("POST", "/", &[("Host", "a")]), length).unwrap();
                if !content.is_empty() {
                    http.send_content(content).unwrap();
                }
                http.finish(None).unwrap();
            }
        });

        let report = world.run().unwrap();
        assert!(report.hosts.iter().all(|(_, reason)| *reason == Some(CloseReason::Normal)), "{report:?}");
        assert_eq!(*got.borrow(), contents, "seed {seed}");
        Ok(())
    });
}

/// One end of a WebSocket: sends its messages when it can, and closes once it has everything from the other end.
struct Talk {
    queue: Vec<Message>,
    expected: Vec<Message>,
    closes: bool,
    got: Vec<Message>,
}

impl Talk {
    fn input<X: std::fmt::Display>(&mut self, now: Instant, ws: &mut Connection, input: Input<ws::Event, X>) {
        match input {
            Input::Event(ws::Event::Message(message)) => self.got.push(message),
            Input::Failed(error) => panic!("{error}"),
            Input::Closed(reason) => {
                assert_eq!(reason, CloseReason::Normal);
                assert_eq!(self.got, self.expected);
            }
            _ => {}
        }
        while let Some(message) = self.queue.pop() {
            match ws.send(message) {
                Ok(()) => {}
                Err(ws::SendError::Full(message)) => {
                    self.queue.push(message);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        // The other end may still be sending: a Close waits for all of it.
        if self.closes && self.queue.is_empty() && self.got.len() == self.expected.len() {
            self.closes = false;
            ws.close(now, Some(CloseFrame::new(CloseCode::NORMAL, ""))).unwrap();
        }
    }
}

fn messages(rng: &mut Rng) -> Vec<Message> {
    (0..rng.below(20))
        .map(|_| {
            let len = if rng.chance(1, 4) { rng.below(100_000) } else { rng.below(200) };
            let bytes = content(rng, len as usize);
            if rng.chance(1, 2) {
                Message::Binary(bytes)
            } else {
                Message::Text(String::from_utf8_lossy(&bytes).into_owned().into())
            }
        })
        .collect()
}

fn talks(rng: &mut Rng) -> (Talk, Talk) {
    let (mut a, mut b) = (messages(rng), messages(rng));
    let (from_a, from_b) = (a.clone(), b.clone());
    a.reverse();
    b.reverse();
    // The client closes, once it has all of the server's messages.
    (
        Talk { queue: a, expected: from_b, closes: true, got: Vec::new() },
        Talk { queue: b, expected: from_a, closes: false, got: Vec::new() },
    )
}

fn ends(rng: &mut Rng) -> (Connection, Connection) {
    let config = || ws::Config { close_timeout: Duration::from_secs(3600), ..ws::Config::default() };
    let queue = || SendQueue::new(16 * 1024);
    let client = Connection::new(Instant::ORIGIN, Role::Client, config(), &rng.split(), queue());
    (client, Connection::new(Instant::ORIGIN, Role::Server, config(), &rng.split(), queue()))
}

#[test]
fn websocket_messages_survive_a_hostile_network() {
    for_each_seed::<()>(60, |seed| {
        let mut rng = Rng::new(&Seed::from(seed));
        let ((mut here, mut there), (client, server)) = (talks(&mut rng), ends(&mut rng));
        let mut world = World::new(seed);
        world.network().connect([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), hostile());
        let address = "10.0.0.2:80".parse().unwrap();
        let isn = world.isn();
        let host = TcpHost::listen(address, isn, patient(), server);
        world.add("server", host, move |cx, input| there.input(cx.now(), cx.machine(), input));
        let isn = world.isn();
        let local = "10.0.0.1:49152".parse().unwrap();
        let host = TcpHost::connect(Instant::ORIGIN, local, address, isn, patient(), client);
        world.add("client", host, move |cx, input| here.input(cx.now(), cx.machine(), input));
        let report = world.run().unwrap();
        assert!(report.hosts.iter().all(|(_, reason)| *reason == Some(CloseReason::Normal)), "{report:?}");
        Ok(())
    });
}

#[test]
fn websocket_messages_survive_every_cut() {
    for_each_seed::<()>(200, |seed| {
        let mut rng = Rng::new(&Seed::from(seed));
        let ((mut here, mut there), (client, server)) = (talks(&mut rng), ends(&mut rng));
        StreamPair::new(seed, client, server)
            .run(
                |cx, input| here.input(cx.now(), cx.machine(), input),
                |cx, input| there.input(cx.now(), cx.machine(), input),
            )
            .unwrap();
        assert_eq!((here.got, there.got), (here.expected, there.expected), "seed {seed}");
        Ok(())
    });
}

/// The HTTP machine of the server hands over to the WebSocket, with what it has queued.
#[test]
fn an_upgrade_loses_nothing_at_any_cut() {
    for_each_seed::<()>(100, |seed| {
        let mut rng = Rng::new(&Seed::from(seed));
        let offer = Offer { protocols: vec!["a".into(), "b".into()], ..Offer::new("server.example", "/chat") };
        let client = ws::Client::new(Instant::ORIGIN, offer, ws::client::Config::default(), &rng.split()).unwrap();
        let server = server::Connection::new(Instant::ORIGIN, server::Config::default());
        let mut accepted = None;
        let mut echoed = Vec::new();
        StreamPair::new(seed, client, Either::<_, Connection>::First(server))
            .run(
                |cx, input| match input {
                    Input::Event(ws::client::Event::Open { protocol, .. }) => {
                        assert_eq!(protocol.as_deref(), Some("b"));
                        let ws = cx.machine().connection_mut().unwrap();
                        ws.send_text("first").unwrap();
                        ws.send_text("second").unwrap();
                    }
                    Input::Event(ws::client::Event::Connection(ws::Event::Message(Message::Text(text)))) => {
                        echoed.push(text.as_str().to_owned());
                        if echoed.len() == 3 {
                            let now = cx.now();
                            cx.machine().connection_mut().unwrap().close(now, None).unwrap();
                        }
                    }
                    Input::Failed(error) => panic!("seed {seed}: {error}"),
                    _ => {}
                },
                |cx, input| match input {
                    Input::Event(Either::First(server::Event::Request(head))) => {
                        let policy = Policy { protocols: vec!["b".into()], ..Policy::default() };
                        accepted = handshake::accept(&head, &policy).ok();
                    }
                    Input::Event(Either::First(server::Event::End(_))) => {
                        let http = cx.machine().first_mut().unwrap();
                        http.upgrade(accepted.as_ref().unwrap()).unwrap();
                        let transmit = std::mem::replace(http.transmit(), SendQueue::new(0));
                        let seed = Seed::from(0);
                        let mut ws = Connection::new(cx.now(), Role::Server, ws::Config::default(), &seed, transmit);
                        // Leaves right behind the 101, perhaps in one read with it.
                        ws.send_text("welcome").unwrap();
                        *cx.machine() = Either::Second(ws);
                    }
                    Input::Event(Either::Second(ws::Event::Message(message))) => {
                        cx.machine().second_mut().unwrap().send(message).unwrap();
                    }
                    Input::Failed(error) => panic!("seed {seed}: {error}"),
                    _ => {}
                },
            )
            .unwrap();
        assert_eq!(echoed, ["welcome", "first", "second"], "seed {seed}");
        Ok(())
    });
}
