//! What a script consists of.

use std::fmt;
use std::time::Duration;

use drywire::tcp::Flags;
use drywire::tcp::ip::Ecn;

use super::assertion::Assertion;

/// A parsed script.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) settings: Vec<Setting>,
    pub(super) events: Vec<Event>,
}

/// `--name=value`
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) line: u32,
    pub(super) time: Time,
    pub(super) action: Action,
}

/// When an event happens, or is expected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// Since the beginning.
    Absolute(Duration),
    /// Since the event before.
    Relative(Duration),
    /// Not before the first and not after the second.
    Range { from: Duration, to: Duration, relative: bool },
    /// `*`
    Any,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    /// `<`: the peer's packet arrives.
    Inject(Packet),
    /// `>`: a packet is expected to leave.
    Expect(Packet),
    Call(Call),
    Assert(Vec<Assertion>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Tcp(TcpPacket),
    Icmp(IcmpPacket),
}

/// A TCP segment with sequence numbers as a script writes them, counted from the initial ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TcpPacket {
    /// The ECN field of the IP header; any, if a script does not say.
    pub(super) ecn: Option<EcnMark>,
    pub(super) flags: Flags,
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) ack: Option<u32>,
    /// As it stands in the header; any, if a script does not say.
    pub(super) window: Option<u16>,
    pub(super) urgent: Option<u16>,
    /// `None`: any.
    pub(super) options: Option<Vec<TcpOption>>,
}

/// One option, in the order of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TcpOption {
    End,
    Nop,
    Mss(u16),
    WindowScale(u8),
    SackPermitted,
    Sack(Vec<(u32, u32)>),
    Timestamps {
        value: u32,
        echo: u32,
    },
    /// Only in packets that leave: one that the language has no word for.
    Other {
        kind: u8,
        len: u8,
    },
}

/// The ECN field (RFC 3168 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EcnMark {
    NotEct,
    Ect1,
    Ect0,
    /// Either of the two, where a packet is expected.
    Ect01,
    Ce,
}

/// An ICMP message about a segment of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IcmpPacket {
    /// The sequence numbers of the segment that it quotes.
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) kind: String,
    pub(super) code: Option<String>,
    pub(super) mtu: Option<u32>,
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// When it returns, for one that blocks; counted like the time of the event.
    pub(super) end: Option<Duration>,
    pub(super) arguments: Vec<Expression>,
    /// `None`: any.
    pub(super) result: Option<i64>,
    pub(super) errno: Option<String>,
}

/// An argument of a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Ellipsis,
    Integer(i64),
    Text(String),
    /// Words joined by `|`.
    Words(Vec<String>),
    Array(Vec<Expression>),
    /// `{name = value, ..}`
    Struct(Vec<(String, Expression)>),
    /// `htons(8080)`, `inet_addr("192.0.2.1")`
    Apply(String, Vec<Expression>),
}

impl TcpPacket {
    /// The letters of the language, in the order in which they are written.
    pub(super) const LETTERS: [(char, Flags); 8] = [
        ('S', Flags::SYN),
        ('F', Flags::FIN),
        ('R', Flags::RST),
        ('P', Flags::PSH),
        ('U', Flags::URG),
        ('E', Flags::ECE),
        ('W', Flags::CWR),
        ('.', Flags::ACK),
    ];
}

impl fmt::Display for TcpPacket {
    /// As a script writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ecn) = self.ecn {
            write!(f, "[{}] ", ecn.name())?;
        }
        if self.flags == Flags::NONE {
            f.write_str("-")?;
        }
        let mut set = Self::LETTERS.iter().filter(|(_, flag)| self.flags.contains(*flag));
        set.try_for_each(|(letter, _)| write!(f, "{letter}"))?;
        write!(f, " {}:{}({})", self.seq, self.seq.wrapping_add(self.len), self.len)?;
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(window) = self.window {
            write!(f, " win {window}")?;
        }
        if let Some(urgent) = self.urgent {
            write!(f, " urg {urgent}")?;
        }
        match &self.options {
            None => f.write_str(" <...>"),
            Some(options) if options.is_empty() => Ok(()),
            Some(options) => {
                for (index, option) in options.iter().enumerate() {
                    f.write_str(if index == 0 { " <" } else { "," })?;
                    write!(f, "{option}")?;
                }
                f.write_str(">")
            }
        }
    }
}

impl fmt::Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("eol"),
            Self::Nop => f.write_str("nop"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(left, right)| write!(f, " {left}:{right}"))
            }
            Self::Timestamps { value, echo } => write!(f, "TS val {value} ecr {echo}"),
            Self::Other { kind, len } => write!(f, "kind {kind} len {len}"),
        }
    }
}

impl EcnMark {
    /// What is put into a packet that arrives.
    pub(super) const fn codepoint(self) -> Ecn {
        match self {
            Self::NotEct => Ecn::NotEct,
            Self::Ect1 => Ecn::Ect1,
            Self::Ect0 | Self::Ect01 => Ecn::Ect0,
            Self::Ce => Ecn::Ce,
        }
    }

    pub(super) const fn of(codepoint: Ecn) -> Self {
        match codepoint {
            Ecn::NotEct => Self::NotEct,
            Ecn::Ect1 => Self::Ect1,
            Ecn::Ect0 => Self::Ect0,
            Ecn::Ce => Self::Ce,
        }
    }

    pub(super) const ALL: [Self; 5] = [Self::NotEct, Self::Ect1, Self::Ect0, Self::Ect01, Self::Ce];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NotEct => "noecn",
            Self::Ect1 => "ect1",
            Self::Ect0 => "ect0",
            Self::Ect01 => "ect01",
            Self::Ce => "ce",
        }
    }
}

impl fmt::Display for IcmpPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}({})] icmp {}", self.seq, self.seq.wrapping_add(self.len), self.len, self.kind)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        self.mtu.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(packet) => packet.fmt(f),
            Self::Icmp(packet) => packet.fmt(f),
        }
    }
}
