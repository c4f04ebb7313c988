//! The user wants nothing more of what the peer sends, or the peer sends before the handshake is over.

mod common;

use common::{ACK, Bench, FIN, SYN, config, segment};
use drywire_tcp::{CloseReason, Config, Event, LateData, State};

#[test]
fn rfc_9293_3_6_1_data_after_shutdown_read_is_answered_with_rst() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(b"unread"));
    bench.end.shutdown_read();
    assert!(bench.reads().is_empty());
    // Nothing is said until data comes: our direction is open.
    assert_eq!(bench.sends(3), ["PSH,ACK seq=1001 ack=5007 win=9994 len=3"]);
    assert!(bench.arrives(segment(ACK, 5007, 1004)).is_empty());
    assert_eq!(bench.arrives(segment(ACK, 5007, 1004).data(b"more")), ["RST seq=1004 win=0 len=0"]);
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Aborted)]);
}

#[test]
fn data_after_shutdown_read_can_be_dropped() {
    let config = Config { late_data: LateData::Drop, ..config() };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001));
    bench.end.shutdown_read();
    for n in 0..20 {
        let answer = bench.arrives(segment(ACK, 5001 + n * 1000, 1001).data(&[0; 1000]));
        // The window stays open.
        assert!(answer.iter().all(|line| line.contains("win=10000") || line.contains("win=9")), "{answer:?}");
    }
    bench.arrives(segment(ACK, 26_001, 1001).data(b"behind a gap"));
    bench.arrives(segment(ACK, 25_001, 1001).data(&[0; 1000]));
    assert!(bench.reads().is_empty());
    bench.arrives(segment(ACK | FIN, 26_013, 1001));
    assert_eq!((bench.end.state(), bench.events()), (State::CloseWait, vec![Event::PeerFinished]));
}

#[test]
fn a_fin_after_shutdown_read_ends_in_order() {
    let mut bench = Bench::established();
    bench.end.shutdown_read();
    bench.end.shutdown();
    bench.sent();
    bench.arrives(segment(ACK | FIN, 5001, 1002));
    assert_eq!((bench.end.state(), bench.events()), (State::TimeWait, vec![Event::PeerFinished]));
}

#[test]
fn rfc_9293_3_10_7_2_text_on_a_syn_waits_for_the_end_of_the_handshake() {
    let mut bench = Bench::listening(config());
    let syn_ack = bench.arrives(segment(SYN, 5000, 0).data(b"early"));
    assert_eq!(syn_ack, ["SYN,ACK seq=1000 ack=5001 win=10000 len=0 <mss 1460>"]);
    // Until then its sender may be forged.
    assert!(bench.reads().is_empty());
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001)), ["ACK seq=1001 ack=5006 win=9995 len=0"]);
    assert_eq!(bench.reads(), b"early");
    // It comes again, as it was not acknowledged at first.
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(b"early")).len(), 1);
    assert!(bench.reads().is_empty());
}

#[test]
fn rfc_9293_3_10_7_2_a_fin_on_a_syn_waits_likewise() {
    let mut bench = Bench::listening(config());
    bench.arrives(segment(SYN | FIN, 5000, 0).data(b"all"));
    assert_eq!(bench.end.state(), State::SynReceived);
    bench.arrives(segment(ACK, 5001, 1001));
    assert_eq!((bench.end.state(), bench.reads()), (State::CloseWait, b"all".to_vec()));
    assert_eq!(bench.events(), [Event::Established, Event::PeerFinished]);
}

#[test]
fn rfc_9293_3_10_7_3_text_on_a_syn_of_a_simultaneous_open_is_kept() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    bench.arrives(segment(SYN, 5000, 0).data(b"early"));
    assert!(bench.reads().is_empty());
    bench.arrives(segment(ACK, 5001, 1001));
    assert_eq!(bench.reads(), b"early");
}

#[test]
fn text_on_a_syn_is_forgotten_with_it() {
    let mut bench = Bench::listening(config());
    bench.arrives(segment(SYN, 5000, 0).data(b"early"));
    bench.arrives(segment(common::RST, 5001, 0));
    assert_eq!(bench.end.state(), State::Listen);
    bench.arrives(segment(SYN, 7000, 0));
    bench.arrives(segment(ACK, 7001, 1001));
    assert!(bench.reads().is_empty());
}
