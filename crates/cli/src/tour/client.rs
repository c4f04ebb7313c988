//! The client of the tour and its script.

use drywire::http::client::{Config, Connection, Event as HttpEvent};
use drywire::http::{self, Length, PlainRequest};
use drywire::sim::{Context, Input};
use drywire::ws::handshake::{ClientHandshake, Offer};
use drywire::ws::{self, CloseCode, CloseFrame, MessageKind, Role};
use drywire::{Bytes, Either, Instant, Rng, Seed};

use super::render::{Kind, What};
use super::tap::{Tap, Tapped};
use super::{Diagram, PATIENCE, Side};

/// HTTP first, WebSocket at the end.
type Visitor = Either<Box<Connection>, Box<ws::Connection>>;
type Machine = Tapped<Visitor>;
type Told = Input<Tap<Either<HttpEvent, ws::Event>>, Either<http::Error, ws::Error>>;

const HOST: &str = "server.example";

/// The exchanges, in order: title, method, target, content.
const EXCHANGES: [(&str, &str, &str, &str); 7] = [
    ("an HTTP exchange", "GET", "/hello", ""),
    ("publishing", "POST", "/feed", "first news"),
    ("polling: news", "GET", "/feed/poll?after=0", ""),
    ("polling: none", "GET", "/feed/poll?after=1", ""),
    ("long polling: 204 at its deadline", "GET", "/feed/long-poll?after=1&timeout=1", ""),
    ("long polling: held until there is news", "GET", "/feed/long-poll?after=1&timeout=30", ""),
    ("streaming: one response, news as it comes", "GET", "/feed/stream?after=0&limit=3", ""),
];

pub(super) fn machine() -> Machine {
    at(Instant::ORIGIN)
}

/// A machine that measures its time from `now`.
fn at(now: Instant) -> Machine {
    Tapped::new(Either::First(Box::new(Connection::new(now, Config::default()))))
}

/// What the client does, and how far it is.
pub(super) struct Script {
    diagram: Diagram,
    rng: Rng,
    exchanges: usize,
    handshake: Option<ClientHandshake>,
    /// WebSocket messages and pongs that have come back.
    answers: u32,
}

impl Script {
    pub(super) fn new(diagram: Diagram, seed: u64) -> Self {
        Self { diagram, rng: Rng::new(&Seed::from(seed)), exchanges: 0, handshake: None, answers: 0 }
    }

    pub(super) fn application(mut self) -> impl FnMut(&mut Context<'_, Machine>, Told) {
        self.step(Instant::ORIGIN, "the TCP handshake");
        move |cx, input| match input {
            Input::Connected => {
                *cx.machine() = at(cx.now());
                self.next_exchange(cx);
            }
            Input::Event(Tap::Frame(frame)) => self.diagram.arrival(cx.now(), Side::Client, Kind::Frame, frame),
            Input::Event(Tap::Event(Either::First(event))) => self.http(cx, event),
            Input::Event(Tap::Event(Either::Second(event))) => self.websocket(cx, &event),
            Input::Failed(_) | Input::Woken | Input::Writable | Input::Closed(_) => {}
        }
    }

    fn step(&self, now: Instant, title: &str) {
        self.diagram.add(now, What::Step(title.to_owned()));
    }

    /// Sends the next request of the list, or the one for an upgrade behind the last.
    fn next_exchange(&mut self, cx: &mut Context<'_, Machine>) {
        let Some((title, method, target, content)) = EXCHANGES.get(self.exchanges) else { return self.upgrade(cx) };
        self.exchanges += 1;
        self.step(cx.now(), title);
        if let Either::First(http) = &mut cx.machine().machine {
            let request = PlainRequest::new(method, target, &[("Host", HOST)]);
            // Nothing can be refused: the exchange before this one has ended, and the queue is empty.
            let _ = http.send_request(&request, Length::Known(content.len() as u64));
            if !content.is_empty() {
                let _ = http.send_content(Bytes::from_static(content.as_bytes()));
            }
            let _ = http.finish(None);
        }
    }

    fn upgrade(&mut self, cx: &mut Context<'_, Machine>) {
        self.step(cx.now(), "the upgrade to WebSocket");
        let mut nonce = [0; 16];
        self.rng.fill(&mut nonce);
        let offer = Offer { protocols: vec!["echo".to_owned()], ..Offer::new(HOST, "/ws/echo") };
        if let (Ok(handshake), Either::First(http)) = (ClientHandshake::new(nonce, offer), &mut cx.machine().machine) {
            let _ = http.send_request(&handshake, Length::Known(0));
            let _ = http.finish(None);
            self.handshake = Some(handshake);
        }
    }

    fn http(&mut self, cx: &mut Context<'_, Machine>, event: HttpEvent) {
        match event {
            HttpEvent::Informational(head) | HttpEvent::Response(head) => {
                self.diagram.arrival(cx.now(), Side::Client, Kind::Head, format!("{head:#}"));
                if self.handshake.as_ref().is_some_and(|handshake| handshake.verify(&head).is_ok()) {
                    self.switch(cx);
                }
            }
            HttpEvent::Content(content) => {
                let text = String::from_utf8_lossy(&content).into_owned();
                self.diagram.arrival(cx.now(), Side::Client, Kind::Content, text);
            }
            HttpEvent::End(_) => self.next_exchange(cx),
            HttpEvent::Closed => {}
        }
    }

    fn switch(&mut self, cx: &mut Context<'_, Machine>) {
        let (now, seed) = (cx.now(), self.rng.split());
        let Either::First(http) = std::mem::replace(cx.machine(), machine()).machine else { return };
        let config = ws::Config { close_timeout: PATIENCE, ..ws::Config::default() };
        let mut ws = ws::Connection::new(now, Role::Client, config, &seed, http.into_transmit());
        self.step(now, "frames both ways: a text, a ping between two fragments, bytes");
        let _ = ws.send_text("hello over the dry wire");
        let _ = ws.start_message(MessageKind::Text);
        let _ = ws.send_fragment("in two ", false);
        let _ = ws.ping("still there?");
        let _ = ws.send_fragment("pieces", true);
        let _ = ws.send_binary(Bytes::from_static(&[0xd5; 300]));
        *cx.machine() = Tapped::with_frames(Either::Second(Box::new(ws)));
    }

    fn websocket(&mut self, cx: &mut Context<'_, Machine>, event: &ws::Event) {
        if let ws::Event::Message(_) | ws::Event::Pong(_) = event {
            self.answers += 1;
            // Three messages and a pong.
            if self.answers == 4 {
                self.step(cx.now(), "the closing handshake, and the end of the connection");
                let now = cx.now();
                if let Either::Second(ws) = &mut cx.machine().machine {
                    let _ = ws.close(now, Some(CloseFrame::new(CloseCode::NORMAL, "done")));
                }
            }
        }
    }
}
