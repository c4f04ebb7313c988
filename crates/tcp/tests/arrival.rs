//! The checks of an arriving segment in the synchronized states: RFC 9293 3.10.7.4, first to fifth step, and RFC 5961.

mod common;

use common::{ACK, Bench, FIN, RST, SYN, config, ms, segment};
use drywire_core::Instant;
use drywire_tcp::{CloseReason, Config, Event, Flags, State};

const CHALLENGE: [&str; 1] = ["ACK seq=1001 ack=5001 win=10000 len=0"];

#[test]
fn rfc_9293_3_10_7_4_first_unacceptable_segments_are_acknowledged_and_dropped() {
    let mut bench = Bench::established();
    // Before the window, beyond it, and without text.
    for old in
        [segment(ACK, 4990, 1001).data(b"old"), segment(ACK, 15_002, 1001).data(b"far"), segment(ACK, 4999, 1001)]
    {
        assert_eq!(bench.arrives(old), CHALLENGE);
    }
    assert!(bench.reads().is_empty());
}

#[test]
fn rfc_9293_3_4_text_is_acceptable_if_its_first_or_last_byte_is_in_the_window() {
    let mut bench = Bench::established();
    assert_eq!(bench.arrives(segment(ACK, 4999, 1001).data(b"..abc")), ["ACK seq=1001 ack=5004 win=9997 len=0"]);
    assert_eq!(bench.reads(), b"abc");
    let long = vec![b'x'; 11_000];
    assert_eq!(bench.arrives(segment(ACK, 5004, 1001).data(&long)), ["ACK seq=1001 ack=15001 win=0 len=0"]);
    assert_eq!(bench.reads().len(), 9_997);
}

#[test]
fn rfc_9293_3_10_7_4_first_a_closed_window_still_takes_acks_and_resets() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(&[0; 10_000]));
    bench.sends(500);
    // Text is not taken, but its acknowledgment is.
    let answer = bench.arrives(segment(ACK, 15_001, 1501).data(b"x"));
    assert_eq!(answer, ["ACK seq=1501 ack=15001 win=0 len=0"]);
    assert_eq!(bench.end.unacknowledged(), 0);
    bench.arrives(segment(RST, 15_001, 0));
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Reset)]);
}

#[test]
fn the_ack_of_a_sender_that_has_filled_the_window_counts() {
    let mut bench = Bench::established();
    bench.sends(500);
    // The peer has sent 10,000 bytes, all of which were lost: its pure ACK begins at the right edge.
    assert!(bench.arrives(segment(ACK, 15_001, 1501)).is_empty());
    assert_eq!(bench.end.unacknowledged(), 0);
}

#[test]
fn rfc_5961_3_2_reset_counts_only_at_exactly_rcv_nxt() {
    let mut bench = Bench::established();
    assert!(bench.arrives(segment(RST, 5000, 0)).is_empty());
    assert!(bench.arrives(segment(RST, 15_001 + 1, 0)).is_empty());
    assert_eq!(bench.arrives(segment(RST, 5002, 0)), CHALLENGE);
    assert_eq!(bench.end.state(), State::Established);
    assert!(bench.arrives(segment(RST, 5001, 0)).is_empty());
    assert_eq!((bench.end.state(), bench.end.poll_timeout()), (State::Closed, None));
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Reset)]);
}

#[test]
fn rfc_5961_4_2_any_syn_is_challenged() {
    let mut bench = Bench::established();
    for seq in [5001, 5002, 9, 15_001] {
        assert_eq!(bench.arrives(segment(SYN, seq, 0)), CHALLENGE);
        assert_eq!(bench.arrives(segment(SYN | ACK, seq, 1001)), CHALLENGE);
    }
    assert_eq!(bench.end.state(), State::Established);
}

#[test]
fn rfc_5961_5_2_acks_outside_the_range_are_challenged_and_their_text_dropped() {
    let mut bench = Bench::established();
    // SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT.
    for ack in [1002, 1001u32.wrapping_sub(10_001), 0x8000_0000] {
        assert_eq!(bench.arrives(segment(ACK, 5001, ack).data(b"forged")), CHALLENGE);
    }
    assert!(bench.reads().is_empty());
}

#[test]
fn rfc_9293_3_10_7_4_fifth_text_with_an_old_ack_is_kept() {
    let mut bench = Bench::established();
    bench.sends(500);
    bench.arrives(segment(ACK, 5001, 1501));
    bench.arrives(segment(ACK, 5001, 1001).data(b"overtaken"));
    assert_eq!(bench.reads(), b"overtaken");
}

#[test]
fn rfc_9293_3_10_7_4_fifth_segments_without_ack_are_dropped() {
    let mut bench = Bench::established();
    assert!(bench.arrives(segment(Flags::NONE, 5001, 0).data(b"x")).is_empty());
    assert!(bench.arrives(segment(FIN, 5001, 0)).is_empty());
    assert_eq!(bench.end.state(), State::Established);
    assert!(bench.reads().is_empty());
}

#[test]
fn rfc_9293_3_10_7_4_fifth_an_old_segment_does_not_update_the_window() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(b"old"));
    bench.arrives(segment(ACK, 5004, 1001).data(b"new"));
    // SND.WL1: an overtaken segment with an older SEG.SEQ and a closed window. It would be dropped at once if its text did
    // not reach into the window.
    bench.arrives(segment(ACK, 5001, 1001).window(0).data(b"oldnew!"));
    assert_eq!(bench.sends(100).len(), 1);
    // SND.WL2: the same SEG.SEQ with an older SEG.ACK.
    bench.arrives(segment(ACK, 5008, 1101));
    bench.arrives(segment(ACK, 5008, 1001).window(0));
    assert_eq!(bench.sends(100).len(), 1);
}

#[test]
fn an_ack_of_more_updates_the_window_whatever_text_it_came_with() {
    let mut bench = Bench::established();
    bench.sends(2000);
    // The peer has lost text, so that its acknowledgment comes first and what it sends again comes with a lower SEG.SEQ.
    bench.arrives(segment(ACK, 6001, 2001).window(1000));
    bench.arrives(segment(ACK, 5001, 3001).window(5000).data(&[0; 1000]));
    assert_eq!(bench.sends(5000).len(), 5);
}

#[test]
fn rfc_5961_7_challenges_are_limited() {
    let config = Config { challenge_acks: 3, ..config() };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001));
    bench.now = Instant::from_secs(5);
    let answered = |bench: &mut Bench| (0..10).map(|_| bench.arrives(segment(SYN, 1, 0)).len()).sum::<usize>();
    assert_eq!(answered(&mut bench), 3);
    bench.now += ms(999);
    assert_eq!(answered(&mut bench), 0);
    bench.now += ms(1);
    assert_eq!(answered(&mut bench), 3);
}

fn urgent(seq: u32, pointer: u16, text: &[u8]) -> common::FromPeer {
    let mut urgent = segment(ACK | Flags::URG, seq, 1001).data(text);
    urgent.header.urgent = pointer;
    urgent
}

/// RFC 9293 3.8.5: the user hears of urgent data when there is some or more of it (MUST-32), and can ask how much of it is
/// left to be read (MUST-33), also before it has arrived.
#[test]
fn rfc_9293_3_8_5_the_user_is_told_of_urgent_data_and_how_far_it_goes() {
    let mut bench = Bench::established();
    assert_eq!((bench.end.urgent(), bench.events()), (0, vec![]));
    bench.arrives(urgent(5001, 10, b"now!"));
    assert_eq!((bench.end.urgent(), bench.events()), (10, vec![Event::Urgent]));
    // The same again is no news, and an older pointer neither.
    bench.arrives(urgent(5005, 6, b""));
    bench.arrives(urgent(5005, 2, b""));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.reads(), b"now!");
    assert_eq!(bench.end.urgent(), 6);
    bench.arrives(urgent(5005, 8, b"hurry"));
    assert_eq!((bench.end.urgent(), bench.events()), (8, vec![Event::Urgent]));
    bench.arrives(segment(ACK, 5010, 1001).data(b" up and wait"));
    assert_eq!(bench.reads().len(), 17);
    assert_eq!((bench.end.urgent(), bench.events()), (0, vec![]));
    // What lies behind the end is not urgent, however much of it there is.
    bench.arrives(urgent(5022, 0, b"calm"));
    assert_eq!((bench.end.urgent(), bench.events()), (0, vec![]));
}

/// RFC 5961 3.2: one in the window is challenged; one behind it, though its acknowledgment would count, gets no answer.
#[test]
fn rfc_5961_3_2_a_reset_at_the_right_edge_of_the_window_is_dropped() {
    let mut bench = Bench::established();
    assert_eq!(bench.arrives(segment(RST, 15_000, 0)).len(), 1);
    assert_eq!(bench.arrives(segment(RST, 15_001, 0)), [""; 0]);
    assert_eq!(bench.end.state(), State::Established);
}

#[test]
fn urgent_data_is_delivered_in_line() {
    let mut bench = Bench::established();
    bench.arrives(urgent(5001, 2, b"now!"));
    assert_eq!(bench.reads(), b"now!");
}
