//! What the clients of both adapters are tested with.

#![allow(
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a server for tests has threads and a clock, and each adapter uses its part of it"
)]

pub mod scenarios;
pub mod secure;
pub mod server;
