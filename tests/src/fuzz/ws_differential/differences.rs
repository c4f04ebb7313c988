//! Where drywire and its peers may differ, each with its reason. Anything else is an error.

use drywire::Bytes;
use drywire::ws::{CapacityError, Error, FrameHeader, ProtocolError};

use super::peers::{Reading, Setup};
use super::{End, Seen, Sent};

/// The same frames as drywire and a peer have read them.
pub struct Case<'a> {
    /// The peer's name.
    pub peer: &'static str,
    /// How both have read.
    pub setup: Setup,
    /// The frames.
    pub wire: &'a [u8],
    /// drywire's reading.
    pub ours: &'a Reading,
    /// drywire's error.
    pub failure: Option<Error>,
    /// How many bytes drywire has left.
    pub left: usize,
    /// The peer's reading.
    pub theirs: &'a Reading,
}

/// One allowed difference.
pub struct Difference {
    /// Its name, here and in `docs/design/differential.md`.
    pub name: &'static str,
    /// Whether this is such a case, and differs in nothing else.
    applies: fn(&Case<'_>) -> bool,
}

/// Everything that is allowed to differ.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "a length in a longer form",
        // RFC 6455, 5.2: "the minimal number of bytes MUST be used to encode the length".
        applies: |case| {
            // Of a control frame a longer form is at the same time too long.
            let broken = case.broke(ProtocolError::LengthNotMinimal) || case.broke(ProtocolError::ControlTooLong);
            case.is("tungstenite") && broken && case.peer_goes_on()
        },
    },
    Difference {
        name: "a forbidden code in a Close frame",
        // RFC 6455, 7.4: what may not be sent is a violation. The peer tells its user another Close frame instead, or that
        // one if it is the answer to its own.
        applies: |case| {
            let (Some(Error::Protocol(ProtocolError::CloseCodeForbidden(forbidden))), [Seen::Close(Some(told))]) =
                (case.failure, case.behind_ours())
            else {
                return false;
            };
            let (instead, sent) = if case.setup.closes {
                (told.0 == forbidden, case.is_sent_but_for_a_close())
            } else {
                (*told == violation(), case.ours.sent == case.theirs.sent)
            };
            case.is("tungstenite") && instead && sent
        },
    },
    Difference {
        name: "close code 1014",
        // RFC 6455, 11.7: it came to the registry later.
        applies: |case| {
            let (Some((Seen::Close(Some((1014, _))), ours)), Some((Seen::Close(Some(told)), theirs))) =
                (case.ours.seen.split_last(), case.theirs.seen.split_last())
            else {
                return false;
            };
            case.is("tungstenite") && ours == theirs && *told == violation()
        },
    },
    Difference {
        name: "a fault in a frame that does not end",
        // RFC 6455, 8.1 and 10.4: drywire does not wait for the rest of what is wrong already.
        applies: |case| {
            case.ours.end == End::Failed
                && case.theirs.end == End::EndOfStream
                && case.ours.seen == case.theirs.seen
                && ends_inside_a_frame(case.wire)
                && case.is_sent_but_for_a_close()
        },
    },
    Difference {
        name: "a fault in a header that does not end",
        // drywire looks at the mask and at the order of frames once it has the header, at most 12 bytes later.
        applies: |case| {
            case.is("tokio-websockets")
                && case.ours.end == End::EndOfStream
                && case.theirs.end == End::Failed
                && case.ours.seen == case.theirs.seen
                && (1..FrameHeader::MAX_LEN).contains(&case.left)
                && case.theirs.sent.strip_prefix(&case.ours.sent[..]).is_some_and(|more| more.len() < 2)
        },
    },
    Difference {
        name: "failing without a word",
        // RFC 6455, 7.1.7: "it is RECOMMENDED" that a Close frame with the reason goes first.
        applies: |case| {
            let silent = case.is("tungstenite")
                || matches!(case.failure, Some(Error::Capacity(CapacityError::MessageTooLarge { .. })));
            silent && case.both_fail() && case.is_sent_but_for_a_close()
        },
    },
    Difference {
        name: "a length of 64 bits that is too large in two ways",
        // RFC 6455, 5.2: "the most significant bit MUST be 0". The peer looks at its own limit first.
        applies: |case| {
            case.is("tokio-websockets")
                && case.broke(ProtocolError::LengthOverflow)
                && case.both_fail()
                && case.theirs.sent.last() == Some(&Sent::Close(Some(1009)))
        },
    },
    Difference {
        name: "a message that ends inside a character with an empty frame",
        // RFC 6455, 8.1: the peer takes it for text, and looks for the rest of the character in the next message.
        applies: |case| {
            let unchecked = |seen: &Seen| matches!(seen, Seen::Text(text) if core::str::from_utf8(text).is_err());
            case.is("tokio-websockets")
                && case.broke(ProtocolError::TextNotUtf8)
                && case.behind_ours().first().is_some_and(unchecked)
        },
    },
    Difference {
        name: "text that is wrong in a fragment that is too much",
        // RFC 6455, 10.4: the header alone exceeds the limit. The peer checks the text first, and then the limit.
        applies: |case| {
            case.is("tokio-websockets")
                && matches!(case.failure, Some(Error::Capacity(CapacityError::MessageTooLarge { .. })))
                && case.both_fail()
                && case.theirs.sent.last() == Some(&Sent::Close(Some(1007)))
        },
    },
    Difference {
        name: "a Ping behind our own Close frame",
        // RFC 6455, 5.5.2: a Pong is due "unless it already received a Close frame".
        applies: |case| {
            let silent = |sent: &&Sent| !matches!(sent, Sent::Pong(_));
            case.setup.closes
                && case.ours.seen == case.theirs.seen
                && case.ours.end == case.theirs.end
                && case.ours.sent.iter().filter(silent).eq(&case.theirs.sent)
        },
    },
];

/// What tungstenite tells instead of a Close frame that it does not like.
fn violation() -> (u16, String) {
    (1002, "Protocol violation".into())
}

/// The difference that there is, or an error if it is none of those allowed.
pub fn compare(case: &Case<'_>) -> Result<Option<&'static str>, String> {
    let Case { peer, setup, wire, ours, theirs, .. } = case;
    if ours.seen == theirs.seen && ours.end == theirs.end && ours.sent == theirs.sent {
        return Ok(None);
    }
    DIFFERENCES
        .iter()
        .find(|difference| (difference.applies)(case))
        .map(|difference| Some(difference.name))
        .ok_or_else(|| format!("{setup:?}\ndrywire: {ours:?}\n{peer}: {theirs:?}\n{:02x}", Bytes::copy_from_slice(wire)))
}

impl Case<'_> {
    fn is(&self, peer: &str) -> bool {
        self.peer == peer
    }

    fn broke(&self, rule: ProtocolError) -> bool {
        self.failure == Some(rule.into())
    }

    fn both_fail(&self) -> bool {
        self.ours.seen == self.theirs.seen && self.ours.end == End::Failed && self.theirs.end == End::Failed
    }

    /// What the peer has seen behind the events that it shares with drywire; nothing if it does not share all of them.
    fn behind_ours(&self) -> &[Seen] {
        self.theirs.seen.strip_prefix(&self.ours.seen[..]).unwrap_or_default()
    }

    /// The peer shares all events, and did not fail where drywire did.
    fn peer_goes_on(&self) -> bool {
        self.theirs.seen.starts_with(&self.ours.seen)
            && (self.theirs.end != End::Failed || !self.behind_ours().is_empty())
    }

    /// drywire sent what the peer sent, and a Close frame behind it unless it had closed before; Pongs behind that may miss.
    fn is_sent_but_for_a_close(&self) -> bool {
        let is_no_pong = |sent: &&Sent| !matches!(sent, Sent::Pong(_));
        if self.setup.closes {
            return self.ours.sent.iter().filter(is_no_pong).eq(&self.theirs.sent);
        }
        let Some((Sent::Close(Some(_)), before)) = self.ours.sent.split_last() else { return false };
        before == self.theirs.sent
    }
}

/// Whether the last frame is not whole. Reads nothing but lengths, of any form.
fn ends_inside_a_frame(mut wire: &[u8]) -> bool {
    while !wire.is_empty() {
        let Some(second) = wire.get(1) else { return true };
        let (extended, mask) = (&wire[2..], usize::from(second >> 7) * 4);
        let (form, len) = match second & 127 {
            126 => (2, extended.first_chunk().map(|len| u64::from(u16::from_be_bytes(*len)))),
            127 => (8, extended.first_chunk().map(|len| u64::from_be_bytes(*len))),
            len => (0, Some(u64::from(len))),
        };
        let Some(len) = len.and_then(|len| usize::try_from(len).ok()) else { return true };
        let Some(behind) = wire.get((2 + form + mask).saturating_add(len)..) else { return true };
        wire = behind;
    }
    false
}
