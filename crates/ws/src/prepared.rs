//! A message for many connections.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::deflate::WindowBits;
use crate::frame::FrameHeader;
use crate::{Message, MessageKind};

/// A message that is encoded once, and compressed once, and then sent by reference to any number of connections:
/// [`Connection::send_prepared`](crate::Connection::send_prepared).
///
/// A server's frame is the same for all of its clients. A client masks every frame anew, so there it saves no more
/// than the compression.
///
/// ```
/// use drywire_core::{Instant, Seed, SendQueue};
/// use drywire_ws::{Config, Connection, PreparedMessage, Role};
///
/// let news = PreparedMessage::new("to everybody");
/// for _ in 0..3 {
///     let queue = SendQueue::new(64 * 1024);
///     let mut to = Connection::new(Instant::ORIGIN, Role::Server, Config::default(), &Seed::from(0), queue);
///     to.send_prepared(&news)?;
/// }
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PreparedMessage {
    kind: MessageKind,
    plain: Encoded,
    compressed: Option<(WindowBits, Encoded)>,
}

/// A frame as a server sends it.
#[derive(Clone, Debug)]
struct Encoded {
    header: FrameHeader,
    header_len: usize,
    frame: Bytes,
}

impl PreparedMessage {
    /// A message that is sent as it is, also where compression was agreed on.
    pub fn new(message: impl Into<Message>) -> Self {
        let message = message.into();
        let plain = Encoded::new(message.kind(), false, message.as_bytes());
        Self { kind: message.kind(), plain, compressed: None }
    }

    /// A message that is compressed for the connections that have agreed on it with the full window of 15 bits. The
    /// others get it as it is.
    ///
    /// It is compressed by itself. On a connection with context takeover the message that follows it starts without
    /// context as well, since this end's compressor has not seen it.
    #[cfg(feature = "deflate")]
    pub fn deflated(message: impl Into<Message>, compression: crate::deflate::Compression) -> Self {
        Self::deflated_for(message, compression, WindowBits::MAX)
    }

    /// The same for connections whose window for what this end sends has at least `window` bits.
    #[cfg(feature = "deflate")]
    pub fn deflated_for(
        message: impl Into<Message>,
        compression: crate::deflate::Compression,
        window: WindowBits,
    ) -> Self {
        let message = message.into();
        let data = crate::deflate::compress_alone(message.as_bytes(), compression, window);
        let compressed = Some((window, Encoded::new(message.kind(), true, &data)));
        Self { compressed, ..Self::new(message) }
    }

    /// Text or binary.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    pub(crate) fn plain(&self) -> (&FrameHeader, &Bytes, Bytes) {
        self.plain.parts()
    }

    /// The compressed form, if there is one that a peer with this window can read.
    pub(crate) fn compressed(&self, window: WindowBits) -> Option<(&FrameHeader, &Bytes, Bytes)> {
        self.compressed.as_ref().filter(|(needed, _)| *needed <= window).map(|(_, encoded)| encoded.parts())
    }
}

impl Encoded {
    fn new(kind: MessageKind, compressed: bool, payload: &[u8]) -> Self {
        let payload_len = payload.len() as u64;
        let header = FrameHeader { fin: true, compressed, opcode: kind.opcode(), mask: None, payload_len };
        let encoded = header.encode();
        let mut frame = Vec::with_capacity(encoded.len() + payload.len());
        frame.extend_from_slice(&encoded);
        frame.extend_from_slice(payload);
        Self { header, header_len: encoded.len(), frame: frame.into() }
    }

    /// The header, the whole frame without a mask, and the payload alone.
    fn parts(&self) -> (&FrameHeader, &Bytes, Bytes) {
        (&self.header, &self.frame, self.frame.slice(self.header_len..))
    }
}
