//! Watching what a client says and hears.

use std::fmt;
use std::sync::Arc;

use drywire_http::ResponseHead;

/// A head that went by.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Seen<'a> {
    /// The head of a request, as it goes on the wire, with its secrets.
    Request(&'a [u8]),
    /// The head of a response, informational ones and redirects too.
    Response(&'a ResponseHead),
}

/// Is shown every head of every exchange, in order, also those of redirects and of requests that are sent again.
#[derive(Clone)]
pub struct Trace(Arc<dyn Fn(Seen<'_>) + Send + Sync>);

impl Trace {
    /// Calls `see` with each head. It is called while the exchange waits, so it should be quick.
    pub fn new(see: impl Fn(Seen<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }

    pub(crate) fn see(&self, seen: Seen<'_>) {
        (self.0)(seen);
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace(..)")
    }
}
