//! A way through the states as a sequence diagram.

use core::fmt::Write;

use drywire_tcp::{Flags, Segment, State};

use super::CounterExample;
use super::endpoint::{Wire, isn, other};
use super::property::Violation;
use super::run::Explorer;
use super::world::{Action, World};
use crate::Side;

/// How wide the space between the two ends is.
const WIDTH: usize = 64;

impl Explorer<'_> {
    /// Draws `actions` from the first world on; the last `circle` of them repeat for ever.
    pub(super) fn draw(&mut self, violation: Violation, actions: &[Action], circle: usize) -> CounterExample {
        let Violation { property, detail } = violation;
        let mut world = self.first();
        let mut diagram = String::new();
        let mut states = self.states(&world);
        line(&mut diagram, "", states[0], "", states[1]);
        for (index, &action) in actions.iter().enumerate() {
            if circle > 0 && index + circle == actions.len() {
                line(&mut diagram, "", "", &format!("{:.^WIDTH$}", " from here for ever "), "");
            }
            let middle = self.middle(&world, action);
            // Where the step itself breaks the rule there is no next world.
            let Ok(Some(reached)) = self.step(&world, action) else {
                line(&mut diagram, &(index + 1).to_string(), "", &middle, "");
                continue;
            };
            world = reached.world;
            let now = self.states(&world);
            let changed = |side: usize| if now[side] == states[side] { "" } else { now[side] };
            line(&mut diagram, &(index + 1).to_string(), changed(0), &middle, changed(1));
            states = now;
            for &number in reached.sent.numbers() {
                let text = format!("{} sends {}", action.side(), describe(self.wires.get(number), action.side()));
                line(&mut diagram, "", "", &format!("{text:^WIDTH$}"), "");
            }
        }
        CounterExample { property, detail, steps: actions.len(), diagram }
    }

    fn states(&self, world: &World) -> [&'static str; 2] {
        world.ends.map(|end| State::name(self.ends.get(end).state()))
    }

    fn middle(&self, world: &World, action: Action) -> String {
        let side = action.side();
        let segment = |number: Option<u32>| {
            number.map_or_else(String::new, |number| describe(self.wires.get(number), other(side)))
        };
        let at = |slot| segment(world.towards[side.index()].get(slot));
        match action {
            Action::Deliver(_, slot) => arrow(side, &at(slot), false),
            Action::Duplicate(_, slot) => arrow(side, &format!("{} (and again)", at(slot)), false),
            Action::Lose(_, slot) => arrow(side, &at(slot), true),
            Action::Mark(_, slot) => arrow(side, &format!("{} (marked)", at(slot)), false),
            Action::Earlier(_, which) => {
                arrow(side, &format!("{} (of earlier)", segment(self.earlier_wire(side, which))), false)
            }
            Action::Timer(_) => command(side, "timer"),
            Action::Send(_) => command(side, "send"),
            Action::Read(_) => command(side, "read"),
            Action::Shutdown(_) => command(side, "shutdown"),
            Action::Abort(_) => command(side, "abort"),
        }
    }
}

fn line(diagram: &mut String, number: &str, left: &str, middle: &str, right: &str) {
    let text = format!("{number:>3} {left:>12} |{middle:<WIDTH$}| {right}");
    // Writing to a string cannot fail.
    let _ = writeln!(diagram, "{}", text.trim_end());
}

fn arrow(towards: Side, text: &str, lost: bool) -> String {
    let text = format!(" {text} ");
    match (towards, lost) {
        (Side::B, false) => format!("{:-<1$}>", format!("-{text}"), WIDTH - 1),
        (Side::B, true) => format!("{:-<1$}x", format!("-{text}"), WIDTH - 8),
        (Side::A, false) => format!("<{:->1$}", format!("{text}-"), WIDTH - 1),
        (Side::A, true) => format!("       x{:->1$}", format!("{text}-"), WIDTH - 8),
    }
}

fn command(side: Side, text: &str) -> String {
    match side {
        Side::A => format!("* {text}"),
        Side::B => format!("{:>WIDTH$}", format!("{text} *")),
    }
}

/// The segment with numbers relative to the initial ones.
fn describe(wire: &Wire, from: Side) -> String {
    let mut header = wire.header;
    header.seq = (header.seq.since(isn(from))).into();
    if header.flags.contains(Flags::ACK) {
        header.ack = (header.ack.since(isn(other(from)))).into();
    }
    header.options = drywire_tcp::Options::default();
    Segment { header, payload: &wire.payload }.to_string()
}
