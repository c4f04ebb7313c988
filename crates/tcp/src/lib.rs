//! TCP as a pure state machine: segments and time in, segments, events and deadlines out.
