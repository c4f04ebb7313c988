//! WebSocket as a pure state machine: bytes and time in, bytes, events and deadlines out.
