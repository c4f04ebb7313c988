//! The client's states and the one table of their transitions.

/// Where a client connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No exchange is under way.
    Idle,
    /// The head of a request has been sent; its content waits for 100 (Continue).
    Expecting,
    /// The newest request is being sent; the oldest one's final response has not begun.
    Sending,
    /// All requests have been sent; the oldest one's final response has not begun.
    Waiting,
    /// The newest request is being sent and the content of the oldest one's response is arriving.
    Duplex,
    /// All requests have been sent and the content of the oldest one's response is arriving.
    Receiving,
    /// All responses have arrived; the newest request is still being sent.
    Answered,
    /// The connection belongs to another protocol.
    Upgraded,
    /// Both directions have ended.
    Closed,
}

/// What moves a client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The head of a request.
    RequestBegan,
    /// The head of a request whose content waits.
    ExpectingBegan,
    /// 100 (Continue), or the end of the patience for it.
    Continued,
    /// The end of a request.
    RequestEnded,
    /// The head of the final response.
    ResponseBegan,
    /// The end of a response, with no request behind its own.
    ResponseEnded,
    /// The end of a response, with further requests to be answered.
    NextAwaited,
    /// The end of a response behind which the connection closes.
    LastResponseEnded,
    /// 101, or 2xx to CONNECT.
    Switched,
    /// The server broke a rule, was too slow, or ended without an answer.
    Failed,
    /// The caller wants to end, or the connection was idle for too long.
    Ended,
    /// The server has ended its direction with nothing outstanding.
    PeerEnded,
    /// The caller gave up.
    GaveUp,
}

impl State {
    /// The transition table: the only place where a state follows from another. `None` is an input that has no
    /// meaning in this state.
    pub(super) const fn next(self, input: Input) -> Option<Self> {
        use Input as I;
        Some(match (self, input) {
            (Self::Upgraded | Self::Closed, _) => return None,
            (_, I::GaveUp | I::Failed) => Self::Closed,

            (Self::Idle | Self::Waiting, I::RequestBegan) => Self::Sending,
            (Self::Idle, I::ExpectingBegan) => Self::Expecting,
            (Self::Idle, I::Ended | I::PeerEnded) => Self::Closed,

            (Self::Expecting, I::Continued) => Self::Sending,
            (Self::Expecting, I::ResponseBegan) => Self::Duplex,

            (Self::Sending, I::RequestEnded) => Self::Waiting,
            (Self::Sending, I::ResponseBegan) => Self::Duplex,

            (Self::Waiting, I::ResponseBegan) => Self::Receiving,
            (Self::Waiting, I::Switched) => Self::Upgraded,

            (Self::Duplex, I::RequestEnded) => Self::Receiving,
            (Self::Duplex, I::ResponseEnded) => Self::Answered,
            (Self::Duplex, I::NextAwaited) => Self::Sending,
            (Self::Duplex, I::LastResponseEnded) => Self::Closed,

            (Self::Receiving, I::RequestBegan) => Self::Duplex,
            (Self::Receiving, I::ResponseEnded) => Self::Idle,
            (Self::Receiving, I::NextAwaited) => Self::Waiting,
            (Self::Receiving, I::LastResponseEnded) => Self::Closed,

            (Self::Answered, I::RequestEnded) => Self::Idle,
            (Self::Answered, I::Ended | I::PeerEnded) => Self::Closed,

            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, State};

    const STATES: &[State] = &[
        State::Idle,
        State::Expecting,
        State::Sending,
        State::Waiting,
        State::Duplex,
        State::Receiving,
        State::Answered,
        State::Upgraded,
        State::Closed,
    ];
    const INPUTS: &[Input] = &[
        Input::RequestBegan,
        Input::ExpectingBegan,
        Input::Continued,
        Input::RequestEnded,
        Input::ResponseBegan,
        Input::ResponseEnded,
        Input::NextAwaited,
        Input::LastResponseEnded,
        Input::Switched,
        Input::Failed,
        Input::Ended,
        Input::PeerEnded,
        Input::GaveUp,
    ];

    #[test]
    fn the_transition_table() {
        crate::tables::check("client", STATES, INPUTS, State::next);
    }
}
