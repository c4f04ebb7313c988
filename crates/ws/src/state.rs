//! The states of a connection and the one table of their transitions.

use core::fmt;

use crate::Role;

/// Where a connection stands between its opening and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Messages flow both ways.
    Open,
    /// Our Close frame is sent, the peer's is awaited. Messages still arrive.
    CloseSent,
    /// The peer's Close frame arrived in the middle of a frame of ours. The frame may be sent to its end, and our answer
    /// follows it (RFC 6455, 5.5.1). Nothing more arrives.
    CloseReceived,
    /// Client only: both Close frames are exchanged, and the server is to end the stream first (RFC 6455, 7.1.1).
    AwaitingEnd,
    /// The closing handshake is over. The transport is closed in order once everything queued has left.
    Closed,
    /// The connection failed. The transport is closed in order once the farewell has left.
    Failed,
    /// The peer did not take or answer our last words in time. The transport is dropped.
    Aborted,
}

impl State {
    /// All states, in the order of a connection's life.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::CloseSent,
        Self::CloseReceived,
        Self::AwaitingEnd,
        Self::Closed,
        Self::Failed,
        Self::Aborted,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What moves a connection from state to state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The user closes: our Close frame is queued.
    CloseCommand,
    /// The peer's Close frame arrived. In [`State::Open`] our answer is queued with it.
    PeerClose,
    /// The peer's Close frame arrived while a frame of ours was not at its end.
    PeerCloseInFrame,
    /// That frame is at its end, and our answer is queued.
    AnswerSent,
    /// The peer broke a rule or a limit. In [`State::Open`] our Close frame is queued with it.
    Violation,
    /// The stream ended.
    EndOfStream,
    /// Bytes arrived behind the peer's Close frame.
    TrailingBytes,
    /// The close timeout passed.
    Deadline,
}

impl State {
    /// The transition table: the state after `input`, which is the same one where the input does not count.
    pub(crate) const fn after(self, input: Input, role: Role) -> Self {
        match (self, input, role) {
            (Self::Open, Input::CloseCommand, _) => Self::CloseSent,
            (Self::Open | Self::CloseSent, Input::PeerClose, Role::Client) => Self::AwaitingEnd,
            (Self::Open | Self::CloseSent, Input::PeerClose, Role::Server) => Self::Closed,
            (Self::Open, Input::PeerCloseInFrame, _) => Self::CloseReceived,
            (Self::CloseReceived, Input::AnswerSent, Role::Client) => Self::AwaitingEnd,
            (Self::CloseReceived, Input::AnswerSent, Role::Server) => Self::Closed,
            (Self::Open | Self::CloseSent, Input::Violation | Input::EndOfStream, _) => Self::Failed,
            (Self::CloseSent | Self::CloseReceived, Input::Deadline, _) => Self::Aborted,
            (Self::AwaitingEnd, Input::EndOfStream | Input::TrailingBytes | Input::Deadline, _) => Self::Closed,
            (Self::Closed | Self::Failed, Input::Deadline, _) => Self::Aborted,
            (unmoved, ..) => unmoved,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use core::fmt::Write as _;
    use std::{env, fs};

    use super::*;

    const INPUTS: [Input; 8] = [
        Input::CloseCommand,
        Input::PeerClose,
        Input::PeerCloseInFrame,
        Input::AnswerSent,
        Input::Violation,
        Input::EndOfStream,
        Input::TrailingBytes,
        Input::Deadline,
    ];

    #[test]
    fn the_transition_table_is_the_reviewed_one() {
        let mut table = String::new();
        for role in [Role::Client, Role::Server] {
            writeln!(table, "{role}").unwrap();
            for state in State::ALL {
                for input in INPUTS {
                    let next = state.after(input, role);
                    let next = if next == state { String::from("-") } else { format!("{next}") };
                    writeln!(table, "  {:<12} {:<14} {next}", format!("{state}"), format!("{input:?}")).unwrap();
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    fn mermaid() -> String {
        let mut picture = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Open\n");
        for state in State::ALL {
            for input in INPUTS {
                let [client, server] = [Role::Client, Role::Server].map(|role| state.after(input, role));
                if client == server && client != state {
                    writeln!(picture, "    {state} --> {client}: {input:?}").unwrap();
                } else if client != server {
                    for (role, next) in [(Role::Client, client), (Role::Server, server)] {
                        if next != state {
                            writeln!(picture, "    {state} --> {next}: {input:?} ({role})").unwrap();
                        }
                    }
                }
            }
        }
        picture.push_str("    Aborted --> [*]\n    Closed --> [*]\n    Failed --> [*]\n```");
        picture
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test reads its switch from the environment")]
    fn the_picture_in_the_design_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/design/ws.md");
        let page = fs::read_to_string(path).unwrap();
        let start = page.find("```mermaid").expect("the page has a picture");
        let end = start + 3 + page[start + 3..].find("```").expect("the picture ends") + 3;
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(path, format!("{}{}{}", &page[..start], mermaid(), &page[end..])).unwrap();
        } else {
            assert_eq!(&page[start..end], mermaid(), "run with UPDATE_DOCS=1 to rewrite docs/design/ws.md");
        }
    }

    #[test]
    fn every_state_can_be_left_but_the_last() {
        for role in [Role::Client, Role::Server] {
            for state in State::ALL {
                let moves = INPUTS.iter().any(|&input| state.after(input, role) != state);
                assert_eq!(moves, state != State::Aborted, "{role} {state}");
            }
        }
    }
}
