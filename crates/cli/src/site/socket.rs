//! The WebSocket part of a connection.

use std::task::Waker;

use drywire::ws::deflate::Parameters;
use drywire::ws::{CloseCode, CloseFrame, Connection, Error, Event as WsEvent, Message, Role, Utf8Bytes};
use drywire::{Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};

use super::Site;
use super::exchange::Channel;
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

impl StreamMachine for SocketSession {
    type Event = Event;
    type Error = Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
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

    fn transmit(&mut self) -> &mut SendQueue {
        self.refill();
        self.ws.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.ws.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.ws.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        let mut demand = self.ws.demand();
        demand.read &= self.held.is_none();
        demand
    }
}

impl SocketSession {
    /// A connection after its upgrade; `transmit` holds the end of what HTTP sent.
    pub(super) fn new(
        now: Instant,
        site: &Site,
        channel: Channel,
        deflate: Option<Parameters>,
        waker: &Waker,
        transmit: SendQueue,
    ) -> Self {
        let watch = matches!(channel, Channel::Feed { .. }).then(|| site.feed.watch(waker.clone()));
        // A server masks nothing (RFC 6455 5.1), so the seed is never drawn from.
        let ws = Connection::new(now, Role::Server, site.ws.clone(), &Seed::from(0), transmit);
        let ws = ws.with_deflate(deflate, &site.compressors);
        Self { ws, feed: site.feed.clone(), channel, held: None, _watch: watch }
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
