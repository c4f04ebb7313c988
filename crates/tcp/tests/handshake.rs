//! Opening: RFC 9293 3.5 and 3.10.7.2 to 3.10.7.4 up to ESTABLISHED.

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use common::{A, ACK, B, Bench, FIN, PERFECT, Pair, RST, SYN, config, ms, pattern, segment};
use drywire_core::Instant;
use drywire_tcp::{CloseReason, Config, Connection, Event, Segment, SendError, SeqNumber, State};

#[test]
fn rfc_9293_3_5_active_open() {
    let mut bench = Bench::connecting(config());
    assert_eq!(bench.end.state(), State::SynSent);
    assert_eq!(bench.sent(), ["SYN seq=1000 win=10000 len=0 <mss 1460,ws 0>"]);
    assert_eq!(bench.arrives(segment(SYN | ACK, 5000, 1001)), ["ACK seq=1001 ack=5001 win=10000 len=0"]);
    assert_eq!(bench.end.state(), State::Established);
    assert_eq!(bench.events(), [Event::Established]);
    assert_eq!(bench.end.poll_timeout(), None);
}

#[test]
fn rfc_9293_3_5_passive_open() {
    let mut bench = Bench::listening(config());
    assert_eq!((bench.end.state(), bench.end.remote()), (State::Listen, None));
    assert!(bench.sent().is_empty());
    assert_eq!(bench.arrives(segment(SYN, 5000, 0)), ["SYN,ACK seq=1000 ack=5001 win=10000 len=0 <mss 1460>"]);
    assert_eq!((bench.end.state(), bench.end.remote()), (State::SynReceived, Some(B)));
    assert!(bench.arrives(segment(ACK, 5001, 1001)).is_empty());
    assert_eq!(bench.end.state(), State::Established);
    assert_eq!(bench.events(), [Event::Established]);
}

#[test]
fn rfc_9293_3_5_simultaneous_open() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    assert_eq!(bench.arrives(segment(SYN, 5000, 0)), ["SYN,ACK seq=1000 ack=5001 win=10000 len=0 <mss 1460>"]);
    assert_eq!(bench.end.state(), State::SynReceived);
    // The peer's SYN-ACK is outside the window by now. It is answered, and that answer establishes the peer.
    assert_eq!(bench.arrives(segment(SYN | ACK, 5000, 1001)), ["ACK seq=1001 ack=5001 win=10000 len=0"]);
    assert!(bench.arrives(segment(ACK, 5001, 1001)).is_empty());
    assert_eq!(bench.end.state(), State::Established);
}

#[test]
fn rfc_9293_3_5_simultaneous_open_of_a_pair() {
    let payload = pattern(50_000);
    let mut pair = Pair::simultaneous(3, PERFECT, &Config::default(), [&payload, &payload]);
    pair.run();
    assert!(pair.received.iter().all(|received| *received == payload));
    assert_eq!(pair.states(), [State::Closed; 2]);
}

#[test]
fn rfc_6298_2_1_syn_is_sent_again_with_back_off_until_the_limit() {
    let mut bench = Bench::connecting(config());
    let syn = bench.sent();
    for secs in [1, 2, 4, 8, 16, 32] {
        assert_eq!(bench.times_out(), (Duration::from_secs(secs), syn.clone()));
    }
    assert_eq!(bench.times_out(), (Duration::from_secs(60), vec![]));
    assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)]);
    assert_eq!((bench.end.state(), bench.end.poll_timeout()), (State::Closed, None));
}

#[test]
fn rfc_9293_3_8_3_syn_limit_is_its_own() {
    let mut bench = Bench::connecting(Config { syn_retries: 1, data_retries: 0, ..config() });
    bench.sent();
    assert_eq!(bench.times_out().1.len(), 1);
    bench.times_out();
    assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn rfc_6298_5_7_data_starts_with_three_seconds_after_a_lost_syn() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    bench.times_out();
    bench.arrives(segment(SYN | ACK, 5000, 1001));
    bench.sends(10);
    assert_eq!(bench.times_out().0, Duration::from_secs(3));
}

#[test]
fn rfc_6928_2_initial_window_is_one_segment_after_two_lost_syns() {
    for (lost, segments) in [(0, 10), (1, 10), (2, 1)] {
        let mut bench = Bench::connecting(config());
        bench.sent();
        for _ in 0..lost {
            bench.times_out();
        }
        bench.arrives(segment(SYN | ACK, 5000, 1001).window(50_000));
        assert_eq!(bench.sends(20_000).len(), segments);
    }
}

#[test]
fn syn_ack_is_sent_again_by_its_timer_and_for_a_repeated_syn() {
    let mut bench = Bench::syn_received(config());
    let syn_ack = ["SYN,ACK seq=1000 ack=5001 win=10000 len=0 <mss 1460>"];
    assert_eq!(bench.times_out().1, syn_ack);
    assert_eq!(bench.arrives(segment(SYN, 5000, 0)), syn_ack);
    bench.arrives(segment(ACK, 5001, 1001));
    assert_eq!(bench.end.state(), State::Established);
}

#[test]
fn rfc_9293_3_10_7_2_listen_answers_an_ack_with_rst_and_ignores_rst() {
    let mut bench = Bench::listening(config());
    assert_eq!(bench.arrives(segment(ACK, 5000, 77)), ["RST seq=77 win=0 len=0"]);
    assert!(bench.arrives(segment(RST, 5000, 0)).is_empty());
    assert!(bench.arrives(segment(RST | ACK, 5000, 77)).is_empty());
    assert!(bench.arrives(segment(FIN, 5000, 0)).is_empty());
    assert_eq!(bench.end.state(), State::Listen);
}

#[test]
fn rfc_9293_3_9_2_3_listen_ignores_impossible_sources() {
    let mut bench = Bench::listening(config());
    let syn = segment(SYN, 5000, 0);
    let syn = Segment { header: syn.header, payload: &[] };
    for source in [
        IpAddr::V4(Ipv4Addr::BROADCAST),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ] {
        bench.end.handle_segment(bench.now, source, &syn);
        assert_eq!(bench.end.state(), State::Listen);
    }
}

#[test]
fn segments_of_other_connections_are_ignored() {
    let mut bench = Bench::established();
    let mut other = segment(RST, 5001, 0);
    other.header.source_port += 1;
    assert!(bench.arrives(other.clone()).is_empty());
    other.header.source_port -= 1;
    other.header.destination_port += 1;
    assert!(bench.arrives(other.clone()).is_empty());
    other.header.destination_port -= 1;
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
    bench.end.handle_segment(bench.now, stranger, &Segment { header: other.header, payload: &[] });
    assert_eq!(bench.end.state(), State::Established);
}

#[test]
fn rfc_9293_3_10_7_3_syn_sent_answers_a_wrong_ack_with_rst() {
    for ack in [0, 1000, 1002] {
        let mut bench = Bench::connecting(config());
        bench.sent();
        assert_eq!(bench.arrives(segment(SYN | ACK, 5000, ack)), [format!("RST seq={ack} win=0 len=0")]);
        assert!(bench.arrives(segment(RST | ACK, 5000, ack)).is_empty());
        assert_eq!(bench.end.state(), State::SynSent);
    }
}

#[test]
fn rfc_9293_3_10_7_3_syn_sent_is_refused_by_rst_with_our_ack() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    assert!(bench.arrives(segment(RST, 5000, 0)).is_empty());
    assert_eq!(bench.end.state(), State::SynSent);
    assert!(bench.arrives(segment(RST | ACK, 0, 1001)).is_empty());
    assert_eq!(bench.end.state(), State::Closed);
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Refused)]);
}

#[test]
fn rfc_9293_3_10_7_3_syn_sent_ignores_what_has_neither_syn_nor_rst() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    assert!(bench.arrives(segment(ACK, 5000, 1001)).is_empty());
    assert_eq!(bench.end.state(), State::SynSent);
}

#[test]
fn rfc_9293_3_10_7_3_data_beside_the_syn_ack_is_kept() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    let answer = bench.arrives(segment(SYN | ACK | FIN, 5000, 1001).data(b"hi"));
    assert_eq!(answer, ["ACK seq=1001 ack=5004 win=9997 len=0"]);
    assert_eq!(bench.reads(), b"hi");
    assert_eq!(bench.end.state(), State::CloseWait);
}

#[test]
fn rfc_9293_3_10_7_4_syn_received_returns_to_listen_by_rst_or_syn() {
    for flags in [RST, SYN] {
        let mut bench = Bench::syn_received(config());
        assert!(bench.arrives(segment(flags, 5001, 0)).is_empty());
        assert_eq!((bench.end.state(), bench.end.remote()), (State::Listen, None));
        assert_eq!(bench.end.poll_timeout(), None);
        // And it can be called again.
        assert_eq!(bench.arrives(segment(SYN, 7000, 0)).len(), 1);
        bench.arrives(segment(ACK, 7001, 1001));
        assert_eq!(bench.end.state(), State::Established);
    }
}

#[test]
fn rfc_9293_3_10_7_4_syn_received_of_an_active_open_is_refused_by_rst() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    bench.arrives(segment(SYN, 5000, 0));
    // A SYN in the window is only challenged.
    assert_eq!(bench.arrives(segment(SYN, 5002, 0)), ["ACK seq=1001 ack=5001 win=10000 len=0"]);
    bench.arrives(segment(RST, 5001, 0));
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Refused)]);
}

#[test]
fn rfc_9293_3_10_7_4_syn_received_answers_a_wrong_ack_with_rst() {
    let mut bench = Bench::syn_received(config());
    for ack in [1000, 1002] {
        assert_eq!(bench.arrives(segment(ACK, 5001, ack)), [format!("RST seq={ack} win=0 len=0")]);
    }
    assert_eq!(bench.end.state(), State::SynReceived);
}

#[test]
fn rfc_9293_3_7_1_the_peers_mss_limits_ours() {
    for (announced, used) in [(Some(1000), 1000), (Some(9000), 1460), (None, 536), (Some(0), 68)] {
        let mut bench = Bench::established_with(config(), segment(SYN | ACK, 5000, 1001).mss(announced));
        let line = bench.sends(1500).swap_remove(0);
        assert!(line.ends_with(&format!("len={used}")), "{announced:?}: {line}");
    }
}

#[test]
fn rfc_9293_3_7_1_ipv6_leaves_20_bytes_less() {
    let local = "[2001:db8::1]:1".parse().unwrap();
    let remote = "[2001:db8::2]:2".parse().unwrap();
    let mut end = Connection::connect(Instant::ORIGIN, local, remote, SeqNumber::new(0), config());
    let mut out = bytes::BytesMut::new();
    end.poll_transmit(Instant::ORIGIN, &mut out).unwrap();
    let syn = Segment::parse(&out, local.ip(), remote.ip()).unwrap();
    assert_eq!(syn.header.options.mss, Some(1440));
}

#[test]
fn rfc_7323_2_2_windows_are_scaled_only_if_both_sides_say_so() {
    let config = Config { recv_capacity: 1 << 20, ..config() };
    // 2^20 does not fit into 16 bits with a shift of 4, as 65535 << 4 is 16 less.
    let mut bench = Bench::connecting(config.clone());
    assert_eq!(bench.sent(), ["SYN seq=1000 win=65535 len=0 <mss 1460,ws 5>"]);
    assert_eq!(bench.arrives(segment(SYN | ACK, 5000, 1001).scale(2)), ["ACK seq=1001 ack=5001 win=32768 len=0"]);
    // The window of the SYN-ACK was not scaled, later ones are.
    bench.arrives(segment(ACK, 5001, 1001).window(1));
    assert_eq!(bench.sends(1000), [] as [String; 0]);
    assert_eq!(bench.times_out().1, ["ACK seq=1001 ack=5001 win=32768 len=4"]);

    let mut bench = Bench::connecting(config.clone());
    bench.sent();
    assert_eq!(bench.arrives(segment(SYN | ACK, 5000, 1001)), ["ACK seq=1001 ack=5001 win=65535 len=0"]);

    let mut bench = Bench::listening(config);
    let answer = bench.arrives(segment(SYN, 5000, 0).scale(7));
    assert_eq!(answer, ["SYN,ACK seq=1000 ack=5001 win=65535 len=0 <mss 1460,ws 5>"]);
}

#[test]
fn rfc_9293_3_10_2_send_before_established_waits_for_the_handshake() {
    let mut bench = Bench::connecting(config());
    assert_eq!(bench.sends(3), ["SYN seq=1000 win=10000 len=0 <mss 1460,ws 0>"]);
    assert_eq!(bench.arrives(segment(SYN | ACK, 5000, 1001)), ["PSH,ACK seq=1001 ack=5001 win=10000 len=3"]);
}

#[test]
fn rfc_9293_3_10_2_send_in_listen_has_no_peer() {
    let mut bench = Bench::listening(config());
    let bytes = Bytes::from_static(b"x");
    assert_eq!(bench.end.send(bytes.clone()), Err(SendError::NotConnected(bytes)));
}

#[test]
fn rfc_9293_3_10_4_close_in_listen_and_syn_sent_is_silent() {
    for mut bench in [Bench::listening(config()), Bench::connecting(config())] {
        bench.end.shutdown();
        assert!(bench.sent().is_empty());
        assert_eq!((bench.end.state(), bench.end.poll_timeout()), (State::Closed, None));
        assert_eq!(bench.events(), [Event::Closed(CloseReason::Aborted)]);
    }
}

#[test]
fn rfc_9293_3_10_4_close_in_syn_received_waits_for_the_handshake() {
    let mut bench = Bench::syn_received(config());
    bench.end.send(Bytes::from_static(b"bye")).unwrap();
    bench.end.shutdown();
    assert!(matches!(bench.end.send(Bytes::new()), Err(SendError::Closed(_))));
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001)), ["FIN,PSH,ACK seq=1001 ack=5001 win=10000 len=3"]);
    assert_eq!(bench.end.state(), State::FinWait1);
}

#[test]
fn time_that_goes_backwards_is_clamped() {
    let mut bench = Bench::connecting(config());
    bench.now = Instant::from_secs(10);
    bench.sent();
    bench.now = Instant::from_secs(5);
    bench.arrives(segment(SYN | ACK, 5000, 1001));
    bench.sends(1);
    assert_eq!(bench.end.poll_timeout(), Some(Instant::from_secs(10) + ms(200)));
    assert_eq!(bench.end.local(), A);
}
