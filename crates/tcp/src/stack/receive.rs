//! A packet that arrives, from its IP header to the socket that it is for.

use core::net::{IpAddr, SocketAddr};

use drywire_core::Instant;

use super::demux::Target;
use super::time_wait::Answer;
use super::{DatagramError, ListenerHandle, Stack, StackEvent, find_bound};
use crate::four_tuple::FourTuple;
use crate::icmp::{self, Message};
use crate::ip::{self, Ecn, Packet, Protocol};
use crate::segment::Checksum;
use crate::slab::Key;
use crate::{CloseReason, Event, Flags, IcmpError, IcmpErrorKind, ParseError, Segment, SeqNumber, udp};

impl Stack {
    /// Handles a packet of either version that has arrived from the link. What is not for us, malformed or unexpected is
    /// counted and dropped; see [`Statistics`](super::Statistics).
    pub fn handle_packet(&mut self, now: Instant, bytes: &[u8]) {
        self.handle_packet_with(now, bytes, Checksum::Unknown);
    }

    /// The same for a packet whose TCP or UDP checksum the link has checked, or never filled in because the packet did
    /// not leave the machine: that field is not looked at.
    pub fn handle_verified_packet(&mut self, now: Instant, bytes: &[u8]) {
        self.handle_packet_with(now, bytes, Checksum::Verified);
    }

    #[inline]
    fn handle_packet_with(&mut self, now: Instant, bytes: &[u8], checksum: Checksum) {
        self.advance_clock(now);
        self.statistics.packets += 1;
        if !self.take_predicted(bytes, checksum) {
            self.on_packet(bytes, checksum);
        }
    }

    /// The same for packets that have arrived together, in this order.
    pub fn handle_packets<'a>(&mut self, now: Instant, packets: impl IntoIterator<Item = &'a [u8]>) {
        for packet in packets {
            self.handle_packet(now, packet);
        }
    }

    fn on_packet(&mut self, bytes: &[u8], checksum: Checksum) {
        let packet = match Packet::parse(bytes) {
            Ok(packet) => packet,
            Err(error) => return self.count_ip_error(error),
        };
        if !self.is_ours(packet.header.destination) {
            self.statistics.ip_not_ours += 1;
            return;
        }
        match packet.header.protocol {
            Protocol::TCP => self.on_segment(&packet, checksum),
            Protocol::UDP => self.on_datagram(&packet, bytes, checksum),
            Protocol::ICMP if packet.header.source.is_ipv4() => self.on_icmp(&packet),
            Protocol::ICMPV6 if packet.header.source.is_ipv6() => self.on_icmp(&packet),
            _ => self.statistics.ip_protocol += 1,
        }
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        // Most hosts have one of each family.
        let first = match address {
            IpAddr::V4(address) => self.first_v4 == Some(address),
            IpAddr::V6(address) => self.first_v6 == Some(address),
        };
        first || self.addresses.contains(&address)
    }

    fn count_ip_error(&mut self, error: ip::ParseError) {
        let counter = match error {
            ip::ParseError::Checksum => &mut self.statistics.ip_checksum,
            ip::ParseError::Fragment => &mut self.statistics.ip_fragments,
            ip::ParseError::Options => &mut self.statistics.ip_options,
            ip::ParseError::Source => &mut self.statistics.ip_source,
            _ => &mut self.statistics.ip_malformed,
        };
        *counter += 1;
    }

    fn on_segment(&mut self, packet: &Packet<'_>, checksum: Checksum) {
        let ip::Header { source, destination, ecn, .. } = packet.header;
        let segment = match Segment::parse_with(packet.payload, source, destination, checksum) {
            Ok(segment) => segment,
            Err(ParseError::Checksum) => {
                self.statistics.segment_checksum += 1;
                return;
            }
            Err(_) => {
                self.statistics.segment_malformed += 1;
                return;
            }
        };
        let tuple = FourTuple::new(
            SocketAddr::new(destination, segment.header.destination_port),
            SocketAddr::new(source, segment.header.source_port),
        );
        match self.demux.find_again(&self.sockets, &self.time_waits, &tuple) {
            Some(Target::Connection(key)) => {
                self.follow(key, source, destination, packet.payload);
                self.on_connection_segment(key, source, ecn, &segment);
            }
            Some(Target::TimeWait(key)) => self.on_time_wait_segment(key, tuple, &segment),
            None => self.on_unknown_segment(tuple, ecn, &segment, None),
        }
    }

    fn on_connection_segment(&mut self, key: Key, source: IpAddr, ecn: Ecn, segment: &Segment<'_>) {
        self.statistics.segments += 1;
        self.refill_challenges();
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let connection = &mut socket.connection;
        let before = (connection.recv().len(), connection.unacknowledged());
        *connection.challenge_allowance() = self.challenges.left;
        connection.handle_marked_segment(self.now, source, ecn, segment);
        self.statistics.count_refusal(connection.refusal());
        self.challenges.left = *connection.challenge_allowance();
        let changed = before != (connection.recv().len(), connection.unacknowledged())
            || segment.header.flags.contains(Flags::URG);
        if socket.released {
            // Nobody else asks. What aborts such a connection is data that nobody will read (RFC 2525 2.17).
            let aborted = core::iter::from_fn(|| connection.poll_event()).any(is_abort);
            self.statistics.released_reset += u64::from(aborted);
        }
        self.mark_ready(key);
        if changed {
            self.mark_news(key);
        }
    }

    fn on_time_wait_segment(&mut self, key: Key, tuple: FourTuple, segment: &Segment<'_>) {
        self.statistics.segments_in_time_wait += 1;
        let listener = find_bound(&self.listening, tuple.local()).and_then(|key| self.listeners.get(key));
        let timestamps = listener.is_some_and(|socket| socket.listener.uses_timestamps());
        let Some(entry) = self.time_waits.get(key) else { return };
        let (now, snd_nxt, length) = (self.now, entry.rest.snd_nxt, entry.rest.length);
        match entry.answer(segment, timestamps) {
            Answer::None => {}
            Answer::AcknowledgeFin => {
                self.time_wait_timers.set(key.index(), Some(now + length));
                self.acknowledge_in_time_wait(key);
            }
            Answer::Challenge => {
                self.refill_challenges();
                if let Some(left) = self.challenges.left.checked_sub(1) {
                    self.challenges.left = left;
                    self.acknowledge_in_time_wait(key);
                }
            }
            Answer::Reset => self.end_time_wait(key),
            Answer::Reopen if listener.is_some() => {
                self.statistics.time_wait_reopened += 1;
                self.end_time_wait(key);
                // What reopens is a SYN, whose mark means nothing.
                self.on_unknown_segment(tuple, Ecn::NotEct, segment, Some(snd_nxt));
            }
            Answer::Reopen => self.acknowledge_in_time_wait(key),
        }
    }

    fn acknowledge_in_time_wait(&mut self, key: Key) {
        let now = self.now;
        let Some(entry) = self.time_waits.get(key) else { return };
        let (source, destination) = (entry.tuple.local().ip(), entry.tuple.remote().ip());
        let header = self.header(source, destination, Protocol::TCP);
        if !self.replies.push_packet(&header, |out| entry.acknowledge(now, out)) {
            self.statistics.replies_dropped += 1;
        }
    }

    pub(super) fn end_time_wait(&mut self, key: Key) {
        if let Some(entry) = self.time_waits.remove(key) {
            self.demux.remove(&entry.tuple, Target::TimeWait(key));
            self.time_wait_timers.set(key.index(), None);
        }
    }

    /// A segment of no connection: for a listener, or for nobody.
    fn on_unknown_segment(
        &mut self,
        tuple: FourTuple,
        ecn: Ecn,
        segment: &Segment<'_>,
        old_snd_nxt: Option<SeqNumber>,
    ) {
        let Some(key) = find_bound(&self.listening, tuple.local()) else {
            return self.on_closed_port(&tuple, segment);
        };
        if self.sockets.len() >= self.config.max_connections {
            self.statistics.connections_full += 1;
            return;
        }
        let Some(socket) = self.listeners.get_mut(key) else { return };
        self.statistics.segments_to_listeners += 1;
        let (local, remote) = (tuple.local().ip(), tuple.remote().ip());
        let accepted = socket.listener.handle_reopening(self.now, local, remote, ecn, segment, old_snd_nxt);
        self.mark_listener_ready(key);
        if let Some(connection) = accepted {
            let connection = self.insert(connection, tuple, Some(key));
            self.mark_accept(key, connection);
        }
    }

    fn mark_accept(&mut self, listener: Key, connection: Key) {
        let Some(socket) = self.listeners.get_mut(listener) else { return };
        socket.accept_queue.push_back(connection);
        if !core::mem::replace(&mut socket.news, true) {
            self.news.push_back(StackEvent::Accept(ListenerHandle(listener)));
        }
    }

    /// RFC 9293 3.10.7.1.
    fn on_closed_port(&mut self, tuple: &FourTuple, segment: &Segment<'_>) {
        self.statistics.segments_to_closed_ports += 1;
        let Some(reset) = crate::listener::reset(tuple, segment) else { return };
        let header = self.header(tuple.local().ip(), tuple.remote().ip(), Protocol::TCP);
        if self.replies.push_packet(&header, |out| reset.emit_alone(tuple, out)) {
            self.statistics.resets_sent += 1;
        } else {
            self.statistics.replies_dropped += 1;
        }
    }

    fn on_icmp(&mut self, packet: &Packet<'_>) {
        match icmp::parse(&packet.header, packet.payload) {
            None => self.statistics.icmp_malformed += 1,
            Some(Message::EchoRequest) => self.on_echo_request(packet),
            Some(Message::Error(kind, quoted)) if quoted.header.protocol == Protocol::TCP => {
                self.on_icmp_error(kind, &quoted);
            }
            Some(Message::Error(kind, quoted)) if quoted.header.protocol == Protocol::UDP => {
                self.on_icmp_error_to_datagram(kind, &quoted);
            }
            Some(_) => self.statistics.icmp_ignored += 1,
        }
    }

    /// RFC 1122 3.2.2.6, RFC 4443 4.2.
    fn on_echo_request(&mut self, packet: &Packet<'_>) {
        if !self.config.echo_replies || packet.header.source.is_unspecified() {
            self.statistics.icmp_ignored += 1;
            return;
        }
        let header = self.header(packet.header.destination, packet.header.source, packet.header.protocol);
        let sent = self.replies.push_message(&header, |out| icmp::emit_echo_reply(&header, packet.payload, out));
        if sent {
            self.statistics.echo_replies += 1;
        } else {
            self.statistics.replies_dropped += 1;
        }
    }

    /// An error about a segment of ours, which is quoted: its source is us.
    fn on_icmp_error(&mut self, kind: IcmpErrorKind, quoted: &Packet<'_>) {
        let Some([s0, s1, d0, d1, seq @ ..]) = quoted.payload.first_chunk::<8>() else {
            self.statistics.icmp_ignored += 1;
            return;
        };
        let local = SocketAddr::new(quoted.header.source, u16::from_be_bytes([*s0, *s1]));
        let remote = SocketAddr::new(quoted.header.destination, u16::from_be_bytes([*d0, *d1]));
        let error = IcmpError { kind, seq: SeqNumber::new(u32::from_be_bytes(*seq)) };
        let told = match self.find(&FourTuple::new(local, remote)) {
            Some(Target::Connection(key)) => {
                if let Some(socket) = self.sockets.get_mut(key) {
                    socket.connection.handle_icmp(self.now, error);
                }
                self.mark_ready(key);
                true
            }
            Some(Target::TimeWait(_)) => false,
            None => find_bound(&self.listening, local)
                .and_then(|key| self.listeners.get_mut(key))
                .is_some_and(|socket| socket.listener.handle_icmp(self.now, local, remote, error)),
        };
        let counter = if told { &mut self.statistics.icmp_errors } else { &mut self.statistics.icmp_ignored };
        *counter += 1;
    }

    /// RFC 1122 4.1.3.3: the socket that has sent the quoted datagram is told.
    fn on_icmp_error_to_datagram(&mut self, kind: IcmpErrorKind, quoted: &Packet<'_>) {
        let ports = quoted.payload.first_chunk().filter(|_| self.is_ours(quoted.header.source));
        let told = ports.and_then(|[s0, s1, d0, d1]| {
            let local = SocketAddr::new(quoted.header.source, u16::from_be_bytes([*s0, *s1]));
            let destination = SocketAddr::new(quoted.header.destination, u16::from_be_bytes([*d0, *d1]));
            Some((find_bound(&self.bound, local)?, DatagramError { destination, kind }))
        });
        let Some((key, error)) = told else {
            self.statistics.icmp_ignored += 1;
            return;
        };
        self.statistics.icmp_errors += 1;
        self.report_datagram_error(key, error);
    }

    fn on_datagram(&mut self, packet: &Packet<'_>, bytes: &[u8], checksum: Checksum) {
        let (source, destination) = (packet.header.source, packet.header.destination);
        let Some(datagram) = udp::Datagram::parse(packet.payload, source, destination, checksum) else {
            self.statistics.datagram_malformed += 1;
            return;
        };
        let (from, to) = udp::sockets(&datagram, source, destination);
        let Some(key) = find_bound(&self.bound, to) else {
            return self.on_closed_udp_port(packet, bytes);
        };
        self.deliver_datagram(key, from, to, datagram.payload);
    }

    /// RFC 1122 4.1.3.1, RFC 4443 3.1; within the limit.
    fn on_closed_udp_port(&mut self, packet: &Packet<'_>, bytes: &[u8]) {
        self.statistics.datagrams_to_closed_ports += 1;
        if packet.header.source.is_unspecified() {
            return;
        }
        self.icmp_errors.refill(self.now, self.config.icmp_errors);
        let Some(left) = self.icmp_errors.left.checked_sub(1) else {
            self.statistics.icmp_errors_suppressed += 1;
            return;
        };
        self.icmp_errors.left = left;
        let protocol = if packet.header.source.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
        let header = self.header(packet.header.destination, packet.header.source, protocol);
        if self.replies.push_message(&header, |out| icmp::emit_port_unreachable(&header, bytes, out)) {
            self.statistics.port_unreachable_sent += 1;
        } else {
            self.statistics.replies_dropped += 1;
        }
    }

    /// Begins a new second of challenge ACKs. How many there are differs from one to the next in a way that only we know:
    /// with a fixed number, who sees how many are left knows whether a guessed segment fits (CVE-2016-5696).
    fn refill_challenges(&mut self) {
        if !self.challenges.is_over(self.now) {
            return;
        }
        let most = self.config.challenge_acks;
        let held_back = self.limit_key.fast(&self.now.as_millis().to_be_bytes()) % u64::from(most / 2 + 1);
        self.challenges.refill(self.now, most - held_back as u32);
    }
}

fn is_abort(event: Event) -> bool {
    event == Event::Closed(CloseReason::Aborted)
}
