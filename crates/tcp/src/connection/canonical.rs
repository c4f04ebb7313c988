//! A connection without its history in time: the canonical form in which exhaustive exploration compares states.

use core::time::Duration;

use drywire_core::Instant;

use super::{Challenges, Connection};
use crate::SeqNumber;
use crate::congestion::Controller;
use crate::rtt::RttEstimator;

/// The sequence variables of a connection (RFC 9293 3.3.1), for whoever checks them from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// ISS: our initial sequence number.
    pub iss: SeqNumber,
    /// SND.UNA: the oldest unacknowledged sequence number.
    pub snd_una: SeqNumber,
    /// SND.NXT: the next to send.
    pub snd_nxt: SeqNumber,
    /// The next that was never sent.
    pub snd_max: SeqNumber,
    /// IRS: the peer's initial sequence number. Counts once its SYN has arrived.
    pub irs: SeqNumber,
    /// RCV.NXT: the next that is expected.
    pub rcv_nxt: SeqNumber,
}

impl Connection {
    /// The sequence variables.
    pub fn sequence(&self) -> Sequence {
        let &Self { iss, snd_una, snd_nxt, snd_max, irs, rcv_nxt, .. } = self;
        Sequence { iss, snd_una, snd_nxt, snd_max, irs, rcv_nxt }
    }

    /// Turns the clock to `now` without anything becoming due, and forgets all that was measured. Two connections that
    /// differ only in when things happened become equal.
    ///
    /// - Deadlines keep their distance to the clock. With [`Config::min_rto`](crate::Config::min_rto) equal to
    ///   [`Config::max_rto`](crate::Config::max_rto) the distances are few.
    /// - Round-trip times, back-off, congestion window, and when something was last sent or sent again are as at the
    ///   beginning.
    /// - Acknowledgments are quick for ever, unless [`Config::quick_acks`](crate::Config::quick_acks) is zero.
    /// - What counts time-outs towards a limit stays. Probes of a closed window have none and count as one.
    ///
    /// Every field is named here, so that whoever adds one decides what becomes of it: what holds an [`Instant`] or a
    /// [`Duration`] or counts without a bound is normalized, everything else is part of the state.
    pub fn forget_time(&mut self, now: Instant) {
        let Self {
            now: clock,
            config,
            snd_mss,
            last_sent,
            resent_at,
            echo,
            heard,
            taken,
            rcv_nxt,
            quick_acks,
            challenges,
            rtt,
            timers,
            congestion,
            flight,
            rack,
            rare,
            recovery,
            // State, as it is:
            local: _,
            remote: _,
            state: _,
            passive: _,
            challenge_allowance: _,
            iss: _,
            snd_una: _,
            snd_nxt: _,
            snd_max: _,
            snd_wnd: _,
            snd_wl1: _,
            snd_wl2: _,
            max_snd_wnd: _,
            snd_shift: _,
            send: _,
            shutdown_queued: _,
            probe: _,
            keep_alive_due: _,
            snd_sml: _,
            irs: _,
            rcv_edge: _,
            rcv_adv: _,
            rcv_shift: _,
            rcv_capacity: _,
            scaling: _,
            sack: _,
            reporter: _,
            recv: _,
            recv_shutdown: _,
            assembler: _,
            rcv_fin: _,
            rcv_acked: _,
            rcv_mss: _,
            waited_in_vain: _,
            ack_now: _,
            duplicate_acks: _,
            reply: _,
            refusal: _,
            retries: _,
            unreachable: _,
            marking: _,
            counters: _,
            events: _,
        } = self;
        let then = core::mem::replace(clock, now);
        for deadline in timers.deadlines() {
            *deadline = now + (*deadline - then);
        }
        timers.probes = timers.probes.min(1);
        (*last_sent, *resent_at) = (now, now);
        // Only a silence shorter than the keep-alive's makes a difference.
        let silence = config.keep_alive.map_or(Duration::ZERO, |it| it.idle.min(then - *heard));
        *heard = Instant::from_nanos(now.as_nanos().saturating_sub(silence.as_nanos() as u64));
        *quick_acks = config.quick_acks;
        flight.forget_time(now);
        rack.forget_time(now);
        if let Some(rare) = rare {
            rare.forget_time(now);
        }
        // What a window was before is as forgotten as what it is.
        recovery.undo = None;
        *taken = (*rcv_nxt, now);
        if let Some(echo) = echo {
            echo.forget_time(now);
        }
        if then - challenges.since >= Duration::from_secs(1) {
            *challenges = Challenges::default();
        } else {
            challenges.since = now;
        }
        *rtt = RttEstimator::new(config);
        *congestion = config.congestion.clone();
        congestion.start(*snd_mss, *snd_mss * u32::from(config.initial_window));
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use bytes::BytesMut;

    use super::*;
    use crate::Config;

    #[test]
    fn connections_that_differ_in_time_alone_become_equal() {
        let (local, remote): (SocketAddr, SocketAddr) =
            ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        let rto = Duration::from_secs(1);
        let config = Config { min_rto: rto, max_rto: rto, ..Config::default() };
        let opened_at = |start: Instant| {
            let mut connection = Connection::connect(start, local, remote, SeqNumber::new(7), config.clone());
            connection.poll_transmit(start, &mut BytesMut::new()).unwrap();
            connection.handle_timeout(start + rto);
            connection
        };
        let (mut early, mut late) = (opened_at(Instant::from_secs(10)), opened_at(Instant::from_secs(20)));
        assert_ne!(early, late);
        let now = Instant::from_secs(1000);
        early.forget_time(now);
        late.forget_time(now);
        assert_eq!(early, late);
        assert_eq!(early.poll_timeout(), Some(now + rto));
    }
}
