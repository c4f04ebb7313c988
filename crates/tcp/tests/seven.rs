//! Seven situations that are easily got wrong, and were, in stacks that are widely used. Linux behaves as asked here.

mod common;

use bytes::BytesMut;
use common::{A, ACK, B, Bench, RST, SYN, config, pattern, segment};
use drywire_core::Instant;
use drywire_tcp::{CloseReason, Config, Connection, Event, Segment, SeqNumber, State};

#[test]
fn an_in_window_rst_at_a_wrong_sequence_does_not_end_the_connection() {
    let mut bench = Bench::established();
    // RFC 5961 3.2: challenged, and ignored.
    assert_eq!(bench.arrives(segment(RST, 5002, 0)), ["ACK seq=1001 ack=5001 win=10000 len=0"]);
    assert_eq!(bench.arrives(segment(RST | ACK, 15_000, 1001)), ["ACK seq=1001 ack=5001 win=10000 len=0"]);
    assert_eq!((bench.end.state(), bench.events()), (State::Established, vec![]));
}

#[test]
fn an_in_window_syn_gets_a_challenge_ack() {
    let mut bench = Bench::established();
    for syn in [segment(SYN, 5001, 0), segment(SYN, 9000, 0), segment(SYN | ACK, 5001, 1001)] {
        assert_eq!(bench.arrives(syn), ["ACK seq=1001 ack=5001 win=10000 len=0"]);
    }
    assert_eq!(bench.end.state(), State::Established);
}

/// Carries what `from` has to send to `to`; how many segments that were.
fn carry(now: Instant, from: &mut Connection, to: &mut Connection) -> usize {
    let mut segments = 0;
    let mut wire = BytesMut::new();
    while let Some(transmit) = from.poll_transmit(now, &mut wire) {
        let (source, destination) = (transmit.source.ip(), transmit.destination.ip());
        let bytes = wire.split();
        to.handle_segment(now, source, &Segment::parse(&bytes, source, destination).unwrap());
        segments += 1;
    }
    segments
}

#[test]
fn a_rebooted_peers_syn_recovers_a_half_open_connection() {
    let with = Config::default();
    let without = Config { timestamps: false, ..Config::default() };
    for (before, after) in [(&with, &with), (&with, &without), (&without, &with)] {
        let mut now = Instant::from_secs(1000);
        let mut client = Connection::connect(now, A, B, SeqNumber::new(1), before.clone());
        let mut server = Connection::listen(B, SeqNumber::new(2), Config::default());
        carry(now, &mut client, &mut server);
        carry(now, &mut server, &mut client);
        carry(now, &mut client, &mut server);
        assert_eq!(server.state(), State::Established);

        // The client forgets everything, its clock included, and calls again from the same port.
        let mut client = Connection::connect(Instant::ORIGIN, A, B, SeqNumber::new(0x9000_0000), after.clone());
        now += common::ms(5000);
        assert_eq!(carry(now, &mut client, &mut server), 1);
        // RFC 9293 3.5.1, figure 9: the server says where it is, and the client resets that.
        assert_eq!(carry(now, &mut server, &mut client), 1);
        assert_eq!(carry(now, &mut client, &mut server), 1);
        assert_eq!(server.poll_event(), Some(Event::Established));
        assert_eq!(server.poll_event(), Some(Event::Closed(CloseReason::Reset)));
        // The next SYN meets a listener again.
        assert_eq!(client.state(), State::SynSent);
        now = client.poll_timeout().unwrap();
        client.handle_timeout(now);
        let mut server = Connection::listen(B, SeqNumber::new(3), Config::default());
        carry(now, &mut client, &mut server);
        carry(now, &mut server, &mut client);
        carry(now, &mut client, &mut server);
        assert_eq!((client.state(), server.state()), (State::Established, State::Established));
    }
}

#[test]
fn data_with_an_ack_below_snd_una_is_kept() {
    let mut bench = Bench::established();
    bench.sends(100);
    bench.arrives(segment(ACK, 5001, 1101));
    // Sent before the acknowledgment above, and overtaken by it.
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(b"late")), ["ACK seq=1101 ack=5005 win=9996 len=0"]);
    assert_eq!(bench.reads(), b"late");
}

#[test]
fn a_reordered_old_segment_with_a_zero_window_does_not_stall_the_sender() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(b"x").window(10_000));
    // Sent before the one above: SND.WL1 and SND.WL2 say so.
    bench.arrives(segment(ACK, 5001, 1001).window(0));
    assert_eq!(bench.sends(500), ["PSH,ACK seq=1001 ack=5002 win=9999 len=500"]);
    // And by its acknowledgment alone.
    bench.arrives(segment(ACK, 5002, 1501));
    bench.arrives(segment(ACK, 5002, 1001).window(0));
    assert_eq!(bench.sends(500), ["PSH,ACK seq=1501 ack=5002 win=9999 len=500"]);
}

#[test]
fn more_than_one_sack_block_is_sent() {
    let mut syn_ack = segment(SYN | ACK, 5000, 1001);
    syn_ack.header.options.sack_permitted = true;
    let mut bench = Bench::established_with(Config { sack: true, ..config() }, syn_ack);
    let mut answers = vec![];
    for seq in [5101, 5201, 5301] {
        answers = bench.arrives(segment(ACK, seq, 1001).data(&pattern(50)));
    }
    // RFC 2018 4: the newest first.
    assert_eq!(answers, ["ACK seq=1001 ack=5001 win=10000 len=0 <sack 5301-5351 5201-5251 5101-5151>"]);
}

#[test]
fn close_in_syn_sent_is_silent() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    bench.end.shutdown();
    assert!(bench.sent().is_empty());
    assert_eq!(bench.end.state(), State::Closed);
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Aborted)]);
}
