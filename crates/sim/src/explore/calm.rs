//! Whether every exchange dies out: no way through deliveries alone leads back to where it was.

use super::property::{Property, Violation};
use super::run::Explorer;
use super::world::Action;

/// How long an exchange without a timer or a command may be, in deliveries.
const MAX_EXCHANGE: u8 = 40;

const UNSEEN: u8 = 0;
const OPEN: u8 = 1;
/// The height of a state, that of the lowest.
const DONE: u8 = 2;

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
        let mut stack = vec![(root, self.deliveries(root))];
        heights[root as usize] = OPEN;
        while let Some((at, next)) = stack.last_mut() {
            let at = *at;
            let Some((_, to)) = next.last().copied() else {
                stack.pop();
                let height = self.deliveries(at).iter().map(|(_, to)| heights[*to as usize] + 1).max();
                heights[at as usize] = height.unwrap_or(DONE);
                if heights[at as usize] > MAX_EXCHANGE + DONE {
                    let text = format!("an exchange takes more than {MAX_EXCHANGE} segments");
                    return Err((Violation::new(Property::ExchangesEnd, text), at, self.longest_way(at, heights)));
                }
                continue;
            };
            match heights[to as usize] {
                UNSEEN => {
                    heights[to as usize] = OPEN;
                    let deliveries = self.deliveries(to);
                    stack.push((to, deliveries));
                }
                OPEN => {
                    let start = stack.iter().position(|(number, _)| *number == to).unwrap_or(0);
                    let circle = stack[start..].iter().filter_map(|(_, next)| Some(next.last()?.0)).collect();
                    let text = "an exchange never ends";
                    return Err((Violation::new(Property::ExchangesEnd, text), to, circle));
                }
                _ => {
                    next.pop();
                }
            }
        }
        Ok(())
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
