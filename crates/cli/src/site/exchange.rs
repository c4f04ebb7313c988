//! The HTTP part of a connection: one exchange after the other.

use std::task::Waker;

use drywire::http::server::{Connection, Event as HttpEvent};
use drywire::http::{CommandError, Error, Length, PlainResponse, RequestHead, ResponseParts as _, Trailers, sse};
use drywire::ws::deflate::Parameters;
use drywire::ws::handshake::{self, Acceptance, Policy};
use drywire::{Bytes, Demand, Instant, RecvBuf, SendQueue, StreamMachine};

use super::feed::{Entry, Watch};
use super::route::{self, Refusal, Route};
use super::session::Event;
use super::socket::SocketSession;
use super::{Calendar, EVENT_MAX, HELLO, SERVER, Site, TEXT};

const JSON: &str = "application/json";

/// What the HTTP part of a connection tells.
pub(super) enum Step {
    Event(Event),
    /// The connection is this WebSocket from here on.
    Upgraded(Box<SocketSession>),
}

pub(super) struct HttpSession {
    http: Connection,
    site: Site,
    waker: Waker,
    calendar: Calendar,
    exchange: Exchange,
    /// What this response tells browsers about pages of other origins.
    cors: Vec<(&'static str, String)>,
    work: Work,
    /// The last response's status, not yet reported.
    answered: Option<u16>,
    shutting_down: bool,
}

/// The request that is being answered.
#[derive(Clone, Default)]
struct Exchange {
    method: String,
    target: String,
}

/// What is still to be done for the running exchange.
enum Work {
    /// Nothing: the response is complete, or there is no request.
    Done,
    /// Gather the content of a `POST /feed`.
    Publish { text: Vec<u8> },
    /// Return the content. `held` did not fit the send queue.
    Echo { held: Option<Bytes> },
    /// Send so many bytes.
    Bytes { left: u64 },
    /// Answer when an event comes, or at the deadline.
    LongPoll { after: u64, deadline: Instant, _watch: Watch },
    /// Send every event as it comes; `left` counts down to the end, if there is one.
    Stream { after: u64, left: Option<u64>, form: fn(&Entry) -> Bytes, _watch: Watch },
    /// Switch to WebSocket at the request's end.
    Upgrade(Upgrade),
    /// The switch is made.
    Upgraded(Channel, Option<Parameters>),
}

struct Upgrade {
    acceptance: Acceptance,
    channel: Channel,
}

/// What a WebSocket is connected with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Channel {
    Echo,
    /// The feed's events after this one.
    Feed {
        after: u64,
    },
}

impl StreamMachine for HttpSession {
    type Event = Step;
    type Error = Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Step>, Error> {
        loop {
            self.answer_long_poll(now);
            if let Some(status) = self.answered.take() {
                let Exchange { method, target } = self.exchange.clone();
                return Ok(Some(Step::Event(Event::Answered { method, target, status })));
            }
            if let Work::Upgraded(channel, deflate) = self.work {
                return Ok(Some(Step::Upgraded(self.socket(now, channel, deflate))));
            }
            self.refill();
            if self.holds_content() {
                return Ok(None);
            }
            match self.http.poll_event(now, recv)? {
                None => return Ok(None),
                Some(HttpEvent::Request(head)) => {
                    self.begin(now, &head);
                    return Ok(Some(Step::Event(Event::Request(head))));
                }
                Some(HttpEvent::Content(content)) => self.content(now, content),
                Some(HttpEvent::End(trailers)) => self.end(now, &trailers),
                Some(HttpEvent::PeerEnded) => self.peer_ended(now),
                Some(HttpEvent::Ready) => {}
            }
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.refill();
        self.http.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let deadline = match &self.work {
            Work::LongPoll { deadline, .. } => Some(*deadline),
            _ => None,
        };
        [deadline, self.http.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.answer_long_poll(now);
        self.http.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        let mut demand = self.http.demand();
        demand.read &= !self.holds_content();
        demand
    }
}

impl HttpSession {
    pub(super) fn new(now: Instant, site: Site, calendar: Calendar, waker: Waker) -> Self {
        Self {
            http: Connection::new(now, site.http.clone()),
            site,
            waker,
            calendar,
            exchange: Exchange::default(),
            cors: Vec::new(),
            work: Work::Done,
            answered: None,
            shutting_down: false,
        }
    }

    pub(super) fn shutdown(&mut self, now: Instant) {
        self.shutting_down = true;
        self.http.shutdown();
        self.refill();
        self.answer_long_poll(now);
    }

    /// The WebSocket that goes on where the upgrade leaves off.
    fn socket(&mut self, now: Instant, channel: Channel, deflate: Option<Parameters>) -> Box<SocketSession> {
        let transmit = std::mem::replace(self.http.transmit(), SendQueue::new(0));
        Box::new(SocketSession::new(now, &self.site, channel, deflate, &self.waker, transmit))
    }

    /// Whether content waits for room in the send queue.
    fn holds_content(&self) -> bool {
        matches!(self.work, Work::Echo { held: Some(_) })
    }

    /// Starts on a request.
    fn begin(&mut self, now: Instant, head: &RequestHead) {
        self.exchange = Exchange { method: head.method().to_owned(), target: head.target().to_owned() };
        self.work = Work::Done;
        self.cors = self.site.cors.fields(head);
        if let Some(answer) = self.site.cors.preflight(head) {
            self.answered = self.http.respond(&answer, Length::Known(0)).is_ok().then(|| answer.status());
            return self.finish();
        }
        // What changes something is not for pages of foreign origins (RFC 6454, 8; WebSocket asks for itself).
        if !matches!(head.method(), "GET" | "HEAD" | "OPTIONS") && !self.site.cors.origins.admits(head) {
            return self.text(now, 403, "the origin is not allowed\n");
        }
        match Route::of(head.method(), head.path(), head.query().unwrap_or_default()) {
            Ok(route) => self.start(now, route, head),
            Err(refusal) => self.refuse(now, &refusal),
        }
    }

    fn start(&mut self, now: Instant, route: Route, head: &RequestHead) {
        match route {
            Route::Page => {
                let page = Bytes::from_static(include_bytes!("index.html"));
                self.answer(now, 200, &[("Content-Type", "text/html; charset=utf-8")], page);
            }
            Route::Hello => self.hello(now),
            Route::Echo => {
                self.expect(head);
                let length = head.content_length().map_or(Length::Unknown, Length::Known);
                let kind = head.field("content-type").and_then(|kind| std::str::from_utf8(kind).ok());
                self.head(now, 200, &[("Content-Type", kind.unwrap_or("application/octet-stream"))], length);
                self.work = Work::Echo { held: None };
            }
            Route::Bytes(left) => {
                self.head(now, 200, &[TEXT], Length::Known(left));
                self.work = Work::Bytes { left };
            }
            Route::Publish if head.content_length().is_some_and(|length| length > EVENT_MAX as u64) => {
                self.too_large(now);
            }
            Route::Publish => {
                self.expect(head);
                self.work = Work::Publish { text: Vec::new() };
            }
            Route::Poll { after } => {
                let entries = self.site.feed.after(after);
                self.events(now, &entries);
            }
            Route::LongPoll { after, timeout } => {
                let watch = self.site.feed.watch(self.waker.clone());
                self.work = Work::LongPoll { after, deadline: now + timeout, _watch: watch };
            }
            Route::Stream { after, limit } => self.stream(now, "application/x-ndjson", after, limit, Entry::to_line),
            Route::Events { after } => match head.field("last-event-id").map(last_event_id).transpose() {
                Ok(last) => self.stream(now, sse::MEDIA_TYPE, last.unwrap_or(after), None, Entry::to_event_stream),
                Err(refusal) => self.refuse(now, &refusal),
            },
            Route::WsEcho => self.accept(now, head, &["echo"], Channel::Echo),
            Route::FeedWs { after } => {
                let after = after.unwrap_or_else(|| self.site.feed.newest());
                self.accept(now, head, &[], Channel::Feed { after });
            }
        }
    }

    /// Goes on with a request whose content arrives.
    fn content(&mut self, now: Instant, content: Bytes) {
        match &mut self.work {
            Work::Echo { held } => {
                // Any other refusal means that the connection failed, and `poll_event` tells that.
                if let Err(CommandError::Full(content)) = self.http.send_content(content) {
                    *held = Some(content);
                }
            }
            Work::Publish { text } if text.len() + content.len() > EVENT_MAX => self.too_large(now),
            Work::Publish { text } => text.extend_from_slice(&content),
            _ => {}
        }
    }

    /// Goes on when the request has arrived in full.
    fn end(&mut self, now: Instant, trailers: &Trailers) {
        match std::mem::replace(&mut self.work, Work::Done) {
            // Towards HTTP/1.0 there is no room for trailers.
            Work::Echo { .. } if self.http.finish(Some(trailers)).is_ok() => {}
            Work::Echo { .. } => self.finish(),
            Work::Publish { text } => match String::from_utf8(text) {
                Ok(text) => {
                    let id = self.site.feed.publish(text);
                    let json = serde_json::json!({ "id": id }).to_string() + "\n";
                    self.answer(now, 201, &[("Content-Type", JSON)], json.into());
                }
                Err(_) => self.text(now, 400, "an event is a text in UTF-8\n"),
            },
            Work::Upgrade(Upgrade { acceptance, channel }) => {
                if self.http.upgrade(&acceptance).is_ok() {
                    self.answered = Some(101);
                    self.work = Work::Upgraded(channel, acceptance.deflate());
                }
            }
            work => self.work = work,
        }
    }

    /// Nobody is known to wait any more for an event that may be minutes away.
    fn peer_ended(&mut self, now: Instant) {
        if let Work::LongPoll { after, .. } = self.work {
            self.work = Work::Done;
            let entries = self.site.feed.after(after);
            self.events(now, &entries);
        }
    }

    /// Moves as much of the response as there is room for into the send queue.
    fn refill(&mut self) {
        match &mut self.work {
            Work::Echo { held } => {
                if let Some(content) = held.take()
                    && let Err(CommandError::Full(content)) = self.http.send_content(content)
                {
                    *held = Some(content);
                }
            }
            Work::Bytes { left } => {
                while *left > 0 {
                    let n = self.site.block.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    if self.http.send_content(self.site.block.slice(..n)).is_err() {
                        return;
                    }
                    *left -= n as u64;
                }
                self.work = Work::Done;
                self.finish();
            }
            Work::Stream { after, left, form, .. } => {
                while *left != Some(0)
                    && let Some(entry) = self.site.feed.next_after(*after)
                {
                    if self.http.send_content(form(&entry)).is_err() {
                        return;
                    }
                    *after = entry.id;
                    *left = left.map(|left| left - 1);
                }
                if *left == Some(0) || self.shutting_down {
                    self.work = Work::Done;
                    self.finish();
                }
            }
            _ => {}
        }
    }

    fn answer_long_poll(&mut self, now: Instant) {
        let Work::LongPoll { after, deadline, .. } = self.work else { return };
        let entries = self.site.feed.after(after);
        if !entries.is_empty() || now >= deadline || self.shutting_down {
            self.work = Work::Done;
            self.events(now, &entries);
        }
    }

    fn stream(&mut self, now: Instant, kind: &str, after: u64, left: Option<u64>, form: fn(&Entry) -> Bytes) {
        self.head(now, 200, &[("Content-Type", kind), ("Cache-Control", "no-store")], Length::Unknown);
        if self.exchange.method == "HEAD" {
            return self.finish();
        }
        let watch = self.site.feed.watch(self.waker.clone());
        self.work = Work::Stream { after, left, form, _watch: watch };
    }

    fn accept(&mut self, now: Instant, head: &RequestHead, protocols: &[&str], channel: Channel) {
        let protocols = protocols.iter().map(|&protocol| protocol.to_owned()).collect();
        let origin = self.site.cors.origins.clone();
        // Every message by itself: idle connections, of which a server has many, hold no compressor.
        let deflate = Some(Parameters::no_context_takeover());
        match handshake::accept(head, &Policy { protocols, origin, deflate }) {
            Ok(acceptance) => self.work = Work::Upgrade(Upgrade { acceptance, channel }),
            Err(rejection) => {
                let mut fields = vec![TEXT];
                let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
                fields.extend(rejection.fields().map(|(name, value)| (text(name), text(value))));
                self.answer(now, rejection.status(), &fields, format!("{rejection}\n").into());
            }
        }
    }

    /// Tells a client that asks first that its content is welcome (RFC 9110 10.1.1).
    fn expect(&mut self, head: &RequestHead) {
        if head.expects_continue() {
            let _ = self.http.send_continue();
        }
    }

    fn events(&mut self, now: Instant, entries: &[Entry]) {
        let fields = [("Content-Type", JSON), ("Cache-Control", "no-store")];
        if entries.is_empty() {
            return self.answer(now, 204, &fields[1..], Bytes::new());
        }
        let entries: Vec<_> = entries.iter().map(Entry::to_json).collect();
        self.answer(now, 200, &fields, format!("[{}]\n", entries.join(",")).into());
    }

    fn refuse(&mut self, now: Instant, refusal: &Refusal) {
        match refusal {
            Refusal::NotFound => self.text(now, 404, "there is nothing here; / tells what there is\n"),
            Refusal::MethodNotAllowed(allowed) => {
                let text = format!("this takes {allowed}\n");
                self.answer(now, 405, &[TEXT, ("Allow", allowed)], text.into());
            }
            Refusal::BadRequest(why) => self.text(now, 400, &format!("{why}\n")),
        }
    }

    fn too_large(&mut self, now: Instant) {
        self.work = Work::Done;
        self.text(now, 413, "an event has at most 64 KiB\n");
    }

    fn text(&mut self, now: Instant, status: u16, text: &str) {
        self.answer(now, status, &[TEXT], Bytes::copy_from_slice(text.as_bytes()));
    }

    /// The head is ready, unless this response has fields of its own.
    fn hello(&mut self, now: Instant) {
        let content = Bytes::from_static(HELLO);
        if !self.cors.is_empty() {
            return self.answer(now, 200, &[TEXT], content);
        }
        let date = self.calendar.http_date(now);
        if self.http.respond_prepared(&self.site.hello, Some(&date)).is_ok() {
            self.answered = Some(200);
            let _ = self.http.send_content(content);
            self.finish();
        }
    }

    /// A whole response.
    fn answer(&mut self, now: Instant, status: u16, fields: &[(&str, &str)], content: Bytes) {
        self.head(now, status, fields, Length::Known(content.len() as u64));
        if self.exchange.method != "HEAD" && !content.is_empty() {
            let _ = self.http.send_content(content);
        }
        self.finish();
    }

    fn head(&mut self, now: Instant, status: u16, fields: &[(&str, &str)], length: Length) {
        let date = self.calendar.http_date(now);
        let mut all = vec![SERVER, ("Date", &*date)];
        all.extend(fields);
        all.extend(self.cors.iter().map(|(name, value)| (*name, &**value)));
        // A refusal means that the connection failed or is closing, and `poll_event` tells that.
        if self.http.respond(&PlainResponse::new(status, &all), length).is_ok() {
            self.answered = Some(status);
        }
    }

    fn finish(&mut self) {
        let _ = self.http.finish(None);
    }
}

/// The id in a `Last-Event-ID` field (WHATWG HTML 9.2.4).
fn last_event_id(value: &[u8]) -> Result<u64, Refusal> {
    route::number("Last-Event-ID", &String::from_utf8_lossy(value))
}
