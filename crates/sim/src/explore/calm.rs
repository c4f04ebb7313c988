//! Whether every exchange dies out: no way through deliveries alone leads back to where it was.

use super::property::{Property, Violation};
use super::run::Explorer;
use super::world::Action;

/// How long an exchange without a timer or a command may be, in deliveries.
const MAX_EXCHANGE: u8 = 40;

const UNSEEN: u8 = 0;
const OPEN: u8 = 1;
/// The height of a state from which nothing is delivered. That of others is one more than that of the highest next.
const DONE: u8 = 2;

/// A state on the way of the search.
struct Frame {
    number: u32,
    height: u8,
    /// Deliveries that were not yet followed, and where they lead. The last is followed now.
    next: Vec<(Action, u32)>,
}

impl Explorer<'_> {
    /// The longest chain of deliveries among the states before `end`: a depth-first search that keeps its own stack.
    pub(super) fn longest_exchange(&mut self, end: u32) -> Result<u32, (Violation, u32, Vec<Action>)> {
        let mut heights = vec![UNSEEN; self.worlds.len()];
        for unexplored in heights.iter_mut().skip(end as usize) {
            *unexplored = DONE;
        }
        for root in 0..end {
            if heights[root as usize] == UNSEEN {
                self.visit(root, &mut heights)?;
            }
        }
        Ok(heights.iter().map(|height| u32::from(height - DONE)).max().unwrap_or(0))
    }

    fn visit(&mut self, root: u32, heights: &mut [u8]) -> Result<(), (Violation, u32, Vec<Action>)> {
        let mut stack = vec![self.enter(root, heights)];
        while let Some(frame) = stack.last_mut() {
            let Some(&(_, to)) = frame.next.last() else {
                let &mut Frame { number, height, .. } = frame;
                heights[number as usize] = height;
                if height > MAX_EXCHANGE + DONE {
                    let text = format!("an exchange takes more than {MAX_EXCHANGE} segments");
                    return Err((
                        Violation::new(Property::ExchangesEnd, text),
                        number,
                        self.longest_way(number, heights),
                    ));
                }
                stack.pop();
                continue;
            };
            match heights[to as usize] {
                UNSEEN => {
                    let frame = self.enter(to, heights);
                    stack.push(frame);
                }
                OPEN => {
                    let start = stack.iter().position(|frame| frame.number == to).unwrap_or(0);
                    let circle = stack[start..].iter().filter_map(|frame| Some(frame.next.last()?.0)).collect();
                    return Err((Violation::new(Property::ExchangesEnd, "an exchange never ends"), to, circle));
                }
                height => {
                    frame.height = frame.height.max(height + 1);
                    frame.next.pop();
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, number: u32, heights: &mut [u8]) -> Frame {
        heights[number as usize] = OPEN;
        Frame { number, height: DONE, next: self.deliveries(number) }
    }

    /// Where each delivery leads.
    fn deliveries(&mut self, number: u32) -> Vec<(Action, u32)> {
        let world = *self.worlds.get(number);
        let deliveries = self.actions(&world).into_iter().filter(|action| matches!(action, Action::Deliver(..)));
        deliveries
            .filter_map(|action| {
                // Violations were found when the state was expanded.
                let reached = self.step(&world, action).ok()??;
                Some((action, self.worlds.find(&reached.world)?))
            })
            .collect()
    }

    fn longest_way(&mut self, mut at: u32, heights: &[u8]) -> Vec<Action> {
        let mut way = Vec::new();
        while let Some((action, to)) = self.deliveries(at).into_iter().max_by_key(|(_, to)| heights[*to as usize]) {
            way.push(action);
            at = to;
        }
        way
    }
}
