//! What a listener and a stack ask of the connections that they hold.

use core::time::Duration;

use super::{CloseReason, Connection};
use crate::{Input, SeqNumber, State};

/// What is left of a connection in TIME-WAIT: enough to answer whatever may still arrive for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeWait {
    pub(crate) snd_nxt: SeqNumber,
    pub(crate) rcv_nxt: SeqNumber,
    pub(crate) rcv_wnd: u32,
    /// `rcv_wnd` as it stands in a header.
    pub(crate) window: u16,
    /// TS.Recent and how far our clock is ahead of the milliseconds of the stack, if both sides send timestamps.
    pub(crate) timestamps: Option<(u32, u32)>,
    /// 2MSL.
    pub(crate) length: Duration,
}

impl Connection {
    /// Moves what TIME-WAIT needs out of the connection, which then is CLOSED; what has arrived can still be read.
    /// `None` in any other state.
    pub(crate) fn take_time_wait(&mut self) -> Option<TimeWait> {
        if self.state != State::TimeWait {
            return None;
        }
        let rcv_wnd = self.rcv_wnd();
        let offset = self.clock().wrapping_sub(self.now.as_millis() as u32);
        let rest = TimeWait {
            snd_nxt: self.snd_max,
            rcv_nxt: self.rcv_nxt,
            rcv_wnd,
            window: rcv_wnd.div_ceil(1 << self.rcv_shift).min(u32::from(u16::MAX)) as u16,
            timestamps: self.echo.as_ref().map(|echo| (echo.recent(), offset)),
            length: self.config.time_wait,
        };
        self.close(Input::TimeWaitOver, CloseReason::Normal);
        Some(rest)
    }

    /// The address at this end is gone: the connection ends without a word, as nothing may leave from there.
    pub(crate) fn lose_address(&mut self) {
        self.reply = None;
        match self.state {
            State::TimeWait => self.close(Input::Abort, CloseReason::Normal),
            _ => self.close(Input::GiveUp, CloseReason::Unreachable),
        }
    }

    /// Nothing is known of when the SYN-ACK left: a SYN cookie holds no time. An echoed timestamp still counts.
    pub(crate) fn forget_timing(&mut self) {
        self.flight.distrust_times();
    }

    /// How many challenge ACKs the host still allows at the moment (RFC 5961 7); those that are sent count down.
    pub(crate) fn challenge_allowance(&mut self) -> &mut u32 {
        &mut self.challenge_allowance
    }
}
