//! Message content: decoding what arrives and framing what leaves (RFC 9112, 6 and 7).

pub(crate) mod chunked;
pub(crate) mod decode;
pub(crate) mod encode;
