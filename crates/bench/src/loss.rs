//! Goodput on a long, lossy path, in virtual time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use drywire_core::{Instant, Rng, Seed};

use crate::drywire_host::DrywireHost;
use crate::host::{Host, Sink, Source};
use crate::smoltcp_host::SmoltcpHost;
use crate::summary::Summary;
use crate::wire::Wire;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many patterns of loss each cell is measured with.
    #[arg(long, default_value_t = 15)]
    seeds: u64,
    /// How long each transfer runs, in seconds of virtual time.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// The rate of the path, in Mbit/s.
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// Buffer sizes, in KiB.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 1024])]
    buffers: Vec<usize>,
    /// Loss rates, in percent, each way.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 5, 10, 30])]
    loss: Vec<u64>,
}

const ONE_WAY: Duration = Duration::from_millis(50);

pub(crate) fn run(arguments: &Arguments) {
    println!(
        "goodput in kbit/s: round-trip time 100 ms, {} Mbit/s, loss each way, {} s of virtual time, {} seeds",
        arguments.rate, arguments.seconds, arguments.seeds
    );
    println!(
        "{:>8} {:>6} {:>10} {:>19} {:>10} {:>19} {:>7}",
        "buffer", "loss", "drywire", "least .. most", "smoltcp", "least .. most", "ratio"
    );
    for &buffer in &arguments.buffers {
        for &loss in &arguments.loss {
            let seeds = if loss == 0 { 1 } else { arguments.seeds };
            let drywire =
                Summary::of((0..seeds).map(|seed| goodput::<DrywireHost>(arguments, buffer, loss, seed)).collect());
            let smoltcp =
                Summary::of((0..seeds).map(|seed| goodput::<SmoltcpHost>(arguments, buffer, loss, seed)).collect());
            let range = |it: &Summary| format!("{:.0} .. {:.0}", it.least, it.most);
            println!(
                "{:>4} KiB {loss:>4} % {:>10.0} {:>19} {:>10.0} {:>19} {:>7.2}",
                buffer,
                drywire.median,
                range(&drywire),
                smoltcp.median,
                range(&smoltcp),
                drywire.median / smoltcp.median,
            );
        }
    }
}

/// One direction of the path: it serializes at a rate, delays, and loses packets as its seed says. Its queue has no bound,
/// so that nothing else is lost.
struct Path {
    flying: VecDeque<(Instant, BytesMut)>,
    free_at: Instant,
    nanos_per_byte: u64,
    loss_percent: u64,
    rng: Rng,
}

impl Path {
    fn take(&mut self, now: Instant, wire: &mut Wire) {
        while let Some(packet) = wire.pop().map(|train| train.bytes) {
            let occupied = Duration::from_nanos(packet.len() as u64 * self.nanos_per_byte);
            self.free_at = self.free_at.max(now) + occupied;
            if self.rng.chance(self.loss_percent, 100) {
                wire.recycle(packet);
            } else {
                self.flying.push_back((self.free_at + ONE_WAY, packet));
            }
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.flying.front().map(|(at, _)| *at)
    }

    /// Moves the next packet to `wire` if it is there. They arrive one by one, as their number decides what is acknowledged.
    fn arrive(&mut self, now: Instant, wire: &mut Wire) {
        if self.next_arrival().is_some_and(|at| at <= now)
            && let Some((_, packet)) = self.flying.pop_front()
        {
            wire.push(packet);
        }
    }
}

/// A host, the packets that wait for it and those that it has just sent, and the path on which they leave.
struct Side<H> {
    host: H,
    inbox: Wire,
    outbox: Wire,
    path: Path,
}

impl<H: Host> Side<H> {
    fn turn(&mut self, now: Instant, source: &mut Source, sink: &mut Sink) {
        self.host.ingress(now, &mut self.inbox, &mut self.outbox);
        self.host.recv(sink);
        self.host.send(source);
        self.host.egress(now, &mut self.outbox);
        self.path.take(now, &mut self.outbox);
    }
}

/// Kbit/s that reach the application, from the first SYN to the end of the time.
fn goodput<H: Host>(arguments: &Arguments, buffer: usize, loss_percent: u64, seed: u64) -> f64 {
    let (client, server) = H::pair(buffer << 10);
    let mut rng = Rng::new(&Seed::from(seed));
    let mut side = |host| Side {
        host,
        inbox: Wire::default(),
        outbox: Wire::default(),
        path: Path {
            flying: VecDeque::new(),
            free_at: Instant::ORIGIN,
            nanos_per_byte: 8000 / arguments.rate.max(1),
            loss_percent,
            rng: Rng::new(&rng.split()),
        },
    };
    let (mut client, mut server) = (side(client), side(server));
    let (mut source, mut sink) = (Source::new(u64::MAX), Sink::new(u64::MAX));
    let (mut nothing, mut nowhere) = (Source::new(0), Sink::new(0));
    let end = Instant::from_secs(arguments.seconds);
    let mut now = Instant::ORIGIN;
    while now < end {
        client.path.arrive(now, &mut server.inbox);
        server.path.arrive(now, &mut client.inbox);
        client.turn(now, &mut source, &mut nowhere);
        server.turn(now, &mut nothing, &mut sink);
        let arrivals = [client.path.next_arrival(), server.path.next_arrival()].into_iter().flatten().min();
        // A deadline that stays in the past must not stop the clock.
        let least = Instant::from_nanos(now.as_nanos() + 1000);
        let due = [client.host.poll_timeout(now), server.host.poll_timeout(now)];
        let due = due.into_iter().flatten().map(|at| at.max(least)).min();
        now = match (arrivals, due) {
            (Some(arrival), Some(due)) => arrival.min(due).max(now),
            (Some(arrival), None) => arrival.max(now),
            (None, Some(due)) => due,
            // The connection is gone.
            (None, None) => end,
        };
    }
    sink.received as f64 * 8.0 / 1000.0 / arguments.seconds as f64
}
