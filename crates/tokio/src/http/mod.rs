//! HTTP for those who want requests and responses, not events.

pub mod client;

pub use client::Client;
