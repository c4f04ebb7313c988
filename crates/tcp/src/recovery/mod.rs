//! Loss detection and recovery, without the connection around it: what is in flight, which of it is lost, and how fast it
//! is sent again.

mod flight;
mod prr;
mod rack;

pub(crate) use flight::{Flight, Sent};
pub(crate) use prr::Prr;
pub(crate) use rack::Rack;
