//! A host whose machine and application the world does not know by type.

use std::net::{IpAddr, SocketAddr};

use drywire_core::{BytesMut, Instant, StreamMachine};
use drywire_tcp::ip::Ecn;
use drywire_tcp::{CloseReason, Segment, State, Transmit};

use crate::app::Requests;
use crate::{Context, Input, TcpHost};

/// A [`TcpHost`] of any machine, with its application.
pub(super) trait Host {
    fn local(&self) -> SocketAddr;
    fn remote(&self) -> Option<SocketAddr>;
    fn state(&self) -> State;
    fn closed(&self) -> Option<CloseReason>;
    fn is_closed(&self) -> bool;
    fn waits_for(&mut self) -> String;
    fn handle_segment(&mut self, now: Instant, source: IpAddr, ecn: Ecn, segment: &Segment<'_>);
    fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> Option<Transmit>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant);
    /// Gives the application one input; `false` where there is none.
    fn step(&mut self, now: Instant, woken: &mut bool, requests: &mut Requests) -> bool;
}

pub(super) struct Actor<M, F> {
    host: TcpHost<M>,
    app: F,
    closed: Option<CloseReason>,
}

impl<M, F> Actor<M, F> {
    pub(super) fn new(host: TcpHost<M>, app: F) -> Self {
        Self { host, app, closed: None }
    }
}

impl<M, F> Host for Actor<M, F>
where
    M: StreamMachine,
    F: FnMut(&mut Context<'_, M>, Input<M::Event, M::Error>),
{
    fn local(&self) -> SocketAddr {
        self.host.connection().local()
    }

    fn remote(&self) -> Option<SocketAddr> {
        self.host.connection().remote()
    }

    fn state(&self) -> State {
        self.host.state()
    }

    fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    fn is_closed(&self) -> bool {
        self.host.is_closed()
    }

    fn waits_for(&mut self) -> String {
        self.host.waits_for()
    }

    fn handle_segment(&mut self, now: Instant, source: IpAddr, ecn: Ecn, segment: &Segment<'_>) {
        self.host.handle_marked_segment(now, source, ecn, segment);
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> Option<Transmit> {
        self.host.poll_transmit(now, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.host.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.host.handle_timeout(now);
    }

    fn step(&mut self, now: Instant, woken: &mut bool, requests: &mut Requests) -> bool {
        let input = if let Some(input) = self.host.poll_input(now) {
            input
        } else if std::mem::take(woken) && self.host.is_connected() && !self.host.is_closed() {
            Input::Woken
        } else {
            return false;
        };
        if let Input::Closed(reason) = input {
            self.closed = Some(reason);
        }
        (self.app)(&mut Context::new(now, self.host.machine(), requests), input);
        if std::mem::take(&mut requests.abort) {
            self.host.abort();
        }
        true
    }
}
