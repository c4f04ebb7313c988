//! The timestamps option: round-trip times of what was sent twice, and protection against wrapped sequence numbers
//! (RFC 7323 3 to 5).

use core::time::Duration;

use drywire_core::Instant;

use super::Connection;
use crate::{Flags, Header, SeqNumber, Timestamps};

/// What a connection keeps once both sides have sent the option with their SYN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Echo {
    /// TS.Recent: the peer's clock, as it is to be echoed.
    recent: u32,
    recent_at: Instant,
    /// Last.ACK.sent.
    last_ack_sent: SeqNumber,
}

/// How much room the option takes in every segment, its padding included.
pub(super) const OPTION_LEN: u32 = 12;

/// RFC 7323 5.5: after so long without a segment the peer's clock may have wrapped.
const OUTDATED: Duration = Duration::from_secs(24 * 24 * 60 * 60);

impl Echo {
    pub(super) fn new(timestamps: Timestamps, now: Instant, rcv_nxt: SeqNumber) -> Self {
        Self { recent: timestamps.value, recent_at: now, last_ack_sent: rcv_nxt }
    }

    #[cfg(feature = "explore")]
    pub(super) fn forget_time(&mut self, now: Instant) {
        self.recent_at = now;
    }

    pub(super) fn recent(&self) -> u32 {
        self.recent
    }
}

impl Connection {
    /// Our clock: milliseconds (RFC 7323 5.4), from an origin that differs between connections (7.1).
    pub(super) fn clock(&self) -> u32 {
        (self.now.as_millis() as u32).wrapping_add(self.iss.value())
    }

    /// The option for a SYN or SYN-ACK: the first SYN offers it, all others answer what the peer has offered.
    pub(super) fn syn_timestamps(&self, answers: bool) -> Option<Timestamps> {
        let offered = if answers { self.echo.is_some() } else { self.config.timestamps };
        let echo = self.echo.as_ref().map_or(0, |echo| echo.recent);
        offered.then(|| Timestamps { value: self.clock(), echo })
    }

    /// The option for every later segment but an RST (RFC 7323 3.2), which acknowledges up to RCV.NXT.
    pub(super) fn stream_timestamps(&mut self) -> Option<Timestamps> {
        let value = self.clock();
        let echo = self.echo.as_mut()?;
        echo.last_ack_sent = self.rcv_nxt;
        Some(Timestamps { value, echo: echo.recent })
    }

    /// Whether the segment lacks the option that it must have (RFC 7323 3.2): it is dropped without an answer. A SYN
    /// may be that of a peer that has restarted, and gets its challenge (RFC 5961 4.2).
    pub(super) fn lacks_timestamps(&self, header: &Header) -> bool {
        self.echo.is_some() && header.options.timestamps.is_none() && !header.flags.intersects(Flags::RST | Flags::SYN)
    }

    /// PAWS (RFC 7323 5.3, R1): whether the segment is older than what has already arrived.
    pub(super) fn is_outdated(&self, header: &Header) -> bool {
        let (Some(echo), Some(timestamps)) = (&self.echo, header.options.timestamps) else { return false };
        SeqNumber::new(timestamps.value).before(SeqNumber::new(echo.recent))
            && !header.flags.contains(Flags::RST)
            && self.now - echo.recent_at < OUTDATED
    }

    /// Whether the option is there where it must be, and nowhere else, and not older than what has already arrived.
    pub(super) fn expects_timestamps(&self, timestamps: Option<Timestamps>) -> bool {
        match (&self.echo, timestamps) {
            (None, None) => true,
            (Some(echo), Some(it)) => SeqNumber::new(it.value).at_or_after(SeqNumber::new(echo.recent)),
            _ => false,
        }
    }

    /// RFC 7323 5.3, R3: the timestamp of an acceptable segment, if it is the one that the next acknowledgment answers.
    pub(super) fn keep_timestamp(&mut self, seq: SeqNumber, timestamps: Option<Timestamps>) {
        if let (Some(echo), Some(timestamps)) = (&mut self.echo, timestamps)
            && seq.at_or_before(echo.last_ack_sent)
        {
            (echo.recent, echo.recent_at) = (timestamps.value, self.now);
        }
    }

    /// Whether the echo in an acknowledgment may be the answer to what was sent at a time (RFC 8985 6.2, step 2).
    pub(super) fn answers(&self, header: &Header) -> impl Fn(Instant) -> bool + use<> {
        let echo = self.echo.as_ref().and(header.options.timestamps).map(|timestamps| timestamps.echo);
        let origin = self.iss.value();
        move |time| {
            let clock = (time.as_millis() as u32).wrapping_add(origin);
            echo.is_none_or(|echo| SeqNumber::new(echo).at_or_after(SeqNumber::new(clock)))
        }
    }

    /// How long ago our clock stood where an acknowledgment echoes it.
    pub(super) fn age_of_echo(&self, header: &Header) -> Duration {
        let echo = header.options.timestamps.map_or(self.clock(), |timestamps| timestamps.echo);
        Duration::from_millis(self.clock().wrapping_sub(echo).into())
    }

    /// The round-trip time of what was sent again, if an acknowledgment of new data echoes our clock of then or later
    /// (RFC 7323 4.1).
    ///
    /// An older echo answers the first sending, or, if the answer to that was lost, a second one that the peer did not
    /// need. Both are ambiguous as ever (RFC 6298 3), and the latter would feed the time-out back into itself.
    pub(super) fn echoed_rtt(&self, header: &Header) -> Option<Duration> {
        self.echo.as_ref()?;
        let elapsed = u64::from(self.clock().wrapping_sub(header.options.timestamps?.echo));
        // Within half of the clock's range: beyond, it comes from the future.
        let since = (self.now - self.resent_at).as_millis().min(u128::from(u32::MAX / 2));
        (u128::from(elapsed) <= since).then(|| Duration::from_millis(elapsed))
    }
}
