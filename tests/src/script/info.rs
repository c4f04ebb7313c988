//! The names that assertions may use.

use drywire::tcp::State;

use super::host::Host;

/// The value of `name` for the connection under test: `tcp_info` as Linux has it, and the constants for its states.
pub(super) fn value(host: &Host, name: &str) -> Option<i64> {
    Some(match name {
        "tcpi_state" => code(host.state()?),
        "TCP_ESTABLISHED" => code(State::Established),
        "TCP_SYN_SENT" => code(State::SynSent),
        "TCP_SYN_RECV" => code(State::SynReceived),
        "TCP_FIN_WAIT1" => code(State::FinWait1),
        "TCP_FIN_WAIT2" => code(State::FinWait2),
        "TCP_TIME_WAIT" => code(State::TimeWait),
        "TCP_CLOSE" => code(State::Closed),
        "TCP_CLOSE_WAIT" => code(State::CloseWait),
        "TCP_LAST_ACK" => code(State::LastAck),
        "TCP_LISTEN" => code(State::Listen),
        "TCP_CLOSING" => code(State::Closing),
        _ => return None,
    })
}

/// The number of a state in Linux's `tcp_states.h`.
const fn code(state: State) -> i64 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}
