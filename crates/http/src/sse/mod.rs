//! Server-Sent Events: events from a server over one response that does not end (HTML standard, 9.2).
//!
//! The format knows nothing of HTTP's framing: [`Event::encode`] makes content for
//! [`send_content`](crate::server::Connection::send_content), a [`Decoder`] takes what
//! [`Event::Content`](crate::client::Event::Content) brings, cut anywhere. A [`Source`] is a decoder with the memory that
//! outlives a connection: what to ask for when the next one is made, and when that is.
//!
//! ```
//! use drywire_core::Bytes;
//! use drywire_http::sse::{Decoder, Event, Limits};
//!
//! let sent = Event::new("two\nlines").id("7").encode()?;
//! assert_eq!(sent, "id: 7\ndata: two\ndata: lines\n\n");
//!
//! let mut decoder = Decoder::new(Limits::default());
//! let (mut front, mut back) = (sent.slice(..9), sent.slice(9..));
//! assert_eq!(decoder.decode(&mut front)?, None);
//! let message = decoder.decode(&mut back)?.expect("an event");
//! assert_eq!((&*message.event, &*message.data, &*message.id), ("message", "two\nlines", "7"));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod decode;
mod encode;
mod source;

pub use decode::{Decoder, Error, Limits, Message};
pub use encode::{EncodeError, Event, comment};
pub use source::{Refused, Source};

/// The media type of an event stream.
pub const MEDIA_TYPE: &str = "text/event-stream";
