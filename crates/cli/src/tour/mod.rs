//! `drywire tour`: client and server machines over the simulated network, in one process and in virtual time.
//!
//! The server is the same machine that `drywire serve` runs on sockets.

mod client;
mod render;
mod server;
mod tap;

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use drywire::Instant;
use drywire::sim::{Chance, Fate, Happening, LinkConfig, Observation, TcpHost, World, WorldReport};
use drywire::tcp::{CloseReason, Config, Flags, Header, Segment, SeqNumber};

use self::render::{Kind, Row, What};
use crate::Failure;
use crate::args::Tour;

const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 49152);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 80);

pub(crate) fn run(args: &Tour) -> Result<(), Failure> {
    let (rows, ended) = rows(args.seed, args.loss);
    let text = render::render(&rows, args.format);
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::failed)?;
    ended
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// The diagram as it grows: the network and both applications add to it.
#[derive(Clone, Default)]
struct Diagram(Rc<RefCell<Vec<Row>>>);

impl Diagram {
    fn add(&self, at: Instant, what: What) {
        self.0.borrow_mut().push(Row { at, what });
    }

    fn arrival(&self, now: Instant, at: Side, kind: Kind, text: impl Into<String>) {
        self.add(now, What::Arrival { at, kind, text: text.into() });
    }

    /// Notes that the newest row, a segment, is lost.
    fn lose(&self) {
        if let Some(Row { what: What::Segment { lost, .. }, .. }) = self.0.borrow_mut().last_mut() {
            *lost = true;
        }
    }
}

/// Runs the tour and returns its rows, and whether it came to its end.
fn rows(seed: u64, loss: u32) -> (Vec<Row>, Result<(), Failure>) {
    let mut world = World::new(seed);
    let link = LinkConfig {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(2),
        loss: Chance::percent(loss),
        ..LinkConfig::default()
    };
    world.network().connect(CLIENT.ip(), SERVER.ip(), link);

    let diagram = Diagram::default();
    let isn = world.isn();
    let listener = TcpHost::listen(SERVER, isn, tcp_config(), server::machine());
    world.add("server", listener, server::Host::new(diagram.clone()).application());
    let isn = world.isn();
    let visitor = TcpHost::connect(Instant::ORIGIN, CLIENT, SERVER, isn, tcp_config(), client::machine());
    world.add("client", visitor, client::Script::new(diagram.clone(), seed).application());

    let mut wire = Wire::new(diagram.clone());
    let report = world.run_with(|entry| wire.show(entry.at, &entry.what));
    (diagram.0.take(), report.map_err(Failure::failed).and_then(|report| check(&report)))
}

/// How long the machines above TCP wait for each other: long enough for TCP to get through the worst of `--loss`.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

fn tcp_config() -> Config {
    Config { syn_retries: 30, syn_ack_retries: 30, data_retries: 30, ..Config::default() }
}

fn check(report: &WorldReport) -> Result<(), Failure> {
    match report.hosts.iter().find(|(_, reason)| *reason != Some(CloseReason::Normal)) {
        None => Ok(()),
        Some((name, reason)) => {
            Err(Failure::failed(format_args!("seed {}: {name} ended with {reason:?}", report.seed)))
        }
    }
}

/// What happens below the machines' streams.
struct Wire {
    diagram: Diagram,
    sides: [Sent; 2],
}

/// What one side has sent so far.
#[derive(Clone, Copy, Default)]
struct Sent {
    /// Its first sequence number and its first timestamp, from which the diagram counts as packet analysers do.
    isn: SeqNumber,
    clock: u32,
    /// Behind the last sequence number.
    end: Option<SeqNumber>,
}

impl Wire {
    fn new(diagram: Diagram) -> Self {
        Self { diagram, sides: Default::default() }
    }

    fn show(&mut self, now: Instant, what: &Happening) {
        match what {
            Happening::Packet(observation) => self.packet(now, observation),
            Happening::State { host, from, to } => {
                let of = if &**host == "client" { Side::Client } else { Side::Server };
                self.diagram.add(now, What::State { of, from: from.to_string(), to: to.to_string() });
            }
            Happening::Note { .. } => {}
        }
    }

    fn packet(&mut self, now: Instant, Observation { fate, packet, .. }: &Observation) {
        match fate {
            Fate::Sent => {
                let Ok(mut segment) = Segment::parse(&packet.bytes, packet.source, packet.destination) else { return };
                let from = if packet.source == CLIENT.ip() { Side::Client } else { Side::Server };
                let again = self.is_again(from, &segment);
                self.count_from_zero(from, &mut segment.header);
                self.diagram.add(now, What::Segment { from, text: segment.to_string(), lost: false, again });
            }
            Fate::Lost => self.diagram.lose(),
            _ => {}
        }
    }

    /// Whether a segment only repeats what its side has sent before.
    fn is_again(&mut self, from: Side, segment: &Segment<'_>) -> bool {
        let sent = &mut self.sides[from as usize];
        let len = segment.sequence_len();
        let end = segment.header.seq + len;
        if sent.end.is_none() {
            sent.isn = segment.header.seq;
            sent.clock = segment.header.options.timestamps.map_or(0, |timestamps| timestamps.value);
        }
        let again = len > 0 && sent.end.is_some_and(|sent| end.at_or_before(sent));
        if !again {
            sent.end = Some(end);
        }
        again
    }

    /// Puts numbers that begin at zero in the place of the random ones.
    fn count_from_zero(&self, from: Side, header: &mut Header) {
        let (near, far) = (self.sides[from as usize], self.sides[1 - from as usize]);
        header.seq = SeqNumber::new(header.seq.since(near.isn));
        if header.flags.contains(Flags::ACK) {
            header.ack = SeqNumber::new(header.ack.since(far.isn));
        }
        if let Some(timestamps) = &mut header.options.timestamps {
            timestamps.value = timestamps.value.wrapping_sub(near.clock);
            if timestamps.echo != 0 {
                timestamps.echo = timestamps.echo.wrapping_sub(far.clock);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;

    fn text(seed: u64, loss: u32) -> String {
        let (rows, ended) = rows(seed, loss);
        let text = render::render(&rows, Format::Text);
        ended.unwrap_or_else(|failure| panic!("{}\n{text}", failure.message));
        text
    }

    #[test]
    fn the_tour_shows_every_part() {
        let text = text(1, 0);
        let parts = [
            "SYN",
            "SYN,ACK",
            "GET /hello",
            "200 OK",
            "/feed/poll",
            "204 No Content",
            "/feed/long-poll",
            "/feed/stream",
            "101 Switching Protocols",
            "TEXT,FIN masked",
            "PING,FIN",
            "CONTINUATION,FIN",
            "CLOSE,FIN masked 1000",
            "FIN,ACK",
            "TIME-WAIT",
        ];
        let mut rest = &*text;
        for part in parts {
            let at = rest.find(part).unwrap_or_else(|| panic!("{part} is missing, or too early:\\n{text}"));
            rest = &rest[at..];
        }
        assert!(!text.contains("(again)"), "{text}");
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        for loss in [0, 20] {
            assert_eq!(text(3, loss), text(3, loss));
        }
        assert_ne!(text(3, 20), text(4, 20));
    }

    #[test]
    fn losses_and_retransmissions_show() {
        let text: String = (1..5).map(|seed| text(seed, 20)).collect();
        assert!(text.contains('╳') && text.contains("(again)"), "{text}");
    }

    #[test]
    fn it_comes_to_its_end_whatever_is_lost() {
        for seed in 0..200 {
            text(seed, (seed % 7) as u32 * 10);
        }
    }
}
