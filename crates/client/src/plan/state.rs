//! The states of an exchange, and the one table of their transitions.

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits for a kept connection, or for the place of a new one.
    Acquiring,
    /// A kept connection is looked at: has the server closed it?
    Checking,
    /// A new connection is being made.
    Dialing,
    /// The request goes out on a kept connection.
    OnKept,
    /// The request goes out on a new connection.
    OnFresh,
    /// The rest of a redirect's response is read, so that its connection can be kept.
    Discarding,
    /// There is a response for the user.
    Answered,
    /// There is none, and will be none.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The pool had a connection.
    GotKept,
    /// The pool had a place.
    GotPlace,
    /// The kept connection is open.
    Alive,
    /// The kept connection is not.
    Stale,
    /// The new connection is there.
    Connected,
    /// The connection was lost before a byte of the response, and the request may be repeated.
    Lost,
    /// The head of a response that redirects.
    Redirected,
    /// The head of any other final response.
    Responded,
    /// The redirect's connection is kept or closed.
    Settled,
    /// Something failed that is not to be repeated, time ran out, or the user has gone.
    Failed,
}

impl State {
    /// The transition table: the only place where a state follows from another.
    pub(super) const fn next(self, input: Input) -> Option<Self> {
        use Input as I;
        Some(match (self, input) {
            (Self::Answered | Self::Failed, _) => return None,
            (_, I::Failed) => Self::Failed,

            (Self::Acquiring, I::GotKept) => Self::Checking,
            (Self::Acquiring, I::GotPlace) => Self::Dialing,

            (Self::Checking, I::Alive) => Self::OnKept,
            (Self::Checking, I::Stale) => Self::Acquiring,

            (Self::Dialing, I::Connected) => Self::OnFresh,

            // RFC 9112, 9.3.1: a connection that was open may have been closing already.
            (Self::OnKept, I::Lost) => Self::Acquiring,
            (Self::OnKept | Self::OnFresh, I::Redirected) => Self::Discarding,
            (Self::OnKept | Self::OnFresh, I::Responded) => Self::Answered,

            (Self::Discarding, I::Settled) => Self::Acquiring,

            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, State};

    #[test]
    fn the_transition_table() {
        use Input as I;
        use State as S;
        let states =
            [S::Acquiring, S::Checking, S::Dialing, S::OnKept, S::OnFresh, S::Discarding, S::Answered, S::Failed];
        let inputs = [
            I::GotKept,
            I::GotPlace,
            I::Alive,
            I::Stale,
            I::Connected,
            I::Lost,
            I::Redirected,
            I::Responded,
            I::Settled,
            I::Failed,
        ];
        crate::tables::check("exchange", &states, &inputs, S::next);
    }
}
