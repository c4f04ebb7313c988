//! The server's states and the one table of their transitions.

/// Where a server connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No byte of a request has come.
    Idle,
    /// Part of a head has come.
    Head,
    /// Content is arriving; the final response has not begun.
    Receiving,
    /// The request has arrived; the final response has not begun.
    Received,
    /// Content is arriving and the response is being sent.
    Duplex,
    /// The request has arrived and the response is being sent.
    Responding,
    /// The response has been sent; what is left of the content is dropped, and then the connection goes on.
    Draining,
    /// Our direction ends, and what still arrives of an unfinished message is dropped, until the peer ends too.
    Lingering,
    /// Our direction ends, and nothing more is taken, until the peer ends too.
    Closing,
    /// The connection belongs to another protocol.
    Upgraded,
    /// Both directions have ended.
    Closed,
}

/// What moves a server connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The first byte of a head.
    HeadBegan,
    /// A whole head that announces content.
    HeadWithContent,
    /// A whole head without content.
    HeadAlone,
    /// The end of the content.
    ContentEnded,
    /// The head of the final response.
    ResponseBegan,
    /// The end of a response behind which the connection goes on.
    ResponseEnded,
    /// The end of a response behind which the connection closes.
    LastResponseEnded,
    /// 101, or 2xx to CONNECT.
    Switched,
    /// More content is left than is worth dropping.
    TooMuchToDrain,
    /// The peer broke a rule or was too slow.
    Failed,
    /// The caller wants to end, or the connection was idle for too long.
    Ended,
    /// The peer has ended its direction and everything that it sent was taken.
    PeerEnded,
    /// Lingering has lasted long enough, or the caller gave up.
    GaveUp,
}

impl State {
    /// The transition table: the only place where a state follows from another. `None` is an input that has no
    /// meaning in this state.
    pub(super) const fn next(self, input: Input) -> Option<Self> {
        use Input as I;
        Some(match (self, input) {
            (Self::Upgraded | Self::Closed, _) => return None,
            (_, I::GaveUp) => Self::Closed,

            (Self::Idle, I::HeadBegan) => Self::Head,
            (Self::Idle, I::Ended) => Self::Closing,
            (Self::Idle, I::PeerEnded) => Self::Closed,

            (Self::Head, I::HeadWithContent) => Self::Receiving,
            (Self::Head, I::HeadAlone) => Self::Received,

            (Self::Receiving, I::ContentEnded) => Self::Received,
            (Self::Receiving, I::ResponseBegan) => Self::Duplex,

            (Self::Received, I::ResponseBegan) => Self::Responding,
            (Self::Received, I::Switched) => Self::Upgraded,

            (Self::Duplex, I::ContentEnded) => Self::Responding,
            (Self::Duplex, I::ResponseEnded) => Self::Draining,
            (Self::Duplex, I::LastResponseEnded) => Self::Lingering,

            (Self::Responding, I::ResponseEnded) => Self::Idle,
            (Self::Responding, I::LastResponseEnded) => Self::Closing,

            (Self::Draining, I::ContentEnded) => Self::Idle,
            (Self::Draining, I::TooMuchToDrain | I::Ended) => Self::Lingering,

            (Self::Idle | Self::Head | Self::Receiving | Self::Duplex | Self::Draining, I::Failed) => Self::Lingering,

            (Self::Lingering | Self::Closing, I::PeerEnded) => Self::Closed,

            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, State};

    const STATES: &[State] = &[
        State::Idle,
        State::Head,
        State::Receiving,
        State::Received,
        State::Duplex,
        State::Responding,
        State::Draining,
        State::Lingering,
        State::Closing,
        State::Upgraded,
        State::Closed,
    ];
    const INPUTS: &[Input] = &[
        Input::HeadBegan,
        Input::HeadWithContent,
        Input::HeadAlone,
        Input::ContentEnded,
        Input::ResponseBegan,
        Input::ResponseEnded,
        Input::LastResponseEnded,
        Input::Switched,
        Input::TooMuchToDrain,
        Input::Failed,
        Input::Ended,
        Input::PeerEnded,
        Input::GaveUp,
    ];

    #[test]
    fn the_transition_table() {
        crate::tables::check("server", STATES, INPUTS, State::next);
    }
}
