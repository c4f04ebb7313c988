//! The state machine: the eleven states and every way from one to another.

use core::fmt;

/// The state of a connection (RFC 9293 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No connection.
    Closed,
    /// Waiting for a connection request from any peer.
    Listen,
    /// A connection request was sent.
    SynSent,
    /// A connection request was received and answered; the answer is not yet acknowledged.
    SynReceived,
    /// The connection is open both ways.
    Established,
    /// We have closed our direction; the peer has neither acknowledged that nor closed its own.
    FinWait1,
    /// The peer has acknowledged our close and may still send.
    FinWait2,
    /// The peer has closed its direction; we may still send.
    CloseWait,
    /// Both sides have closed at the same time; our FIN is not yet acknowledged.
    Closing,
    /// The peer closed first, then we did; our FIN is not yet acknowledged.
    LastAck,
    /// Both directions are closed; waiting so that the peer surely has our last acknowledgment.
    TimeWait,
}

/// What moves a connection from one state to another: an arriving segment, a command or a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// The user listens.
    PassiveOpen,
    /// The user connects.
    ActiveOpen,
    /// A SYN that acknowledges nothing arrives.
    Syn,
    /// A SYN that acknowledges ours arrives.
    SynAck,
    /// Our SYN is acknowledged.
    AckOfSyn,
    /// The peer's FIN arrives, and everything before it has.
    Fin,
    /// Our FIN is acknowledged.
    AckOfFin,
    /// The user closes our direction.
    Shutdown,
    /// The user aborts.
    Abort,
    /// An acceptable RST arrives.
    Reset,
    /// An RST or a fresh SYN arrives before the handshake of a passive open is over.
    Relisten,
    /// The retry limit is reached.
    GiveUp,
    /// Two maximum segment lifetimes have passed.
    TimeWaitOver,
}

impl State {
    /// Every state, in the order of RFC 9293 3.3.2.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The state that `input` leads to (RFC 9293 3.3.2, figure 5, with its notes), or `None` where it changes nothing.
    ///
    /// This is the only table: a [`Connection`](crate::Connection) changes its state through it and no other way.
    pub const fn on(self, input: Input) -> Option<Self> {
        Some(match (self, input) {
            (Self::Closed, Input::PassiveOpen) => Self::Listen,
            (Self::Closed, Input::ActiveOpen) => Self::SynSent,

            (Self::Listen, Input::Syn) => Self::SynReceived,
            (Self::Listen, Input::Shutdown | Input::Abort) => Self::Closed,

            (Self::SynSent, Input::Syn) => Self::SynReceived,
            (Self::SynSent, Input::SynAck) => Self::Established,
            (Self::SynSent, Input::Shutdown | Input::Abort | Input::Reset | Input::GiveUp) => Self::Closed,

            (Self::SynReceived, Input::AckOfSyn) => Self::Established,
            (Self::SynReceived, Input::Relisten) => Self::Listen,
            (Self::SynReceived, Input::Abort | Input::Reset | Input::GiveUp) => Self::Closed,

            (Self::Established, Input::Shutdown) => Self::FinWait1,
            (Self::Established, Input::Fin) => Self::CloseWait,
            (Self::Established, Input::Abort | Input::Reset | Input::GiveUp) => Self::Closed,

            (Self::FinWait1, Input::AckOfFin) => Self::FinWait2,
            (Self::FinWait1, Input::Fin) => Self::Closing,
            (Self::FinWait1, Input::Abort | Input::Reset | Input::GiveUp) => Self::Closed,

            (Self::FinWait2, Input::Fin) => Self::TimeWait,
            (Self::FinWait2, Input::Abort | Input::Reset | Input::GiveUp) => Self::Closed,

            (Self::CloseWait, Input::Shutdown) => Self::LastAck,
            (Self::CloseWait, Input::Abort | Input::Reset | Input::GiveUp) => Self::Closed,

            (Self::Closing, Input::AckOfFin) => Self::TimeWait,
            (Self::Closing, Input::Abort | Input::Reset | Input::GiveUp) => Self::Closed,

            (Self::LastAck, Input::AckOfFin) => Self::Closed,
            (Self::LastAck, Input::Abort | Input::Reset | Input::GiveUp) => Self::Closed,

            (Self::TimeWait, Input::TimeWaitOver | Input::Abort | Input::Reset) => Self::Closed,

            _ => return None,
        })
    }

    /// Whether both sides have agreed on sequence numbers (RFC 9293 3.5.2, group 3): ESTABLISHED and everything after.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived)
    }

    /// The name that RFC 9293 uses, such as `SYN-SENT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Input {
    /// Every input.
    pub const ALL: [Self; 13] = [
        Self::PassiveOpen,
        Self::ActiveOpen,
        Self::Syn,
        Self::SynAck,
        Self::AckOfSyn,
        Self::Fin,
        Self::AckOfFin,
        Self::Shutdown,
        Self::Abort,
        Self::Reset,
        Self::Relisten,
        Self::GiveUp,
        Self::TimeWaitOver,
    ];

    /// A short label, as it stands on the arrows of the state diagram.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PassiveOpen => "passive open",
            Self::ActiveOpen => "active open",
            Self::Syn => "SYN",
            Self::SynAck => "SYN,ACK",
            Self::AckOfSyn => "ACK of SYN",
            Self::Fin => "FIN",
            Self::AckOfFin => "ACK of FIN",
            Self::Shutdown => "shutdown",
            Self::Abort => "abort",
            Self::Reset => "RST",
            Self::Relisten => "RST or SYN after passive open",
            Self::GiveUp => "give up",
            Self::TimeWaitOver => "2MSL",
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::fmt::Write;
    use std::{env, fs};

    use super::*;

    fn transitions() -> impl Iterator<Item = (State, Input, State)> {
        State::ALL
            .into_iter()
            .flat_map(|from| Input::ALL.into_iter().filter_map(move |input| Some((from, input, from.on(input)?))))
    }

    #[test]
    fn rfc_9293_3_3_2_every_transition() {
        let mut table = String::new();
        for (from, input, to) in transitions() {
            writeln!(table, "{from:<12} -- {input:<29} -> {to}").unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn every_state_can_be_reached_and_left() {
        for state in State::ALL {
            assert!(transitions().any(|(from, _, to)| to == state && from != state), "{state}");
            assert!(transitions().any(|(from, _, to)| from == state && to != state), "{state}");
        }
    }

    /// The table as a Mermaid diagram: inputs between the same two states share an arrow.
    fn mermaid() -> String {
        let mut arrows = BTreeMap::<(State, State), Vec<&str>>::new();
        for (from, input, to) in transitions() {
            arrows.entry((from, to)).or_default().push(input.name());
        }
        let mut diagram = String::from("stateDiagram-v2\n");
        for state in State::ALL {
            writeln!(diagram, "    state \"{state}\" as {state:?}").unwrap();
        }
        diagram.push_str("    [*] --> Closed\n");
        for ((from, to), inputs) in arrows {
            writeln!(diagram, "    {from:?} --> {to:?}: {}", inputs.join(", ")).unwrap();
        }
        diagram
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "UPDATE_DOCS is asked of whoever runs the tests, not of the machine")]
    fn the_design_page_shows_this_table() {
        const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/design/tcp.md");
        let page = fs::read_to_string(PAGE).unwrap();
        let (before, rest) = page.split_once("```mermaid\n").expect("the page has a diagram");
        let (shown, after) = rest.split_once("```").expect("the diagram ends");
        let diagram = mermaid();
        if shown != diagram {
            assert!(env::var_os("UPDATE_DOCS").is_some(), "{PAGE} shows another table; run with UPDATE_DOCS=1");
            fs::write(PAGE, format!("{before}```mermaid\n{diagram}```{after}")).unwrap();
        }
    }
}
