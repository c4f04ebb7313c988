//! When acknowledgments leave: RFC 9293 3.8.6.3 and RFC 5681 4.2.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{ACK, Bench, FIN, SYN, config, ms, segment};
use drywire_tcp::{Config, Flags};

/// The peer's full segments have 1000 bytes, and no acknowledgment is quick.
fn bench() -> Bench {
    Bench::established_with(Config { quick_acks: 0, ..config() }, segment(SYN | ACK, 5000, 1001))
}

#[test]
fn rfc_9293_3_8_6_3_every_second_full_sized_segment_is_acknowledged() {
    let mut bench = bench();
    for seq in (5001..11_001).step_by(2000) {
        assert!(bench.arrives(segment(ACK, seq, 1001).data(&[0; 1000])).is_empty());
        assert_eq!(bench.arrives(segment(ACK, seq + 1000, 1001).data(&[0; 1000])).len(), 1);
        bench.reads();
    }
}

#[test]
fn rfc_9293_3_8_6_3_an_acknowledgment_waits_for_40_ms_at_most() {
    let mut bench = bench();
    assert!(bench.arrives(segment(ACK, 5001, 1001).data(b"hello")).is_empty());
    bench.now += ms(15);
    // What comes later is not waited for again.
    assert!(bench.arrives(segment(ACK, 5006, 1001)).is_empty());
    assert_eq!(bench.times_out(), (ms(25), vec!["ACK seq=1001 ack=5006 win=9995 len=0".into()]));
    assert_eq!(bench.end.poll_timeout(), None);
}

#[test]
fn rfc_9293_3_8_6_3_the_delay_is_half_a_second_at_most() {
    let config = Config { quick_acks: 0, delayed_ack: Duration::from_secs(9), ..config() };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001));
    bench.arrives(segment(ACK, 5001, 1001).data(b"hello"));
    assert_eq!(bench.times_out().0, ms(500));
}

#[test]
fn an_answer_carries_the_acknowledgment() {
    let mut bench = bench();
    // A push does not hurry it: the answer is what usually comes next.
    assert!(bench.arrives(segment(ACK | Flags::PSH, 5001, 1001).data(b"ping")).is_empty());
    bench.end.send(Bytes::from_static(b"pong")).unwrap();
    assert_eq!(bench.sent(), ["PSH,ACK seq=1001 ack=5005 win=9996 len=4"]);
    bench.arrives(segment(ACK, 5005, 1005));
    assert_eq!(bench.end.poll_timeout(), None);
}

#[test]
fn rfc_5681_4_2_what_fills_a_gap_or_lies_behind_one_is_acknowledged_at_once() {
    let mut bench = bench();
    bench.arrives(segment(ACK, 5001, 1001).data(&[0; 1000]));
    // Behind a gap, twice.
    assert_eq!(bench.arrives(segment(ACK, 7001, 1001).data(b"c")), ["ACK seq=1001 ack=6001 win=9000 len=0"]);
    assert_eq!(bench.arrives(segment(ACK, 6501, 1001).data(b"b")), ["ACK seq=1001 ack=6001 win=9000 len=0"]);
    // A part of the gap, then each of its ends.
    assert_eq!(bench.arrives(segment(ACK, 6001, 1001).data(b"a")).len(), 1);
    assert_eq!(bench.arrives(segment(ACK, 6002, 1001).data(&[0; 499])).len(), 1);
    assert_eq!(bench.arrives(segment(ACK, 6502, 1001).data(&[0; 499])), ["ACK seq=1001 ack=7002 win=7999 len=0"]);
}

#[test]
fn a_fin_and_what_the_window_has_no_room_for_are_acknowledged_at_once() {
    let mut full = bench();
    full.arrives(segment(ACK, 5001, 1001).data(&[0; 10_000]));
    full.sent();
    assert_eq!(full.arrives(segment(ACK, 15_001, 1001).data(b"probe")).len(), 1);
    let mut ended = bench();
    assert_eq!(ended.arrives(segment(ACK | FIN, 5001, 1001).data(b"bye")).len(), 1);
}

/// RFC 5681 4.2 speaks of full-sized segments. Two small ones are none, also where nothing larger has come.
#[test]
fn rfc_5681_4_2_two_small_segments_are_not_two_full_ones() {
    let mut bench = bench();
    for seq in 5001..5005 {
        assert_eq!(bench.arrives(segment(ACK, seq, 1001).data(b"x")), [""; 0]);
    }
    let (waited, sent) = bench.times_out();
    assert_eq!((waited, sent.len()), (ms(40), 1));
}

#[test]
fn the_first_acknowledgments_are_quick() {
    let mut bench = Bench::established_with(Config { quick_acks: 4, ..config() }, segment(SYN | ACK, 5000, 1001));
    // One of the four was that of the handshake.
    let answers: Vec<usize> =
        (0..6).map(|n| bench.arrives(segment(ACK, 5001 + n * 1000, 1001).data(&[0; 1000])).len()).collect();
    assert_eq!(answers, [1, 1, 1, 0, 1, 0]);
}

#[test]
fn after_a_gap_acknowledgments_are_quick_again() {
    let mut bench = Bench::established_with(Config { quick_acks: 1, ..config() }, segment(SYN | ACK, 5000, 1001));
    assert!(bench.arrives(segment(ACK, 5001, 1001).data(&[0; 1000])).is_empty(), "the handshake took the only one");
    bench.times_out();
    bench.arrives(segment(ACK, 7001, 1001).data(&[0; 1000]));
    // What fills the gap is answered at once anyway, and counts.
    let answers: Vec<usize> = [6001, 8001, 9001]
        .map(|seq| {
            bench.reads();
            bench.arrives(segment(ACK, seq, 1001).data(&[0; 1000])).len()
        })
        .into();
    assert_eq!(answers, [1, 1, 0]);
}

#[test]
fn the_end_of_a_message_does_not_wait_where_waiting_was_in_vain() {
    let mut bench = bench();
    bench.arrives(segment(ACK, 5001, 1001).data(&[0; 1000]));
    bench.times_out();
    // Nobody has answered: what is not full is the end of something, and is acknowledged.
    assert_eq!(bench.arrives(segment(ACK, 6001, 1001).data(b"end")), ["ACK seq=1001 ack=6004 win=8997 len=0"]);
    // A full segment has another behind it, most likely.
    assert!(bench.arrives(segment(ACK, 6004, 1001).data(&[0; 1000])).is_empty());
    // An answer that carries the acknowledgment shows that waiting is worth it.
    assert_eq!(bench.sends(4), ["PSH,ACK seq=1001 ack=7004 win=7997 len=4"]);
    assert!(bench.arrives(segment(ACK, 7004, 1005).data(b"ping")).is_empty());
}

#[test]
fn a_window_that_was_opened_is_told_without_delay() {
    let mut bench = bench();
    bench.arrives(segment(ACK, 5001, 1001).data(&[0; 9000]));
    bench.sent();
    bench.arrives(segment(ACK, 14_001, 1001).data(&[0; 500]));
    bench.reads();
    assert_eq!(bench.sent(), ["ACK seq=1001 ack=14501 win=10000 len=0"]);
    assert_eq!(bench.end.poll_timeout(), None);
}
