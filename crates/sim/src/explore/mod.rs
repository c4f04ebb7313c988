//! Exhaustive exploration of the real TCP: every order of events within a budget, not a sample of them.
//!
//! Two [`Connection`](drywire_tcp::Connection)s stand at the two ends of a network that delivers in any order, loses and
//! repeats. Breadth first, from the open on, every possible next event is tried in every state: each delivery, loss and
//! duplication, each timer, each command of the two applications. What is explored is the code that users run, not a
//! model of it. In each state and at each step every [`Property`] is checked, and the first that does not hold comes
//! back as a [`CounterExample`], which prints the shortest way there as a sequence diagram.
//!
//! ```
//! use drywire_sim::explore::Scope;
//!
//! // One byte each way, nothing lost: every order of events.
//! let exploration = Scope { bytes: [1, 1], ..Scope::default() }.explore()?;
//! assert!(exploration.complete);
//! println!("{exploration}");
//! # Ok::<(), drywire_sim::explore::CounterExample>(())
//! ```
//!
//! # Why it is fast
//!
//! A state of the whole is a few numbers: which state each end is in, which segments are under way, what budget is
//! left. The states of one end are few beside their combinations. So each end's answer to each input is computed once, by
//! the real code, and looked up from then on. That is sound because a machine is a function of its state and its input:
//! it has no clock and no randomness of its own.
//!
//! # What makes it finite
//!
//! Time is taken out of the states ([`forget_time`](drywire_tcp::Connection::forget_time)): deliveries take none, and
//! what remains of a timer is its distance. Losses, duplications, early timers and the number of segments under way are
//! bounded by the [`Scope`]. The page `docs/design/explore.md` says what is thereby proven and what is not.

mod calm;
mod check;
mod diagram;
mod earlier;
mod endpoint;
mod intern;
mod property;
mod report;
mod run;
mod scope;
mod world;

pub use property::Property;
pub use report::{CounterExample, Exploration};
pub use scope::{Order, Reading, Scope};
