//! drywire beside its peers: both sides in one run, medians and ratios printed. `docs/performance.md` tells how to read it.

mod bulk;
mod drywire_host;
mod host;
mod http;
mod http_server;
mod idle;
mod loss;
mod smoltcp_host;
mod summary;
#[cfg(target_os = "linux")]
mod tun;
mod wire;
mod ws;
mod ws_idle;
mod ws_loopback;
mod ws_memory;
mod ws_peers;

use std::alloc::System;

use clap::{Parser, Subcommand, ValueEnum};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts the bytes in use, for `idle`, and allocations, for `http`: only with the feature `count`, since each allocation
/// then takes several times as long.
#[cfg_attr(feature = "count", global_allocator)]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// drywire beside its peers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Bytes one way between two hosts on one core, through queues of IP packets in memory.
    Bulk(bulk::Arguments),
    /// Goodput by loss rate and buffer size at a round-trip time of 100 ms, in virtual time.
    Loss(loss::Arguments),
    /// Bytes an idle connection, and nanoseconds a packet of one active flow among many.
    Idle(idle::Arguments),
    /// WebSocket messages in memory, received and sent, beside other crates.
    Ws(ws::Arguments),
    /// WebSocket echo servers over loopback, beside other crates, under a load of raw bytes.
    WsLoopback(ws_loopback::Arguments),
    /// One of these servers alone: tells its address, and serves until standard input ends.
    WsServer(ws_loopback::ServerArguments),
    /// The heap of a WebSocket connection after one echo, beside other crates.
    WsIdle,
    /// HTTP/1.1 in memory: exchanges, chunks, a head that drips in.
    Http(http::Arguments),
    /// HTTP/1.1 over loopback, asked by wrk.
    HttpServer(http_server::Arguments),
    /// Bytes to and from the kernel's TCP through a TUN device, which it makes: best in a network namespace of its own.
    #[cfg(target_os = "linux")]
    Tun(tun::Arguments),
}

/// The implementations of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    /// Packet by packet.
    Drywire,
    /// Several packets at a time.
    DrywireBatch,
    Smoltcp,
}

fn main() {
    match Arguments::parse().what {
        What::Bulk(arguments) => bulk::run(&arguments),
        What::Loss(arguments) => loss::run(&arguments),
        What::Idle(arguments) => idle::run(&arguments),
        What::Ws(arguments) => ws::run(&arguments),
        What::WsLoopback(arguments) => ws_loopback::run(&arguments),
        What::WsServer(arguments) => ws_loopback::serve(&arguments),
        What::WsIdle => ws_idle::run(),
        What::Http(arguments) => http::run(&arguments),
        What::HttpServer(arguments) => http_server::run(&arguments),
        #[cfg(target_os = "linux")]
        What::Tun(arguments) => tun::run(&arguments),
    }
}
