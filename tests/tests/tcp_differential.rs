//! drywire beside smoltcp under scripts of chance; the differences that there may be, each shown; and the proof that others
//! would be noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use drywire::tcp::{Config, Flags};
use drywire::{Rng, Seed};
use drywire_tcp::Rule;
use drywire_tests::fuzz::tcp_differential::{
    Ack, Aspect, DIFFERENCES, Outcome, SegmentPlan, Seq, Setup, Step, play, script,
};
use drywire_tests::seeds::for_each_seed;

/// A script of chance, and what came of it.
fn play_seed(seed: u64, change: impl FnOnce(&mut Config)) -> Result<Outcome, String> {
    let mut rng = Rng::new(&Seed::from(seed));
    let mut input = vec![0; 20 + rng.below(400) as usize];
    rng.fill(&mut input);
    let (setup, steps) = script(&input);
    // What holds of each endpoint alone is asserted.
    catch_unwind(AssertUnwindSafe(|| play(&setup, &steps, change))).unwrap_or_else(|panic| {
        Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic without a message".into()))
    })
}

#[test]
fn scripts_of_chance_show_no_other_difference() {
    let met = Mutex::new(BTreeMap::new());
    for_each_seed(50_000, |seed| {
        for (name, _) in play_seed(seed, |_| {})?.met {
            *met.lock().unwrap().entry(name).or_insert(0) += 1;
        }
        Ok::<_, String>(())
    });
    for (name, times) in met.into_inner().unwrap() {
        println!("{times:6} {name}");
    }
}

#[test]
fn each_difference_is_in_the_docs_and_those_there_are_no_others() {
    let docs = include_str!("../../docs/design/differential.md");
    let (docs, _) = docs.split_once("\n# ").expect("what follows is of other protocols");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")).map(|(name, _)| name);
    let named: BTreeSet<_> = rows.filter(|name| *name != "difference").collect();
    let listed: BTreeSet<_> = DIFFERENCES.iter().map(|difference| difference.name).collect();
    assert_eq!(named, listed);
    assert_eq!(DIFFERENCES.len(), listed.len());
}

fn arrives(flags: Flags, seq: Seq, ack: Ack) -> SegmentPlan {
    SegmentPlan { flags, seq, ack, ..SegmentPlan::ack() }
}

fn text(seq: u32, len: u16) -> SegmentPlan {
    SegmentPlan { len, seq: Seq::Next(seq), ..SegmentPlan::ack() }
}

const fn before(distance: u32) -> u32 {
    distance.wrapping_neg()
}

/// `steps` after the handshake of a client whose peer speaks SACK: `name` is met, and shows in `aspect`.
#[track_caller]
fn shows(name: &str, aspect: Aspect, steps: &[Step]) {
    let setup = Setup { sack: true, ..Setup::plain(false) };
    let steps = [&setup.handshake(), steps].concat();
    let outcome = play(&setup, &steps, |_| {}).unwrap();
    assert!(outcome.met.get(name).is_some_and(|shown| shown.contains(&aspect)), "{outcome:?}");
}

#[test]
fn rfc_5961_3_2_a_reset_in_the_window_ends_only_smoltcps_connection() {
    let reset = arrives(Flags::RST, Seq::Next(1), Ack::Max(0));
    shows("a reset in the window", Aspect::State, &[Step::Segment(reset)]);
}

#[test]
fn rfc_5961_4_2_a_syn_in_the_window_is_challenged_only_by_drywire() {
    let syn = arrives(Flags::SYN, Seq::Next(5), Ack::Max(0));
    shows("a SYN in a synchronized state", Aspect::Answer, &[Step::Segment(syn)]);
}

#[test]
fn rfc_5961_4_2_the_syn_of_a_restarted_peer_is_answered_only_by_drywire() {
    let syn = arrives(Flags::SYN, Seq::Next(0x4000_0000), Ack::Max(0));
    shows("a SYN in a synchronized state", Aspect::Answer, &[Step::Segment(syn)]);
}

#[test]
fn rfc_9293_3_10_7_4_text_with_an_old_acknowledgment_is_kept_only_by_drywire() {
    let late = SegmentPlan { ack: Ack::Una(before(50)), ..text(0, 10) };
    let steps = [Step::Write(100), Step::Segment(SegmentPlan::ack()), Step::Segment(late)];
    shows("text or FIN with an old acknowledgment", Aspect::Received, &steps);
}

#[test]
fn rfc_9293_3_10_7_4_an_old_segment_with_a_closed_window_stops_only_smoltcp() {
    let overtaken = SegmentPlan { window: 0, ..SegmentPlan::ack() };
    let steps = [Step::Segment(text(100, 10)), Step::Segment(overtaken), Step::Write(100)];
    shows("an old window", Aspect::Sent, &steps);
}

#[test]
fn rfc_2018_4_two_gaps_are_told_only_by_drywire() {
    let steps = [Step::Segment(text(100, 10)), Step::Segment(text(300, 10))];
    shows("one SACK block, and none of duplicates", Aspect::Sack, &steps);
}

#[test]
fn rfc_9293_3_10_4_close_in_syn_sent_is_silent_only_in_drywire() {
    let outcome = play(&Setup::plain(false), &[Step::Shutdown], |_| {}).unwrap();
    assert!(outcome.met["shutdown in SYN-SENT"].contains(&Aspect::Reset));
}

#[test]
fn rfc_9293_3_10_7_4_a_fin_behind_known_text_counts_only_for_drywire() {
    let again = SegmentPlan { flags: Flags::FIN | Flags::ACK, ..text(before(8), 8) };
    let steps = [Step::Segment(text(0, 8)), Step::Segment(again)];
    shows("a FIN behind text that is all known", Aspect::State, &steps);
}

#[test]
fn rfc_9293_3_10_7_4_a_fin_behind_text_that_was_cut_off_counts_only_for_smoltcp() {
    let too_much = SegmentPlan { flags: Flags::FIN | Flags::ACK, ..text(0, 7000) };
    shows("a FIN behind text that the window cuts off", Aspect::State, &[Step::Segment(too_much)]);
}

#[test]
fn rfc_2018_4_a_full_segment_has_no_room_for_blocks() {
    let narrow = SegmentPlan { window: 1000, ..text(100, 10) };
    let steps = [Step::Segment(narrow), Step::Write(3000), Step::Segment(text(0, 8))];
    shows("an acknowledgment that rides on text", Aspect::Sack, &steps);
}

/// A copy of drywire that leaves out one rule, which smoltcp keeps, and the scripts of chance that notice it.
#[track_caller]
fn noticed(rule: Rule) {
    let first = (0..20_000).find_map(|seed| play_seed(seed, |config| config.omit = Some(rule)).err());
    println!("{}", first.unwrap_or_else(|| panic!("a copy without {rule:?} passed")));
}

#[test]
fn a_copy_without_a_retransmission_timer_is_noticed() {
    noticed(Rule::RetransmissionTimer);
}

#[test]
fn a_copy_that_delivers_text_in_any_order_is_noticed() {
    noticed(Rule::TextOrder);
}

#[test]
fn a_copy_that_delivers_text_twice_is_noticed() {
    noticed(Rule::KnownText);
}

#[test]
fn a_copy_that_takes_a_fin_before_the_text_is_noticed() {
    noticed(Rule::FinOrder);
}

#[test]
fn a_copy_that_skips_time_wait_is_noticed() {
    noticed(Rule::TimeWait);
}

#[test]
fn a_copy_that_takes_back_its_window_is_noticed() {
    noticed(Rule::WindowEdge);
}

#[test]
fn a_copy_that_believes_any_acknowledgment_is_noticed() {
    noticed(Rule::AckRange);
}

#[test]
fn a_copy_that_takes_any_syn_ack_is_noticed() {
    noticed(Rule::SynAckNumber);
}

#[test]
fn a_copy_that_acknowledges_acknowledgments_is_noticed() {
    noticed(Rule::SilentAck);
}

#[test]
fn a_copy_that_obeys_any_reset_is_noticed() {
    noticed(Rule::ResetSequence);
}
