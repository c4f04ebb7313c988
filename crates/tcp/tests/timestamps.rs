//! The timestamps option: RFC 7323 3 to 5.

mod common;

use common::{ACK, Bench, FIN, FromPeer, RST, SYN, config, ms, segment};
use drywire_core::Instant;
use drywire_tcp::{Config, State, Timestamps};

fn stamped(segment: FromPeer, value: u32, echo: u32) -> FromPeer {
    let mut stamped = segment;
    stamped.header.options.timestamps = Some(Timestamps { value, echo });
    stamped
}

fn with_timestamps() -> Config {
    Config { timestamps: true, ..config() }
}

/// Established with the peer's clock at 70 and ours, which began at 1000, at 1100.
fn established() -> Bench {
    Bench::established_with(with_timestamps(), stamped(segment(SYN | ACK, 5000, 1001), 70, 1000))
}

#[test]
fn rfc_7323_3_2_timestamps_are_used_only_if_both_sides_send_them() {
    let mut bench = Bench::connecting(with_timestamps());
    assert_eq!(bench.sent(), ["SYN seq=1000 win=10000 len=0 <mss 1460,ts 1000:0,ws 0>"]);
    assert_eq!(bench.arrives(segment(SYN | ACK, 5000, 1001)), ["ACK seq=1001 ack=5001 win=10000 len=0"]);

    let mut bench = Bench::listening(with_timestamps());
    let answer = bench.arrives(stamped(segment(SYN, 5000, 0), 70, 0));
    assert_eq!(answer, ["SYN,ACK seq=1000 ack=5001 win=10000 len=0 <mss 1460,ts 1000:70>"]);

    let mut bench = Bench::listening(config());
    let answer = bench.arrives(stamped(segment(SYN, 5000, 0), 70, 0));
    assert_eq!(answer, ["SYN,ACK seq=1000 ack=5001 win=10000 len=0 <mss 1460>"]);
}

#[test]
fn rfc_7323_3_2_every_later_segment_carries_them_and_their_room_is_not_left_for_text() {
    let mut bench = established();
    bench.now += ms(5);
    assert_eq!(
        bench.sends(1000),
        [
            "ACK seq=1001 ack=5001 win=10000 len=988 <ts 1105:70>",
            "PSH,ACK seq=1989 ack=5001 win=10000 len=12 <ts 1105:70>"
        ]
    );
    let answer = bench.arrives(stamped(segment(ACK | FIN, 5001, 1001), 80, 1105));
    assert_eq!(answer, ["ACK seq=2001 ack=5002 win=9999 len=0 <ts 1105:80>"]);
    bench.end.abort();
    assert_eq!(bench.sent(), ["RST seq=2001 win=0 len=0"]);
}

#[test]
fn rfc_7323_3_2_segments_without_them_are_dropped_but_not_resets() {
    let mut bench = established();
    assert!(bench.arrives(segment(ACK, 5001, 1001).data(b"x")).is_empty());
    assert!(bench.reads().is_empty());
    bench.arrives(segment(RST, 5001, 0));
    assert_eq!(bench.end.state(), State::Closed);
}

#[test]
fn rfc_7323_4_1_what_was_sent_twice_is_measured_by_its_echo() {
    let mut bench = established();
    bench.sends(900);
    // The first round trip took 100 ms: RTO 300 ms.
    assert_eq!(bench.times_out().0, ms(300));
    bench.now += ms(100);
    // The answer is to the second one, sent at 1400: the back-off is over, and RTTVAR is 3/4 of 50 ms.
    bench.arrives(stamped(segment(ACK, 5001, 1901), 80, 1400));
    bench.sends(900);
    assert_eq!(bench.end.poll_timeout(), Some(bench.now + ms(250)));
}

#[test]
fn rfc_7323_4_1_an_echo_from_the_future_is_not_believed() {
    let mut bench = established();
    bench.sends(900);
    bench.times_out();
    bench.arrives(stamped(segment(ACK, 5001, 1901), 80, 9999));
    bench.sends(900);
    assert_eq!(bench.end.poll_timeout(), Some(bench.now + ms(600)));
}

#[test]
fn rfc_7323_4_3_the_echo_is_of_the_segment_that_is_acknowledged() {
    let mut bench = established();
    // Behind a gap: the echo stays that of the last one in order.
    let answer = bench.arrives(stamped(segment(ACK, 5002, 1001).data(b"b"), 75, 1100));
    assert_eq!(answer, ["ACK seq=1001 ack=5001 win=10000 len=0 <ts 1100:70>"]);
    let answer = bench.arrives(stamped(segment(ACK, 5001, 1001).data(b"a"), 90, 1100));
    assert_eq!(answer, ["ACK seq=1001 ack=5003 win=9998 len=0 <ts 1100:90>"]);
}

#[test]
fn rfc_7323_5_3_paws_drops_and_acknowledges_older_segments() {
    let mut bench = established();
    let answer = bench.arrives(stamped(segment(ACK, 5001, 1001).data(b"old"), 69, 1100));
    assert_eq!(answer, ["ACK seq=1001 ack=5001 win=10000 len=0 <ts 1100:70>"]);
    assert!(bench.reads().is_empty());
    // A reset is not subject to it.
    bench.arrives(stamped(segment(RST, 5001, 0), 1, 0));
    assert_eq!(bench.end.state(), State::Closed);
}

#[test]
fn rfc_7323_5_5_after_24_days_any_timestamp_is_new() {
    let mut bench = established();
    bench.now = Instant::from_secs(25 * 24 * 60 * 60);
    bench.arrives(stamped(segment(ACK, 5001, 1001).data(b"late"), 69, 1100));
    assert_eq!(bench.reads(), b"late");
}
