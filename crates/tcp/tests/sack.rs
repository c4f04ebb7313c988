//! The receiver's part of selective acknowledgments: RFC 2018, RFC 2883.

mod common;

use common::{ACK, Bench, SYN, config, pattern, segment};
use drywire_tcp::{Config, Timestamps};

fn with_sack() -> Config {
    Config { sack: true, ..config() }
}

fn established() -> Bench {
    Bench::established_with(with_sack(), segment(SYN | ACK, 5000, 1001).sack_permitted())
}

/// The answer to ten bytes at `seq`.
fn ten_bytes(bench: &mut Bench, seq: u32) -> String {
    let answers = bench.arrives(segment(ACK, seq, 1001).data(&pattern(10)));
    assert_eq!(answers.len(), 1);
    answers[0].strip_prefix("ACK seq=1001 ").unwrap().to_owned()
}

#[test]
fn rfc_2018_2_sack_permitted_is_offered_in_the_syn_and_answered_in_the_syn_ack() {
    let mut bench = Bench::connecting(with_sack());
    assert_eq!(bench.sent(), ["SYN seq=1000 win=10000 len=0 <mss 1460,sackOK,ws 0>"]);

    let mut bench = Bench::listening(with_sack());
    let answer = bench.arrives(segment(SYN, 5000, 0).sack_permitted());
    assert_eq!(answer, ["SYN,ACK seq=1000 ack=5001 win=10000 len=0 <mss 1460,sackOK>"]);

    // Not offered by the peer, or not wanted here.
    for (config, syn) in [(with_sack(), segment(SYN, 5000, 0)), (config(), segment(SYN, 5000, 0).sack_permitted())] {
        let answer = Bench::listening(config).arrives(syn);
        assert_eq!(answer, ["SYN,ACK seq=1000 ack=5001 win=10000 len=0 <mss 1460>"]);
    }
}

#[test]
fn rfc_2018_3_no_blocks_for_a_peer_that_has_not_asked_for_them() {
    let mut bench = Bench::established_with(with_sack(), segment(SYN | ACK, 5000, 1001));
    assert_eq!(ten_bytes(&mut bench, 5011), "ack=5001 win=10000 len=0");
}

#[test]
fn rfc_2018_4_the_first_block_holds_the_latest_segment_and_the_others_follow_by_age() {
    let mut bench = established();
    assert_eq!(ten_bytes(&mut bench, 5021), "ack=5001 win=10000 len=0 <sack 5021-5031>");
    assert_eq!(ten_bytes(&mut bench, 5041), "ack=5001 win=10000 len=0 <sack 5041-5051 5021-5031>");
    assert_eq!(ten_bytes(&mut bench, 5061), "ack=5001 win=10000 len=0 <sack 5061-5071 5041-5051 5021-5031>");
    assert_eq!(ten_bytes(&mut bench, 5031), "ack=5001 win=10000 len=0 <sack 5021-5051 5061-5071>");
    // Before the first one: joined to it from the left.
    assert_eq!(ten_bytes(&mut bench, 5011), "ack=5001 win=10000 len=0 <sack 5011-5051 5061-5071>");
    // The gap is closed: what is acknowledged is no block any more.
    assert_eq!(ten_bytes(&mut bench, 5001), "ack=5051 win=9950 len=0 <sack 5061-5071>");
    assert_eq!(ten_bytes(&mut bench, 5051), "ack=5071 win=9930 len=0");
}

#[test]
fn rfc_2018_3_four_blocks_fit_and_three_beside_timestamps() {
    let mut bench = established();
    let lines: Vec<_> = (0..6).map(|n| ten_bytes(&mut bench, 5021 + n * 20)).collect();
    assert_eq!(lines[5], "ack=5001 win=10000 len=0 <sack 5121-5131 5101-5111 5081-5091 5061-5071>");

    let stamp = |n| Some(Timestamps { value: n, echo: 1000 });
    let mut syn_ack = segment(SYN | ACK, 5000, 1001).sack_permitted();
    syn_ack.header.options.timestamps = stamp(70);
    let mut bench = Bench::established_with(Config { timestamps: true, ..with_sack() }, syn_ack);
    for n in 0..4 {
        let mut text = segment(ACK, 5021 + n * 20, 1001).data(&pattern(10));
        text.header.options.timestamps = stamp(71);
        let answer = bench.arrives(text);
        assert_eq!(answer[0].matches('-').count(), 3.min(n as usize + 1), "{answer:?}");
    }
}

#[test]
fn rfc_2018_4_text_carries_the_blocks_that_fit() {
    let mut bench = established();
    ten_bytes(&mut bench, 5021);
    assert_eq!(
        bench.sends(1100),
        ["ACK seq=1001 ack=5001 win=10000 len=1000", "PSH,ACK seq=2001 ack=5001 win=10000 len=100 <sack 5021-5031>"]
    );
}

#[test]
fn rfc_2883_4_1_a_duplicate_below_the_acknowledgment_is_reported_once_and_first() {
    let mut bench = established();
    ten_bytes(&mut bench, 5001);
    assert_eq!(ten_bytes(&mut bench, 5001), "ack=5011 win=9990 len=0 <sack 5001-5011>");
    // Half of it is new.
    assert_eq!(ten_bytes(&mut bench, 5006), "ack=5016 win=9985 len=0 <sack 5006-5011>");
    assert_eq!(ten_bytes(&mut bench, 5016), "ack=5026 win=9975 len=0");
    // In front of the blocks.
    assert_eq!(ten_bytes(&mut bench, 5036), "ack=5026 win=9975 len=0 <sack 5036-5046>");
    assert_eq!(ten_bytes(&mut bench, 5001), "ack=5026 win=9975 len=0 <sack 5001-5011 5036-5046>");
}

#[test]
fn rfc_2883_4_2_a_duplicate_within_a_block_is_followed_by_that_block() {
    let mut bench = established();
    ten_bytes(&mut bench, 5021);
    ten_bytes(&mut bench, 5031);
    ten_bytes(&mut bench, 5061);
    assert_eq!(ten_bytes(&mut bench, 5021), "ack=5001 win=10000 len=0 <sack 5021-5031 5021-5041 5061-5071>");
}

#[test]
fn data_beyond_the_window_is_no_duplicate() {
    let mut bench = established();
    assert_eq!(ten_bytes(&mut bench, 25_001), "ack=5001 win=10000 len=0");
}
