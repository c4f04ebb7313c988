//! What can be told about a connection at any time.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use super::Connection;
use crate::State;
use crate::congestion::Controller;

/// What a connection is doing and has done: what Linux tells in `tcp_info`, by names of our own.
///
/// Amounts are in bytes unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Info {
    /// The state (`tcpi_state`).
    pub state: State,
    /// The smoothed round-trip time, once one was measured (`tcpi_rtt`).
    pub rtt: Option<Duration>,
    /// Its variation (`tcpi_rttvar`).
    pub rtt_variation: Duration,
    /// The shortest of late (`tcpi_min_rtt`).
    pub min_rtt: Option<Duration>,
    /// The retransmission time-out, back-off included (`tcpi_rto`).
    pub rto: Duration,
    /// How often the time-out was doubled since the last measurement (`tcpi_backoff`).
    pub backoff: u32,
    /// Time-outs in a row without an answer (`tcpi_retransmits`).
    pub retransmits: u32,
    /// Probes of a closed window, or keep-alive probes, without an answer (`tcpi_probes`).
    pub probes: u32,
    /// There were so many time-outs in a row that another path should be looked for ([`Config::path_retries`], RFC 9293
    /// 3.8.3, R1).
    ///
    /// [`Config::path_retries`]: crate::Config::path_retries
    pub path_in_doubt: bool,
    /// The most text in a segment that we send (`tcpi_snd_mss`).
    pub snd_mss: u32,
    /// The most text in a segment that has come (`tcpi_rcv_mss`).
    pub rcv_mss: u32,
    /// The MSS that we announce (`tcpi_advmss`).
    pub advertised_mss: u32,
    /// The largest packet that we send, IP header included (`tcpi_pmtu`).
    pub path_mtu: u32,
    /// The congestion window (`tcpi_snd_cwnd`, there in segments).
    pub congestion_window: u32,
    /// The slow start threshold, once there was a loss (`tcpi_snd_ssthresh`, there in segments).
    pub slow_start_threshold: Option<u32>,
    /// What was sent and is not acknowledged, SYN and FIN included.
    pub unacknowledged: u32,
    /// How many segments that are (`tcpi_unacked`).
    pub segments_in_flight: u32,
    /// How many of them the peer holds (`tcpi_sacked`).
    pub segments_sacked: u32,
    /// How many of them are lost and wait for being sent again (`tcpi_lost`).
    pub segments_lost: u32,
    /// What is queued and was not yet sent (`tcpi_notsent_bytes`).
    pub unsent: usize,
    /// The window that the peer offers (`tcpi_snd_wnd`).
    pub snd_wnd: u32,
    /// The window that we offer (`tcpi_rcv_wnd`).
    pub rcv_wnd: u32,
    /// The size that the receive buffer may have at the moment (`tcpi_rcv_space`).
    pub receive_capacity: u32,
    /// Whether segments carry timestamps (`TCPI_OPT_TIMESTAMPS`).
    pub timestamps: bool,
    /// Whether both sides speak SACK (`TCPI_OPT_SACK`).
    pub sack: bool,
    /// Whether both sides use explicit congestion notification (`TCPI_OPT_ECN`).
    pub ecn: bool,
    /// Whether the peer has sent something that routers may mark (`TCPI_OPT_ECN_SEEN`).
    pub ecn_seen: bool,
    /// By how many bits the windows of the peer and ours are shifted, if they are (`TCPI_OPT_WSCALE`, `tcpi_snd_wscale`,
    /// `tcpi_rcv_wscale`).
    pub window_scale: Option<(u8, u8)>,
    /// How long ago data, or a SYN or FIN, was last sent (`tcpi_last_data_sent`).
    pub last_sent: Duration,
    /// How long ago something of the peer was last heard (`tcpi_last_ack_recv`).
    pub last_heard: Duration,
    /// What was counted.
    pub counters: Counters,
}

/// What a connection has counted since it began.
///
/// Counting changes nothing of what a connection does, so all counters are equal to one another, and connections that
/// differ only in them are equal.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Segments sent, those without text included (`tcpi_segs_out`).
    pub segments_sent: u64,
    /// Segments with text sent, also again (`tcpi_data_segs_out`). With segmentation offload each counts once.
    pub data_segments_sent: u64,
    /// Bytes of text sent, also again (`tcpi_bytes_sent`).
    pub bytes_sent: u64,
    /// Segments sent again, SYN and FIN included (`tcpi_total_retrans`).
    pub segments_retransmitted: u64,
    /// Bytes of text sent again (`tcpi_bytes_retrans`).
    pub bytes_retransmitted: u64,
    /// Bytes of text that the peer has acknowledged (`tcpi_bytes_acked`).
    pub bytes_acknowledged: u64,
    /// Segments that came from the peer, whatever became of them (`tcpi_segs_in`).
    pub segments_received: u64,
    /// Of these, those with text (`tcpi_data_segs_in`).
    pub data_segments_received: u64,
    /// Bytes of text that came in order (`tcpi_bytes_received`).
    pub bytes_received: u64,
    /// Segments that came behind a gap (`tcpi_rcv_ooopack`).
    pub segments_out_of_order: u64,
    /// Time-outs (`tcpi_total_rto`).
    pub timeouts: u64,
    /// Segments with text that came with a mark of congestion (`tcpi_received_ce`).
    pub marked_segments_received: u32,
    /// Segments that were delivered while the peer told of marks (`tcpi_delivered_ce`).
    pub marked_segments_delivered: u32,
}

impl PartialEq for Counters {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Counters {}

impl Hash for Counters {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Connection {
    /// What the connection is doing and has done.
    pub fn info(&self) -> Info {
        let sent = self.snd_nxt.since(self.snd_una) as usize;
        let opened = !matches!(self.state, State::Closed | State::Listen | State::SynSent);
        Info {
            state: self.state,
            rtt: self.rtt.srtt(),
            rtt_variation: self.rtt.variation(),
            min_rtt: self.rack.min_rtt(),
            rto: self.rtt.rto(),
            backoff: self.rtt.doublings(),
            retransmits: self.retries,
            probes: self.timers.probes.max(u32::from(self.timers.keep_alive_probes)),
            path_in_doubt: self.retries >= u32::from(self.config.path_retries),
            snd_mss: self.snd_mss,
            rcv_mss: self.rcv_mss,
            advertised_mss: u32::from(self.config.mss_for(self.local.is_ipv6())),
            path_mtu: self.snd_mss + self.overhead(),
            congestion_window: self.congestion.window(),
            slow_start_threshold: Some(self.congestion.threshold()).filter(|threshold| *threshold < u32::MAX),
            unacknowledged: self.snd_max.since(self.snd_una),
            segments_in_flight: self.flight.segments() as u32,
            segments_sacked: self.flight.sacked_segments(),
            segments_lost: self.flight.lost_segments() as u32,
            unsent: self.send.len().saturating_sub(sent),
            snd_wnd: self.snd_wnd,
            rcv_wnd: if opened { self.rcv_wnd() } else { 0 },
            receive_capacity: self.rcv_capacity,
            timestamps: self.echo.is_some(),
            sack: self.sack,
            ecn: self.marking.is_full(),
            ecn_seen: self.marking.seen,
            window_scale: self.scaling.then_some((self.snd_shift, self.rcv_shift)),
            last_sent: self.now - self.last_sent,
            last_heard: self.now - self.heard,
            counters: self.counters,
        }
    }
}
