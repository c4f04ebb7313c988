//! TCP, HTTP/1.1 and WebSocket as pure state machines.

#[doc(inline)]
pub use drywire_core::{
    Buf, BufMut, Bytes, BytesMut, Close, Demand, Instant, RecvBuf, Rng, Seed, SendQueue, StreamMachine,
};

pub use drywire_http as http;
pub use drywire_tcp as tcp;
pub use drywire_ws as ws;

#[cfg(feature = "sim")]
pub use drywire_sim as sim;
#[cfg(feature = "std")]
pub use drywire_std as std;
#[cfg(feature = "tokio")]
pub use drywire_tokio as tokio;
