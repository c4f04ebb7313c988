//! What is due (RFC 9293 3.10.8, RFC 6298 5).

use drywire_core::Instant;

use super::{CloseReason, Connection};
use crate::config::Rule;
use crate::{Input, KeepAlive, State};

/// The deadlines of a connection. [`Instant::MAX`] never comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Timers {
    /// Something in flight was not acknowledged.
    pub(super) retransmit: Option<Instant>,
    /// The last segment in flight may be lost (RFC 8985 7.2).
    pub(super) tail_loss: Option<Instant>,
    /// Segments that were overtaken by others count as lost (RFC 8985 6.2).
    pub(super) reorder: Option<Instant>,
    /// The peer's window has been closed, or too small, for so long that it must be probed.
    pub(super) persist: Option<Instant>,
    /// How often the persist timer went off since the window closed.
    pub(super) probes: u32,
    /// An acknowledgment has waited long enough for company.
    pub(super) delayed_ack: Option<Instant>,
    /// Nothing was heard, or so it seems, for so long that the peer must be asked.
    pub(super) keep_alive: Option<Instant>,
    /// How often it was asked since something was heard.
    pub(super) keep_alive_probes: u8,
    /// What is queued was not acknowledged for as long as the user wants to wait.
    pub(super) user: Option<Instant>,
    /// TIME-WAIT is over, or FIN-WAIT-2 has lasted for too long.
    pub(super) linger: Option<Instant>,
}

impl Timers {
    fn next(&self) -> Option<Instant> {
        let lost = [self.retransmit, self.tail_loss, self.reorder];
        let other = [self.persist, self.delayed_ack, self.keep_alive, self.user, self.linger];
        lost.into_iter().chain(other).flatten().min().filter(|at| *at < Instant::MAX)
    }

    /// Those that are set.
    #[cfg(feature = "explore")]
    pub(super) fn deadlines(&mut self) -> impl Iterator<Item = &mut Instant> {
        let Self {
            retransmit,
            tail_loss,
            reorder,
            persist,
            delayed_ack,
            keep_alive,
            user,
            linger,
            probes: _,
            keep_alive_probes: _,
        } = self;
        [retransmit, tail_loss, reorder, persist, delayed_ack, keep_alive, user, linger].into_iter().flatten()
    }

    pub(super) fn stop_persist(&mut self) {
        (self.persist, self.probes) = (None, 0);
    }
}

impl Connection {
    /// The next instant at which [`handle_timeout`](Self::handle_timeout) has work, or `None` if there is none unless
    /// something else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does the work that is due at `now`; calling it early does nothing. Afterwards
    /// [`poll_timeout`](Self::poll_timeout) is `None` or later than `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        if self.is_due(self.timers.linger) {
            match self.state {
                // RFC 9293 3.10.8, TIME-WAIT timeout.
                State::TimeWait => self.close(Input::TimeWaitOver, CloseReason::Normal),
                _ => self.close(Input::GiveUp, CloseReason::TimedOut),
            }
        }
        if self.is_due(self.timers.user) {
            // RFC 9293 3.10.8, USER TIMEOUT.
            self.close(Input::GiveUp, CloseReason::UserTimeout);
        }
        if self.is_due(self.timers.delayed_ack) {
            self.on_delayed_ack_timeout();
        }
        if self.is_due(self.timers.keep_alive) {
            self.on_keep_alive();
        }
        if self.is_due(self.timers.reorder) {
            self.on_reorder_timeout();
        }
        // Before the retransmission timer, which it starts again.
        if self.is_due(self.timers.tail_loss) {
            self.on_tail_loss_timeout();
        }
        if self.is_due(self.timers.retransmit) {
            self.on_retransmission_timeout();
        }
        if self.is_due(self.timers.persist) {
            self.on_persist_timeout();
        }
    }

    fn is_due(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|at| at <= self.now && at < Instant::MAX)
    }

    /// RFC 6298 5.4 to 5.7.
    fn on_retransmission_timeout(&mut self) {
        if self.marking.take_pause() && self.snd_una == self.snd_max {
            // RFC 3168 6.1.2: nothing is lost, but now something may leave.
            self.timers.retransmit = None;
            return;
        }
        let handshake = !self.state.is_synchronized();
        let limit = match self.state {
            State::SynSent => self.config.syn_retries,
            State::SynReceived => self.config.syn_ack_retries,
            _ => self.config.data_retries,
        };
        if self.retries >= u32::from(limit) {
            return self.close(Input::GiveUp, self.given_up());
        }
        if handshake {
            self.withdraw_ecn();
            self.go_back();
        } else {
            self.on_loss_timeout();
        }
        self.retries += 1;
        self.counters.timeouts += 1;
        self.rtt.back_off();
        self.timers.retransmit = Some(self.now + self.rtt.rto());
    }

    /// RFC 9293 3.8.6.1: probe, and wait twice as long for the next time.
    fn on_persist_timeout(&mut self) {
        if self.retries >= u32::from(self.config.data_retries) {
            return self.close(Input::GiveUp, self.given_up());
        }
        self.retries += 1;
        self.probe = true;
        self.timers.probes = self.timers.probes.saturating_add(1);
        self.timers.persist = Some(self.now + self.rtt.backed_off(self.timers.probes));
    }

    /// RFC 9293 3.8.4: asks a silent peer whether it is still there.
    ///
    /// The timer is not moved by every segment that arrives, so it looks here whether there was one.
    fn on_keep_alive(&mut self) {
        let Some(KeepAlive { idle, interval, count }) = self.config.keep_alive else { return };
        let quiet = self.now - self.heard;
        let next = if self.snd_max.after(self.snd_una) || !self.send.is_empty() {
            // What is in flight asks already.
            idle
        } else if quiet < idle {
            idle.saturating_sub(quiet)
        } else if self.timers.keep_alive_probes >= count {
            return self.close(Input::GiveUp, CloseReason::TimedOut);
        } else {
            self.timers.keep_alive_probes += 1;
            self.keep_alive_due = true;
            interval
        };
        self.timers.keep_alive = Some(self.now + next);
    }

    /// Something is heard of the peer.
    pub(super) fn start_keep_alive(&mut self) {
        self.heard = self.now;
        self.timers.keep_alive = self.config.keep_alive.map(|it| self.now + it.idle);
    }

    /// Something waits for an acknowledgment from now on.
    pub(super) fn start_user_timer(&mut self) {
        if self.timers.user.is_none() {
            self.restart_user_timer();
        }
    }

    /// The peer has acknowledged something, but not everything.
    pub(super) fn restart_user_timer(&mut self) {
        self.timers.user = self.config.user_timeout.map(|timeout| self.now + timeout);
    }

    /// Everything from SND.UNA on is sent again as the windows allow.
    pub(super) fn go_back(&mut self) {
        self.snd_nxt = self.snd_una;
        self.send.rewind();
        self.forget_flight();
    }

    /// RFC 6298 5.1: runs from the first segment in flight.
    pub(super) fn start_retransmission_timer(&mut self) {
        if self.timers.retransmit.is_none() && !self.config.omits(Rule::RetransmissionTimer) {
            self.timers.retransmit = Some(self.now + self.rtt.rto());
        }
    }

    /// FIN-WAIT-2 has no other timer, and a peer may never close. Where nobody reads any more, nobody waits for that
    /// either, so it ends by itself (RFC 1122 4.2.2.13; RFC 9293 3.6.1 does not forbid it).
    pub(super) fn bound_fin_wait_2(&mut self) {
        if self.state == State::FinWait2 && self.recv_shutdown && self.timers.linger.is_none() {
            self.timers.linger = self.config.fin_wait_2.map(|timeout| self.now + timeout);
        }
    }

    /// Enters TIME-WAIT, or starts it again (RFC 9293 3.10.7.4, eighth step).
    pub(super) fn start_time_wait(&mut self) {
        debug_assert_eq!(self.state, State::TimeWait);
        self.timers = Timers { linger: Some(self.now + self.config.time_wait), ..Timers::default() };
    }
}
