//! The names that assertions may use.

use std::time::Duration;

use drywire::tcp::{Info, State};

use super::host::Host;

/// The value of `name` for the connection under test: `tcp_info` as Linux has it, and the constants for its states.
pub(super) fn value(host: &Host, name: &str) -> Option<i64> {
    Some(match name {
        "tcpi_state" => code(host.state()?),
        "TCP_ESTABLISHED" => code(State::Established),
        "TCP_SYN_SENT" => code(State::SynSent),
        "TCP_SYN_RECV" => code(State::SynReceived),
        "TCP_FIN_WAIT1" => code(State::FinWait1),
        "TCP_FIN_WAIT2" => code(State::FinWait2),
        "TCP_TIME_WAIT" => code(State::TimeWait),
        "TCP_CLOSE" => code(State::Closed),
        "TCP_CLOSE_WAIT" => code(State::CloseWait),
        "TCP_LAST_ACK" => code(State::LastAck),
        "TCP_LISTEN" => code(State::Listen),
        "TCP_CLOSING" => code(State::Closing),
        "TCPI_OPT_TIMESTAMPS" => 1,
        "TCPI_OPT_SACK" => 2,
        "TCPI_OPT_WSCALE" => 4,
        "TCPI_OPT_ECN" => 8,
        "TCPI_OPT_ECN_SEEN" => 16,
        _ => return of_connection(&host.subject()?.info(), name),
    })
}

/// Durations are in microseconds and windows in segments, as in Linux.
fn of_connection(info: &Info, name: &str) -> Option<i64> {
    let counters = &info.counters;
    let value = match name {
        "tcpi_rtt" => micros(info.rtt?),
        "tcpi_rttvar" => micros(info.rtt_variation),
        "tcpi_min_rtt" => micros(info.min_rtt?),
        "tcpi_rto" => micros(info.rto),
        "tcpi_backoff" => info.backoff.into(),
        "tcpi_retransmits" => info.retransmits.into(),
        "tcpi_probes" => info.probes.into(),
        "tcpi_snd_mss" => info.snd_mss.into(),
        "tcpi_rcv_mss" => info.rcv_mss.into(),
        "tcpi_advmss" => info.advertised_mss.into(),
        "tcpi_pmtu" => info.path_mtu.into(),
        "tcpi_snd_cwnd" => u64::from(info.congestion_window / info.snd_mss.max(1)),
        "tcpi_snd_ssthresh" => u64::from(info.slow_start_threshold? / info.snd_mss.max(1)),
        "tcpi_unacked" => info.segments_in_flight.into(),
        "tcpi_sacked" => info.segments_sacked.into(),
        "tcpi_lost" => info.segments_lost.into(),
        "tcpi_notsent_bytes" => info.unsent as u64,
        "tcpi_snd_wnd" => info.snd_wnd.into(),
        "tcpi_rcv_wnd" => info.rcv_wnd.into(),
        "tcpi_last_data_sent" => millis(info.last_sent),
        "tcpi_last_ack_recv" => millis(info.last_heard),
        "tcpi_segs_out" => counters.segments_sent,
        "tcpi_data_segs_out" => counters.data_segments_sent,
        "tcpi_bytes_sent" => counters.bytes_sent,
        "tcpi_total_retrans" => counters.segments_retransmitted,
        "tcpi_bytes_retrans" => counters.bytes_retransmitted,
        "tcpi_bytes_acked" => counters.bytes_acknowledged,
        "tcpi_segs_in" => counters.segments_received,
        "tcpi_data_segs_in" => counters.data_segments_received,
        "tcpi_bytes_received" => counters.bytes_received,
        "tcpi_rcv_ooopack" => counters.segments_out_of_order,
        "tcpi_total_rto" => counters.timeouts,
        "tcpi_received_ce" => counters.marked_segments_received.into(),
        "tcpi_delivered_ce" => counters.marked_segments_delivered.into(),
        "tcpi_options" => options(info),
        _ => return None,
    };
    i64::try_from(value).ok()
}

/// Bits as in Linux's `tcp.h`.
fn options(info: &Info) -> u64 {
    let agreed = [info.timestamps, info.sack, info.window_scale.is_some(), info.ecn, info.ecn_seen];
    agreed.into_iter().rev().fold(0, |bits, it| bits << 1 | u64::from(it))
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// The number of a state in Linux's `tcp_states.h`.
const fn code(state: State) -> i64 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}
