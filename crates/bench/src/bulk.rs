//! Throughput: bytes one way, as fast as one core can.

use std::time::Duration;

use clap::ValueEnum;
use drywire_core::Instant;

use crate::Side;
use crate::drywire_host::DrywireHost;
use crate::host::{Host, Sink, Source};
use crate::smoltcp_host::SmoltcpHost;
use crate::summary::{Summary, cpu_time};
use crate::wire::Wire;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How much is sent, in MiB.
    #[arg(long, default_value_t = 512)]
    mib: u64,
    /// How often each side runs, in turns.
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// Each receive and send buffer, in KiB.
    #[arg(long, default_value_t = 256)]
    buffer: usize,
    /// How many packets drywire hands over at a time in its row with batches.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Runs one side alone.
    #[arg(long)]
    only: Option<Side>,
}

/// What one run has taken.
pub(crate) struct Run {
    pub(crate) cpu: Duration,
    pub(crate) packets: u64,
    bytes: u64,
}

impl Run {
    pub(crate) fn gbit_per_second(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.cpu.as_nanos() as f64
    }

    pub(crate) fn nanos_per_packet(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets as f64
    }
}

pub(crate) fn run(arguments: &Arguments) {
    let (bytes, buffer) = (arguments.mib << 20, arguments.buffer << 10);
    println!("{} MiB one way, MTU 1500, checksums on, buffers of {} KiB", arguments.mib, arguments.buffer);
    println!("{:>14} {:>10} {:>17} {:>14} {:>10}", "side", "Gbit/s", "least .. most", "ns a packet", "packets");
    let mut runs = [Side::Drywire, Side::DrywireBatch, Side::Smoltcp].map(|side| (side, Vec::new()));
    for _ in 0..arguments.runs {
        for (side, results) in &mut runs {
            if arguments.only.is_none_or(|only| only == *side) {
                results.push(match side {
                    Side::Drywire => transfer(DrywireHost::pair(buffer), bytes),
                    Side::DrywireBatch => transfer(DrywireHost::batching(buffer, arguments.batch), bytes),
                    Side::Smoltcp => transfer(SmoltcpHost::pair(buffer), bytes),
                });
            }
        }
    }
    let medians = runs.map(|(side, results)| {
        let speed = Summary::of(results.iter().map(Run::gbit_per_second).collect());
        let cost = Summary::of(results.iter().map(Run::nanos_per_packet).collect());
        if let Some(run) = results.first() {
            let name = side.to_possible_value().expect("no side is hidden");
            let name = name.get_name();
            let range = format!("{:.2} .. {:.2}", speed.least, speed.most);
            println!("{name:>14} {:>10.2} {range:>17} {:>14.1} {:>10}", speed.median, cost.median, run.packets);
        }
        speed.median
    });
    if arguments.only.is_none() {
        println!("ratio of the medians: {:.2}, with batches {:.2}", medians[0] / medians[2], medians[1] / medians[2]);
    }
}

/// Sends `bytes` from the first host to the second.
///
/// The clock is virtual, so that neither side pays for reading one: it ticks with each turn, and jumps to the next deadline
/// when both are silent.
pub(crate) fn transfer<H: Host>((mut client, mut server): (H, H), bytes: u64) -> Run {
    let (mut there, mut back) = (Wire::default(), Wire::default());
    let (mut source, mut sink) = (Source::new(bytes), Sink::new(1 << 20));
    let mut now = Instant::ORIGIN;
    let start = cpu_time();
    while sink.received < bytes {
        client.ingress(now, &mut back, &mut there);
        client.send(&mut source);
        client.egress(now, &mut there);
        let silent = there.is_empty();
        server.ingress(now, &mut there, &mut back);
        server.recv(&mut sink);
        server.egress(now, &mut back);
        now = Instant::from_nanos(now.as_nanos() + 10_000);
        if silent && back.is_empty() {
            let due = [client.poll_timeout(now), server.poll_timeout(now)].into_iter().flatten().min();
            now = now.max(due.expect("a transfer that is not over waits for something"));
        }
    }
    Run { cpu: cpu_time().saturating_sub(start), packets: there.packets + back.packets, bytes }
}
