//! What the user may choose.

use alloc::sync::Arc;
use core::time::Duration;

use crate::congestion::Congestion;

/// The settings of one [`Connection`](crate::Connection).
///
/// Every value is usable: those that make no sense are moved to the nearest one that does, as each field says.
///
/// ```
/// use core::time::Duration;
/// use drywire_tcp::Config;
///
/// let config = Config { time_wait: Duration::from_secs(10), ..Config::default() };
/// assert_eq!(config.mss, 1460);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The largest payload of a segment over IPv4, in bytes, that we announce and that we send; over IPv6, whose header
    /// is longer, it is 20 less. Default 1460 (Ethernet), at least 88. RFC 9293 3.7.1.
    pub mss: u16,
    /// How many received bytes are held at most: those in the receive buffer and those out of order. This is the
    /// receive window; its scale on the wire can round it up by a few bytes. Default 4 MiB, at least 1 byte, at most
    /// 1 GiB - 16 KiB (RFC 7323 2.3).
    pub recv_capacity: usize,
    /// How many of these there are at first. More come while the user takes so much in a round trip that the window
    /// would hold the peer back. Default 256 KiB, at least 1 byte, at most `recv_capacity`.
    pub initial_recv_capacity: usize,
    /// How many bytes are queued at most for sending, those in flight included. Default 256 KiB, at least 1 byte,
    /// at most 1 GiB.
    pub send_capacity: usize,
    /// How many separate pieces of out-of-order data are held at most; what comes beyond is dropped, and the peer
    /// sends it again. Default 128.
    pub max_out_of_order: usize,
    /// How the congestion window moves. Default CUBIC (RFC 9438).
    pub congestion: Congestion,
    /// The first congestion window, in segments. Default 10 (RFC 6928), at least 1.
    pub initial_window: u8,
    /// The retransmission time-out before anything was measured. Default 1 s (RFC 6298 2.1).
    pub initial_rto: Duration,
    /// The shortest retransmission time-out. Default 200 ms: RFC 6298 2.4 asks for 1 s, which was chosen for coarse
    /// clocks; every large system of today uses 200 ms or less. At least 1 ms.
    pub min_rto: Duration,
    /// The longest retransmission time-out and probe interval. Default 60 s (RFC 6298 2.5), at least `min_rto`.
    pub max_rto: Duration,
    /// How often an unanswered SYN is sent again before the connection gives up. Default 6 (RFC 9293 3.8.3 asks for at
    /// least three minutes; this gives two with the default time-outs, as Linux does).
    pub syn_retries: u8,
    /// How often an unanswered SYN-ACK is sent again before the connection gives up. Default 5: whoever called is
    /// there to call again.
    pub syn_ack_retries: u8,
    /// After how many retransmissions of the same data another path should be looked for. Default 3 (RFC 9293 3.8.3,
    /// R1); see [`Info::path_in_doubt`](crate::Info::path_in_doubt).
    pub path_retries: u8,
    /// How often data, a FIN or a window probe without an answer is sent again before the connection gives up.
    /// Default 15 (RFC 9293 3.8.3, R2).
    pub data_retries: u8,
    /// How long what was queued may stay unacknowledged before the connection gives up, whatever the retries. Also a
    /// peer that keeps its window closed for so long loses the connection. Default none; at least 1 ms. RFC 9293
    /// 3.9.1 and the local side of RFC 5482.
    pub user_timeout: Option<Duration>,
    /// Whether, when and how often a silent peer is asked whether it is still there. Default none (RFC 9293 3.8.4).
    pub keep_alive: Option<KeepAlive>,
    /// Sends a small segment also while another is not yet acknowledged: Nagle's algorithm is off. Default false (RFC 9293
    /// 3.7.4).
    pub no_delay: bool,
    /// How long the acknowledgment of less than two full segments may wait for company. Default 40 ms, at most 500 ms
    /// (RFC 9293 3.8.6.3); zero answers every segment at once.
    pub delayed_ack: Duration,
    /// How many of the first acknowledgments never wait, because a sender in slow start lives on them. After a loss the
    /// sender's window is small, and twice as many do not wait. Default 16.
    pub quick_acks: u8,
    /// Whether timestamps are offered and accepted (RFC 7323 3). They measure the round-trip time of what was sent twice
    /// and cost 12 bytes a segment. Default true.
    pub timestamps: bool,
    /// Whether selective acknowledgments are offered and accepted (RFC 2018): what arrived behind a loss is then not sent
    /// again. Default true.
    pub sack: bool,
    /// Whether explicit congestion notification is used (RFC 3168): routers then mark segments instead of dropping them.
    /// Default [`EcnMode::Accept`].
    pub ecn: EcnMode,
    /// How long TIME-WAIT lasts: two maximum segment lifetimes. Default 60 s.
    pub time_wait: Duration,
    /// How long FIN-WAIT-2 lasts at most where nobody reads any more: after both
    /// [`Connection::shutdown`](crate::Connection::shutdown) and
    /// [`Connection::shutdown_read`](crate::Connection::shutdown_read). What then still arrives finds no connection and is
    /// answered with an RST. `None` is for ever. Default 60 s (RFC 1122 4.2.2.13; `tcp_fin_timeout` in Linux); at least
    /// 1 ms.
    pub fin_wait_2: Option<Duration>,
    /// What becomes of data that arrives after [`Connection::shutdown_read`](crate::Connection::shutdown_read). Default
    /// an RST.
    pub late_data: LateData,
    /// Whether [`Connection::poll_transmit`](crate::Connection::poll_transmit) may give segments of nearly 64 KiB, which
    /// whoever sends them cuts to the MSS (see [`Transmit::gso_size`](crate::Transmit::gso_size)). Default false.
    pub segmentation_offload: bool,
    /// Whether the checksum of text is left to whoever sends it (see
    /// [`Transmit::partial_checksum`](crate::Transmit::partial_checksum)). Default false.
    pub checksum_offload: bool,
    /// How many ACKs a second may answer segments that look forged or out of place (RFC 5961 7). Default 10.
    pub challenge_acks: u16,
    /// The rule that this broken copy of TCP leaves out. Default none.
    #[cfg(feature = "fault-injection")]
    pub omit: Option<Rule>,
}

/// With whom explicit congestion notification is used (RFC 3168 6.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnMode {
    /// With nobody.
    Off,
    /// With peers that ask for it.
    #[default]
    Accept,
    /// With those, and our own SYNs ask for it. If such a SYN is lost or refused, the next one does not (RFC 3168 6.1.1.1).
    Request,
}

/// What becomes of data that arrives when nobody wants it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LateData {
    /// It is answered with an RST, so that the peer knows that it was lost (RFC 9293 3.6.1).
    #[default]
    Reset,
    /// It is acknowledged and dropped, for the sake of a peer that only closes once everything was taken.
    Drop,
}

/// How a peer of which nothing is heard is asked whether it is still there (RFC 9293 3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeepAlive {
    /// How long nothing must be heard before the first probe. Default two hours, at least 1 ms.
    pub idle: Duration,
    /// How long each probe waits for an answer. Default 75 s, at least 1 ms.
    pub interval: Duration,
    /// After how many unanswered probes the connection is given up. Default 9, at least 2, as one may be lost
    /// (MUST-29).
    pub count: u8,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(2 * 60 * 60), interval: Duration::from_secs(75), count: 9 }
    }
}

impl Config {
    /// The least payload size that we use, whatever the peer announces: smaller ones cost more in headers than they
    /// carry, and are only ever seen in attacks.
    pub(crate) const MIN_MSS: u16 = 68;
    const MAX_SEND_CAPACITY: usize = 1 << 30;
    const MAX_RECV_CAPACITY: usize = (u16::MAX as usize) << Self::MAX_SHIFT;
    /// No interval is shorter.
    const TICK: Duration = Duration::from_millis(1);
    /// RFC 7323 2.3.
    pub(crate) const MAX_SHIFT: u8 = 14;

    /// Whether this is a copy of TCP that was broken on purpose, by leaving out `rule`.
    #[cfg_attr(not(feature = "fault-injection"), allow(clippy::unused_self, reason = "a whole copy omits nothing"))]
    #[inline]
    pub(crate) fn omits(&self, rule: Rule) -> bool {
        #[cfg(feature = "fault-injection")]
        return self.omit == Some(rule);
        #[cfg(not(feature = "fault-injection"))]
        return {
            let _ = rule;
            false
        };
    }

    /// With every value in its documented range.
    pub(crate) fn sanitized(mut self) -> Self {
        // Over IPv6 20 bytes less remain.
        self.mss = self.mss.max(Self::MIN_MSS + 20);
        self.recv_capacity = self.recv_capacity.clamp(1, Self::MAX_RECV_CAPACITY);
        self.initial_recv_capacity = self.initial_recv_capacity.clamp(1, self.recv_capacity);
        self.send_capacity = self.send_capacity.clamp(1, Self::MAX_SEND_CAPACITY);
        self.initial_window = self.initial_window.max(1);
        self.min_rto = self.min_rto.max(Self::TICK);
        self.max_rto = self.max_rto.max(self.min_rto);
        self.initial_rto = self.initial_rto.max(self.min_rto).min(self.max_rto);
        self.fin_wait_2 = self.fin_wait_2.map(|timeout| timeout.max(Self::TICK));
        self.user_timeout = self.user_timeout.map(|timeout| timeout.max(Self::TICK));
        self.keep_alive = self.keep_alive.map(|KeepAlive { idle, interval, count }| KeepAlive {
            idle: idle.max(Self::TICK),
            interval: interval.max(Self::TICK),
            count: count.max(2),
        });
        self.delayed_ack = self.delayed_ack.min(Duration::from_millis(500));
        self
    }

    /// What the receive buffer may hold at first.
    pub(crate) fn initial_capacity(&self) -> u32 {
        // `sanitized` keeps it below 2^30.
        self.initial_recv_capacity as u32
    }

    /// The same with every value in its documented range, and shared with whoever else holds it if that changes nothing.
    pub(crate) fn shared(config: Arc<Self>) -> Arc<Self> {
        let sane = (*config).clone().sanitized();
        if sane == *config { config } else { Arc::new(sane) }
    }

    /// Our MSS between addresses of this family.
    pub(crate) fn mss_for(&self, ipv6: bool) -> u16 {
        self.mss - if ipv6 { 20 } else { 0 }
    }

    /// The least shift that makes the whole receive capacity fit into the window field (RFC 7323 2.2).
    pub(crate) fn window_shift(&self) -> u8 {
        (0..Self::MAX_SHIFT).find(|shift| u16::try_from(self.recv_capacity >> shift).is_ok()).unwrap_or(Self::MAX_SHIFT)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mss: 1460,
            recv_capacity: 4 * 1024 * 1024,
            initial_recv_capacity: 256 * 1024,
            send_capacity: 256 * 1024,
            max_out_of_order: 128,
            congestion: Congestion::default(),
            initial_window: 10,
            initial_rto: Duration::from_secs(1),
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(60),
            syn_retries: 6,
            syn_ack_retries: 5,
            path_retries: 3,
            data_retries: 15,
            user_timeout: None,
            keep_alive: None,
            no_delay: false,
            delayed_ack: Duration::from_millis(40),
            quick_acks: 16,
            timestamps: true,
            sack: true,
            ecn: EcnMode::Accept,
            time_wait: Duration::from_secs(60),
            fin_wait_2: Some(Duration::from_secs(60)),
            late_data: LateData::Reset,
            segmentation_offload: false,
            checksum_offload: false,
            challenge_acks: 10,
            #[cfg(feature = "fault-injection")]
            omit: None,
        }
    }
}

/// A rule of TCP that a broken copy can leave out, to prove that the tests notice.
///
/// Without the feature `fault-injection` no copy can be made, and the questions for it cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "fault-injection"), allow(unreachable_pub, reason = "public where copies can be made"))]
pub enum Rule {
    /// A retransmission timer runs while anything is in flight (RFC 6298 5.1).
    RetransmissionTimer,
    /// An RST counts only exactly at RCV.NXT (RFC 9293 3.10.7.4 first and second, RFC 5961 3.2).
    ResetSequence,
    /// Text is delivered only in order (RFC 9293 3.10.7.4, seventh).
    TextOrder,
    /// What was received before is not delivered again (RFC 9293 3.10.7.4, first and seventh).
    KnownText,
    /// A FIN counts only behind everything before it (RFC 9293 3.10.7.4, eighth).
    FinOrder,
    /// Whoever closes first waits for twice the maximum segment lifetime (RFC 9293 3.6.1).
    TimeWait,
    /// The right edge of the window is never taken back (RFC 9293 3.8.6).
    WindowEdge,
    /// An acknowledgment of what was never sent is not taken (RFC 9293 3.10.7.4, fifth).
    AckRange,
    /// A SYN-ACK must acknowledge our SYN (RFC 9293 3.10.7.3, first).
    SynAckNumber,
    /// An acknowledgment without text in the window gets no answer (RFC 9293 3.10.7.4, fifth).
    SilentAck,
}
