//! What can be seen of an endpoint from outside, and what must hold of it whatever the other one does.

use drywire::tcp::{Flags, Segment, SeqNumber, State};

use super::endpoint::{Endpoint, LOCAL, PEER};

/// The peer's byte at an offset of its stream.
pub(super) fn theirs(at: u32) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 24) as u8
}

/// Our application's byte at an offset of its stream.
fn ours(at: u32) -> u8 {
    (at.wrapping_mul(2_246_822_519) >> 24) as u8
}

/// An RST that was sent. `seq` is `None` for zero, which stands where there is no acknowledgment to go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reset {
    pub(super) seq: Option<u32>,
    pub(super) ack: Option<u32>,
}

/// One endpoint as its peer and its application see it. Sequence numbers are distances from the initial ones.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) state: State,
    /// How many bytes the application has taken or could take.
    pub(super) received: usize,
    pub(super) taken: usize,
    pub(super) written: usize,
    pub(super) unacknowledged: usize,
    /// The initial sequence number, once a SYN was sent.
    pub(super) iss: Option<u32>,
    /// The highest number sent, SYN and FIN included.
    pub(super) max: u32,
    /// The number acknowledged last, and the right edge of the window as announced last.
    pub(super) acked: Option<u32>,
    pub(super) edge: Option<u32>,
    /// How many segments but RSTs left in this step, and which SACK blocks they had.
    pub(super) answers: usize,
    pub(super) sack: Vec<(u32, u32)>,
    /// How many of them had text.
    pub(super) texts: usize,
    pub(super) resets: Vec<Reset>,
}

impl Seen {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            received: 0,
            taken: 0,
            written: 0,
            unacknowledged: 0,
            iss: None,
            max: 0,
            acked: None,
            edge: None,
            answers: 0,
            sack: vec![],
            texts: 0,
            resets: vec![],
        }
    }

    /// SND.UNA.
    pub(super) fn una(&self) -> u32 {
        let fin_acknowledged = matches!(self.state, State::FinWait2 | State::TimeWait);
        let syn_acknowledged = !matches!(self.state, State::Listen | State::SynSent | State::SynReceived);
        u32::from(syn_acknowledged) + (self.written - self.unacknowledged.min(self.written)) as u32 + u32::from(fin_acknowledged)
    }

    pub(super) fn begin_step(&mut self) {
        self.answers = 0;
        self.sack.clear();
        self.texts = 0;
        self.resets.clear();
    }

    /// What the application sees now.
    pub(super) fn look(&mut self, endpoint: &mut dyn Endpoint) {
        self.state = endpoint.state();
        self.received = self.taken + endpoint.readable();
        self.unacknowledged = endpoint.unacknowledged();
    }

    /// Takes bytes, which must be the peer's.
    pub(super) fn read(&mut self, endpoint: &mut dyn Endpoint, n: usize) {
        for byte in endpoint.read(n) {
            assert_eq!(byte, theirs(self.taken as u32), "{}: byte {} of the stream", endpoint.name(), self.taken);
            self.taken += 1;
        }
    }

    pub(super) fn write(&mut self, endpoint: &mut dyn Endpoint, n: usize) {
        let bytes: Vec<u8> = (self.written..self.written + n).map(|at| ours(at as u32)).collect();
        endpoint.write(&bytes);
        self.written += n;
    }

    /// A segment that the endpoint has sent.
    pub(super) fn observe(&mut self, name: &str, peer_isn: u32, bytes: &[u8]) {
        let segment = Segment::parse(bytes, LOCAL.ip(), PEER.ip()).expect("what leaves is well formed");
        let header = &segment.header;
        assert_eq!((header.source_port, header.destination_port), (LOCAL.port(), PEER.port()), "{name}");
        let (seq, ack) = (header.seq.value(), header.ack.value().wrapping_sub(peer_isn));
        let has_ack = header.flags.contains(Flags::ACK);
        if header.flags.contains(Flags::RST) {
            let relative = seq.wrapping_sub(self.iss.unwrap_or(0));
            self.resets.push(Reset { seq: (seq != 0).then_some(relative), ack: has_ack.then_some(ack) });
            return;
        }
        self.answers += 1;
        self.texts += usize::from(!segment.payload.is_empty());
        if header.flags.contains(Flags::SYN) {
            if self.iss != Some(seq) {
                // The first of this incarnation.
                (self.iss, self.max) = (Some(seq), 0);
            }
            (self.acked, self.edge) = (None, None);
        }
        let seq = seq.wrapping_sub(self.iss.unwrap_or(0));
        for (at, byte) in segment.payload.iter().enumerate() {
            let at = seq.wrapping_add(at as u32).wrapping_sub(1);
            assert!((at as usize) < self.written, "{name}: sends what was never written");
            assert_eq!(*byte, ours(at), "{name}: sends byte {at} wrong");
        }
        self.max = self.max.max(seq + segment.sequence_len());
        if has_ack {
            self.observe_ack(name, ack, u32::from(header.window));
        }
        let blocks = header.options.sack.as_slice().iter();
        let relative = |edge: &SeqNumber| edge.value().wrapping_sub(peer_isn);
        self.sack.extend(blocks.map(|(left, right)| (relative(left), relative(right))));
    }

    /// RCV.NXT never moves back, and neither does the right edge of the window (RFC 9293 3.8.6).
    fn observe_ack(&mut self, name: &str, ack: u32, window: u32) {
        let edge = ack.wrapping_add(window);
        if let (Some(acked), Some(before)) = (self.acked, self.edge) {
            assert!(ack.wrapping_sub(acked) < 1 << 31, "{name}: RCV.NXT moves back from {acked} to {ack}");
            assert!(edge.wrapping_sub(before) < 1 << 31, "{name}: the window is taken back from {before} to {edge}");
        }
        (self.acked, self.edge) = (Some(ack), Some(edge));
    }
}
