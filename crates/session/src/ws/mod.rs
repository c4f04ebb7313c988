//! WebSockets: opening one from either end, its messages, its close.

mod error;
mod open;
mod session;

pub use error::{AcceptError, ConnectError, Error, Refusal};
pub use open::{Accept, Accepting, Connecting, Opened};
pub use session::{Next, Session};
