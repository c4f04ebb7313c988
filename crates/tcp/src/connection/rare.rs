//! What few connections ever meet: urgent data, and a path that takes smaller packets. It stands apart, so that the others
//! do not pay for it.

use core::time::Duration;

use drywire_core::Instant;

use super::Connection;
use crate::congestion::Controller;
use crate::{Flags, Header, SeqNumber, State};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rare {
    /// RCV.UP: what lies before is urgent.
    urgent_end: Option<SeqNumber>,
    narrow: Option<NarrowPath>,
}

/// A router has said that our packets are too big.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NarrowPath {
    since: Instant,
    /// The MSS before the first such message.
    mss: u32,
}

/// RFC 1191 6.3, RFC 8201 4: paths change, so what one has said is forgotten after that.
const PATH_MTU_AGE: Duration = Duration::from_secs(10 * 60);

impl Connection {
    /// How many bytes of [`recv`](Self::recv), and of what is still to come, there are before the end of the urgent data:
    /// zero if none is pending (RFC 9293 3.8.5, MUST-33).
    ///
    /// Urgent data is not taken out of the stream, as RFC 6093 6 recommends. Sending it is left out, since RFC 6093 5 asks
    /// new applications not to.
    pub fn urgent(&self) -> usize {
        let consumed = self.consumed();
        let pending = self.urgent_end().filter(|end| end.after(consumed));
        pending.map_or(0, |end| end.since(consumed) as usize)
    }

    pub(super) fn urgent_end(&self) -> Option<SeqNumber> {
        self.rare.as_ref()?.urgent_end
    }

    /// Up to where the user has taken what came.
    fn consumed(&self) -> SeqNumber {
        self.rcv_nxt - u32::try_from(self.recv.len()).unwrap_or(u32::MAX)
    }

    /// The sixth step of RFC 9293 3.10.7.4. The pointer is that of the byte behind the urgent data (3.8.5, MUST-62; RFC
    /// 6093 4).
    pub(super) fn receive_urgent(&mut self, header: &Header) {
        let consumed = self.consumed();
        let known = self.urgent_end().filter(|end| end.after(consumed));
        if let Some(rare) = &mut self.rare {
            // What is consumed is forgotten, before the numbers come round to it.
            rare.urgent_end = known;
        }
        let end = header.seq + u32::from(header.urgent);
        let reads = matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) && !self.recv_shutdown;
        let news = end.after(known.unwrap_or(consumed));
        if header.flags.contains(Flags::URG) && reads && news {
            self.rare.get_or_insert_default().urgent_end = Some(end);
            self.events.urgent = true;
        }
        self.drop_rare();
    }

    /// The path takes smaller packets than `self.snd_mss` makes.
    pub(super) fn on_narrow_path(&mut self, mss: u32) {
        let (before, since) = (self.snd_mss, self.now);
        let narrow = self.rare.get_or_insert_default().narrow.get_or_insert(NarrowPath { since, mss: before });
        narrow.since = since;
        self.set_mss(mss);
    }

    /// Tries again how large packets may be, if the last answer is old. If they are still too large, the router will say so.
    pub(super) fn widen_path(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        if let Some(narrow) = rare.narrow.take_if(|narrow| self.now - narrow.since >= PATH_MTU_AGE) {
            self.set_mss(narrow.mss);
            self.drop_rare();
        }
    }

    fn set_mss(&mut self, mss: u32) {
        self.snd_mss = mss;
        self.congestion.set_mss(mss);
    }

    fn drop_rare(&mut self) {
        if self.rare.as_deref() == Some(&Rare::default()) {
            self.rare = None;
        }
    }
}

#[cfg(feature = "explore")]
impl Rare {
    /// As if everything had happened at `now`.
    pub(super) fn forget_time(&mut self, now: Instant) {
        if let Some(narrow) = &mut self.narrow {
            narrow.since = now;
        }
    }
}
