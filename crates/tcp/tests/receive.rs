//! Text and FIN of the peer, and our window: RFC 9293 3.8.6.2.2 and 3.10.7.4, seventh and eighth step.

mod common;

use common::{ACK, Bench, FIN, SYN, config, ms, pattern, segment};
use drywire_tcp::{Config, Event, State};

#[test]
fn rfc_9293_3_10_7_4_seventh_text_in_order_is_delivered_and_acknowledged() {
    let mut bench = Bench::established();
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(b"hello")), ["ACK seq=1001 ack=5006 win=9995 len=0"]);
    assert_eq!(bench.reads(), b"hello");
}

#[test]
fn one_acknowledgment_answers_all_that_arrived_before_it() {
    let mut bench = Bench::established();
    bench.take(&segment(ACK, 5001, 1001).data(b"hello"));
    bench.take(&segment(ACK, 5006, 1001).data(b"world"));
    assert_eq!(bench.sent(), ["ACK seq=1001 ack=5011 win=9990 len=0"]);
}

#[test]
fn data_carries_the_acknowledgment() {
    let mut bench = Bench::established();
    bench.take(&segment(ACK, 5001, 1001).data(b"hello"));
    assert_eq!(bench.sends(3), ["PSH,ACK seq=1001 ack=5006 win=9995 len=3"]);
}

#[test]
fn rfc_5681_4_2_each_segment_out_of_order_is_acknowledged_at_once_and_alone() {
    let mut bench = Bench::established();
    bench.take(&segment(ACK, 5006, 1001).data(b"world"));
    bench.take(&segment(ACK, 5011, 1001).data(b"!"));
    let duplicate = "ACK seq=1001 ack=5001 win=10000 len=0";
    assert_eq!(bench.sends(3), [duplicate, duplicate, "PSH,ACK seq=1001 ack=5001 win=10000 len=3"]);
    // The segment that closes the gap is acknowledged at once, too.
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(b"hello")), ["ACK seq=1004 ack=5012 win=9989 len=0"]);
    assert_eq!(bench.reads(), b"helloworld!");
}

#[test]
fn rfc_9293_3_10_7_4_seventh_overlapping_segments_are_trimmed() {
    let mut bench = Bench::established();
    let stream = pattern(100);
    for (from, to) in [(50, 60), (20, 30), (25, 55), (90, 100), (58, 95), (10, 22), (0, 15)] {
        bench.arrives(segment(ACK, 5001 + from, 1001).data(&stream[from as usize..to]));
    }
    assert_eq!(bench.reads(), stream);
}

#[test]
fn rfc_9293_3_10_7_4_eighth_fin_is_taken_only_behind_everything_before_it() {
    let mut bench = Bench::established();
    assert_eq!(bench.arrives(segment(ACK | FIN, 5006, 1001)), ["ACK seq=1001 ack=5001 win=10000 len=0"]);
    assert!(!bench.end.recv().is_end_of_stream());
    assert_eq!(bench.end.state(), State::Established);
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(b"hello")), ["ACK seq=1001 ack=5007 win=9994 len=0"]);
    assert!(bench.end.recv().is_end_of_stream());
    assert_eq!((bench.reads(), bench.events()), (b"hello".to_vec(), vec![Event::PeerFinished]));
    assert_eq!(bench.end.state(), State::CloseWait);
}

#[test]
fn nothing_is_delivered_beyond_the_fin() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK | FIN, 5003, 1001).data(b"c"));
    bench.arrives(segment(ACK, 5004, 1001).data(b"beyond"));
    bench.arrives(segment(ACK, 5001, 1001).data(b"abcdef"));
    assert_eq!(bench.reads(), b"abc");
    assert_eq!(bench.end.state(), State::CloseWait);
}

#[test]
fn a_fin_that_contradicts_what_has_arrived_is_ignored() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5005, 1001).data(b"efgh"));
    bench.arrives(segment(ACK | FIN, 5003, 1001));
    bench.arrives(segment(ACK, 5001, 1001).data(b"abcd"));
    assert_eq!(bench.reads(), b"abcdefgh");
    assert_eq!(bench.end.state(), State::Established);
}

#[test]
fn a_fin_needs_no_room_in_the_window() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK | FIN, 5001, 1001).data(&[7; 10_000]));
    assert_eq!(bench.end.state(), State::CloseWait);

    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(&[7; 10_000]));
    assert_eq!(bench.arrives(segment(ACK | FIN, 15_001, 1001)), ["ACK seq=1001 ack=15002 win=0 len=0"]);
    assert_eq!(bench.end.state(), State::CloseWait);
}

#[test]
fn rfc_9293_3_8_6_2_2_window_opens_only_by_a_full_segment_or_half_of_the_buffer() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(&[0; 9000]));
    // Small bites move nothing, not even with a segment that leaves anyway.
    bench.end.recv().skip(999);
    assert_eq!(bench.sends(1), ["PSH,ACK seq=1001 ack=14001 win=1000 len=1"]);
    bench.end.recv().skip(1);
    assert_eq!(bench.sends(1), ["PSH,ACK seq=1002 ack=14001 win=2000 len=1"]);
}

#[test]
fn rfc_9293_3_8_6_2_2_an_opened_window_is_announced() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(&[0; 10_000]));
    bench.end.recv().skip(2 * 1000 - 1);
    assert!(bench.sent().is_empty());
    bench.end.recv().skip(1);
    assert_eq!(bench.sent(), ["ACK seq=1001 ack=15001 win=2000 len=0"]);
    assert!(bench.sent().is_empty());
}

#[test]
fn a_window_that_is_still_half_open_is_not_announced_again() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(&[0; 4000]));
    bench.reads();
    assert!(bench.sent().is_empty());
}

#[test]
fn a_window_that_was_cut_by_the_syn_is_not_announced_before_it_is_used() {
    let config = Config { recv_capacity: 1 << 20, ..config() };
    let mut bench = Bench::listening(config);
    bench.arrives(segment(SYN, 5000, 0).scale(0));
    assert!(bench.arrives(segment(ACK, 5001, 1001)).is_empty());
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(&[0; 32])), ["ACK seq=1001 ack=5033 win=32767 len=0"]);
}

#[test]
fn a_buffer_smaller_than_a_segment_opens_by_halves() {
    let config = Config { recv_capacity: 10, ..config() };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001));
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(&[0; 100])), ["ACK seq=1001 ack=5011 win=0 len=0"]);
    bench.end.recv().skip(4);
    assert!(bench.sent().is_empty());
    bench.end.recv().skip(1);
    assert_eq!(bench.sent(), ["ACK seq=1001 ack=5011 win=5 len=0"]);
}

#[test]
fn rfc_9293_3_8_6_window_is_never_taken_back() {
    let mut bench = Bench::established();
    // The user puts back bytes of its own, so that less room is left than was announced.
    bench.end.recv().extend_from_slice(&[0; 6000]);
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(&[0; 8000])), ["ACK seq=1001 ack=13001 win=2000 len=0"]);
    assert_eq!(bench.arrives(segment(ACK, 13_001, 1001).data(&[0; 3000])), ["ACK seq=1001 ack=15001 win=0 len=0"]);
    assert_eq!(bench.reads().len(), 16_000);
}

#[test]
fn rfc_7323_2_4_the_scale_rounds_the_window_up_by_less_than_one_unit() {
    let config = Config { recv_capacity: 1 << 20, delayed_ack: ms(0), ..config() };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001).scale(0));
    // 2^20 - 1 bytes are left, which is 32768 units of 32 bytes less one byte.
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(b"x")), ["ACK seq=1001 ack=5002 win=32768 len=0"]);
    // However many small segments fill the buffer, it never holds a unit more than it may.
    let mut next = 5002u32;
    loop {
        let line = bench.arrives(segment(ACK, next, 1001).data(&[0; 1001])).swap_remove(0);
        let held = bench.end.recv().len() as u32;
        if held == next - 5001 {
            assert!(line.contains("win=0"), "{line}");
            break;
        }
        next = 5001 + held;
    }
    assert!(bench.end.recv().len() < (1 << 20) + 32);
}
