//! What must hold in every state, and where everything is at rest.

use drywire_tcp::{CloseReason, State};

use super::Order;
use super::endpoint::{Endpoint, isn};
use super::property::{Property, Violation, require};
use super::run::Explorer;
use super::world::World;
use crate::Side;

impl Explorer<'_> {
    fn pair(&self, world: &World) -> [&Endpoint; 2] {
        world.ends.map(|end| self.ends.get(end))
    }

    /// What must hold in every state.
    pub(super) fn check(&self, world: &World) -> Result<(), Violation> {
        let ends = self.pair(world);
        let gave_up = ends.iter().any(|end| end.gave_up());
        let deceived = ends.iter().any(|end| end.deceived);
        for (end, peer) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let (side, got, sent) = (end.side, end.arrived, peer.sent);
            require(got <= sent, Property::Prefix, || format!("{side} has got {got} bytes of {sent}"))?;
            require(!end.ended || (got == sent && peer.shut), Property::EndIsTheEnd, || {
                format!("{side} has got {got} of {sent} bytes and takes that for all")
            })?;
            let complete = end.ended && got == sent && peer.arrived == end.sent;
            require(end.closed != Some(CloseReason::Normal) || complete, Property::NormalIsComplete, || {
                format!("{side} has got {got} of {sent} bytes, its peer {} of {}", peer.arrived, end.sent)
            })?;
            let ours = !end.state().is_synchronized() || end.irs() == isn(peer.side);
            require(ours, Property::Incarnation, || format!("{side} is connected to an earlier incarnation"))?;
            let refused = matches!(end.closed, Some(CloseReason::Reset | CloseReason::Refused));
            require(!refused || gave_up || deceived, Property::ResetHasACause, || {
                format!("{side} was told {:?}, and nobody gave up", end.closed)
            })?;
        }
        Ok(())
    }

    /// `side` sends an RST on the way from `from` to `to`.
    pub(super) fn check_reset(&self, from: &World, to: &World, side: Side) -> Result<(), Violation> {
        let peaceful = from.left == self.untouched() && to.left == self.untouched();
        let gave_up = self.pair(to).iter().any(|end| end.gave_up());
        let state = self.ends.get(from.ends[side.index()]).state();
        let late = self.scope.order == Order::Any && state == State::Closed;
        require(!peaceful || gave_up || late, Property::NoResetInPeace, || format!("{side} sends an RST in {state}"))
    }

    /// What must hold where nothing is under way and no timer runs.
    pub(super) fn check_rest(&mut self, world: &World) -> Result<(), Violation> {
        let ends = self.pair(world);
        let states = ends.map(Endpoint::state);
        let describe = |end: &Endpoint| match end.closed {
            Some(reason) => format!("CLOSED ({reason:?})"),
            None => end.state().to_string(),
        };
        let text = format!("{} / {}", describe(ends[0]), describe(ends[1]));
        for end in ends {
            let waits = matches!(end.state(), State::Closed | State::Listen);
            require(waits || end.unacknowledged() == 0, Property::NeverStuck, || {
                format!("{text}: {} holds unacknowledged bytes and no timer runs", end.side)
            })?;
        }
        let excused = ends.iter().any(|end| end.gave_up() || end.deceived);
        let delivered = ends[0].arrived == ends[1].sent && ends[1].arrived == ends[0].sent;
        let good = match states {
            [State::Closed, State::Closed] => excused || delivered,
            [State::Established, State::Established]
            | [State::FinWait2, State::CloseWait]
            | [State::CloseWait, State::FinWait2] => delivered,
            // The other has nothing to say that would tell it, or still waits for its first peer.
            [State::Closed, open] | [open, State::Closed] => {
                excused && matches!(open, State::Listen | State::Established | State::FinWait2 | State::CloseWait)
            }
            _ => false,
        };
        require(good, Property::NeverStuck, || format!("{text}: no timer runs, and nothing is under way"))?;
        *self.at_rest.entry(text).or_default() += 1;
        Ok(())
    }
}
