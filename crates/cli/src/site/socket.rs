//! The WebSocket part of a connection.

use drywire::ws::{CloseCode, CloseFrame, Connection, Error, Event as WsEvent, Message, Role, Utf8Bytes};
use drywire::{Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};

use super::exchange::{Channel, HttpSession};
use super::feed::{Feed, Watch};
use super::session::Event;

pub(super) struct SocketSession {
    ws: Connection,
    feed: Feed,
    channel: Channel,
    /// An echo that did not fit the send queue.
    held: Option<Message>,
    _watch: Option<Watch>,
}

impl SocketSession {
    /// Goes on where the upgrade left off.
    pub(super) fn after(now: Instant, http: HttpSession) -> Self {
        let (feed, config) = (http.site.feed.clone(), http.site.ws.clone());
        let waker = http.waker.clone();
        let (channel, transmit) = http.into_socket();
        let watch = matches!(channel, Channel::Feed { .. }).then(|| feed.watch(waker));
        // A server masks nothing (RFC 6455 5.1), so the seed is never drawn from.
        let ws = Connection::new(now, Role::Server, config, &Seed::from(0), transmit);
        Self { ws, feed, channel, held: None, _watch: watch }
    }

    pub(super) fn poll(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        loop {
            self.refill();
            if self.held.is_some() {
                return Ok(None);
            }
            match self.ws.poll_event(now, recv)? {
                None => return Ok(None),
                Some(WsEvent::Message(message)) => self.message(now, message),
                Some(WsEvent::Close(frame)) => return Ok(Some(Event::Closed(frame))),
                Some(_) => {}
            }
        }
    }

    pub(super) fn transmit(&mut self) -> &mut SendQueue {
        self.refill();
        self.ws.transmit()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.ws.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.ws.handle_timeout(now);
    }

    pub(super) fn demand(&self) -> Demand {
        let mut demand = self.ws.demand();
        demand.read &= self.held.is_none();
        demand
    }

    pub(super) fn shutdown(&mut self, now: Instant) {
        self.close(now, CloseCode::GOING_AWAY, "the server is shutting down");
    }

    fn message(&mut self, now: Instant, message: Message) {
        match (self.channel, message) {
            (Channel::Echo, message) => self.held = Some(message),
            (Channel::Feed { .. }, Message::Text(text)) => {
                self.feed.publish(text.as_str().to_owned());
            }
            (Channel::Feed { .. }, Message::Binary(_)) => {
                self.close(now, CloseCode::UNSUPPORTED, "the feed takes text");
            }
        }
    }

    /// Moves what there is to send into the send queue, as far as there is room. A refusal other than for want of room
    /// means that the connection is closing or failed, and `poll_event` tells that.
    fn refill(&mut self) {
        if self.ws.transmit().is_full() {
            return;
        }
        match &mut self.channel {
            Channel::Echo => {
                if let Some(message) = self.held.take() {
                    let _ = self.ws.send(message);
                }
            }
            Channel::Feed { after } => {
                while !self.ws.transmit().is_full()
                    && let Some(entry) = self.feed.next_after(*after)
                {
                    *after = entry.id;
                    let _ = self.ws.send_text(Utf8Bytes::from(entry.to_json()));
                }
            }
        }
    }

    fn close(&mut self, now: Instant, code: CloseCode, reason: &'static str) {
        let _ = self.ws.close(now, Some(CloseFrame::new(code, reason)));
    }
}
