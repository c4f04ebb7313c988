//! TCP, HTTP/1.1 and WebSocket as pure state machines: the crate to depend on.
