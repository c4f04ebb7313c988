//! The states of a connection that is being made, and the one table of their transitions.

/// Where the making of a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The name of the first hop is being looked up.
    Resolving,
    /// Attempts to connect are under way.
    Connecting,
    /// TLS is being agreed on, with the proxy or through its tunnel.
    Securing,
    /// The proxy is asked for a tunnel.
    Tunnelling,
    /// The connection is there.
    Connected,
    /// There is none, and will be none.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The addresses are known.
    Resolved,
    /// A step succeeded, and TLS comes next.
    NextIsTls,
    /// A step succeeded, and the tunnel comes next.
    NextIsTunnel,
    /// A step succeeded, and it was the last.
    WasLast,
    /// A step failed, or time ran out.
    Failed,
}

impl State {
    /// The transition table: the only place where a state follows from another.
    pub(super) const fn next(self, input: Input) -> Option<Self> {
        use Input as I;
        Some(match (self, input) {
            (Self::Connected | Self::Failed, _) => return None,
            (_, I::Failed) => Self::Failed,

            (Self::Resolving, I::Resolved) => Self::Connecting,

            (Self::Connecting | Self::Tunnelling, I::NextIsTls) => Self::Securing,
            (Self::Connecting | Self::Securing, I::NextIsTunnel) => Self::Tunnelling,
            (Self::Connecting | Self::Securing | Self::Tunnelling, I::WasLast) => Self::Connected,

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
        let states = [S::Resolving, S::Connecting, S::Securing, S::Tunnelling, S::Connected, S::Failed];
        let inputs = [I::Resolved, I::NextIsTls, I::NextIsTunnel, I::WasLast, I::Failed];
        crate::tables::check("dial", &states, &inputs, S::next);
    }
}
