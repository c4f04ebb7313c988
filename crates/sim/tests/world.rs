//! Machines on TCP on the network: what applications see, and what everybody else may watch.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use drywire_core::{Bytes, BytesMut, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
use drywire_sim::{Chance, Digest, Fate, Happening, Input, LinkConfig, RunFailure, TcpHost, World, WorldReport};
use drywire_tcp::{CloseReason, Config, Segment, SeqNumber, State};

/// Carries bytes as they are.
struct Raw {
    send: SendQueue,
    /// Everything to be sent is queued.
    finish: bool,
    /// Finish when the peer has.
    follow: bool,
    peer_finished: bool,
    paused: bool,
    abort: bool,
}

impl Raw {
    fn new() -> Self {
        Self {
            send: SendQueue::new(16 * 1024),
            finish: false,
            follow: false,
            peer_finished: false,
            paused: false,
            abort: false,
        }
    }
}

impl StreamMachine for Raw {
    type Event = Bytes;
    type Error = std::convert::Infallible;

    fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Self::Error> {
        if self.paused {
            return Ok(None);
        }
        self.peer_finished = recv.is_finished();
        Ok((!recv.is_empty()).then(|| recv.take(recv.len())))
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn demand(&self) -> Demand {
        let close = if self.abort {
            Some(Close::Abort)
        } else if !(self.finish || self.follow && self.peer_finished) || !self.send.is_empty() {
            None
        } else if self.peer_finished {
            Some(Close::Both)
        } else {
            Some(Close::WriteHalf)
        };
        Demand { read: !self.paused, close }
    }
}

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn client_port(port: u16) -> SocketAddr {
    (CLIENT, port).into()
}

fn server_port() -> SocketAddr {
    (SERVER, 80).into()
}

fn link() -> LinkConfig {
    LinkConfig { latency: Duration::from_millis(10), ..LinkConfig::default() }
}

fn world<'a>(seed: u64, link: LinkConfig) -> World<'a> {
    let mut world = World::new(seed);
    world.network().connect(CLIENT, SERVER, link);
    world
}

fn connect(world: &mut World<'_>, at: Instant, port: u16) -> TcpHost<Raw> {
    TcpHost::connect(at, client_port(port), server_port(), world.isn(), Config::default(), Raw::new())
}

fn listen(world: &mut World<'_>) -> TcpHost<Raw> {
    TcpHost::listen(server_port(), world.isn(), Config::default(), Raw::new())
}

/// A client that uploads `size` bytes, and a server that echoes them; every line of the log.
fn echo(seed: u64, link: LinkConfig, size: usize) -> (WorldReport, usize, Vec<String>, Digest) {
    let (mut left, mut echoed) = (size, 0);
    let mut world = world(seed, link);
    let host = listen(&mut world);
    world.add("server", host, |cx, input| match input {
        Input::Connected => cx.machine().follow = true,
        Input::Event(bytes) => {
            cx.machine().send.push(bytes);
            cx.machine().paused = cx.machine().send.is_full();
        }
        Input::Writable => cx.machine().paused = false,
        _ => {}
    });
    let host = connect(&mut world, Instant::ORIGIN, 49152);
    world.add("client", host, |cx, input| {
        if let Input::Connected | Input::Writable = input {
            while left > 0 && !cx.machine().send.is_full() {
                let n = left.min(5000);
                cx.machine().send.push(vec![b'x'; n].into());
                left -= n;
            }
        }
        if let Input::Event(bytes) = &input {
            echoed += bytes.len();
            if echoed == size {
                cx.note("echoed");
                cx.machine().finish = true;
            }
        }
    });
    let mut lines = Vec::new();
    let mut digest = Digest::new();
    let report = world.run_with(|entry| {
        lines.push(entry.to_string());
        digest.add(entry.to_string().as_bytes());
    });
    drop(world);
    (report.unwrap(), echoed, lines, digest)
}

#[test]
fn a_machine_runs_on_simulated_tcp_from_syn_to_time_wait() {
    let (report, echoed, lines, _) = echo(1, link(), 100_000);
    assert_eq!(echoed, 100_000);
    let closed: Vec<_> = report.hosts.iter().map(|(name, closed)| (&**name, *closed)).collect();
    assert_eq!(closed, [("server", Some(CloseReason::Normal)), ("client", Some(CloseReason::Normal))]);
    // TIME-WAIT is a minute.
    assert!(report.ended > Instant::from_secs(60));
    for expected in [
        "server CLOSED -> LISTEN",
        "client CLOSED -> SYN-SENT",
        "server LISTEN -> SYN-RECEIVED",
        "client SYN-SENT -> ESTABLISHED",
        "server SYN-RECEIVED -> ESTABLISHED",
        "client: echoed",
        "client ESTABLISHED -> FIN-WAIT-1",
        "client FIN-WAIT-1 -> TIME-WAIT",
        "server CLOSE-WAIT -> LAST-ACK",
        "server LAST-ACK -> CLOSED",
        "client TIME-WAIT -> CLOSED",
    ] {
        assert!(lines.iter().any(|line| line.ends_with(expected)), "{expected}\n{}", lines.join("\n"));
    }
    assert!(lines[2].contains("#0 10.0.0.1 > 10.0.0.2") && lines[2].contains("SYN seq="), "{}", lines[2]);
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let bad = LinkConfig {
        loss: Chance::percent(20),
        jitter: Duration::from_millis(5),
        duplication: Chance::percent(5),
        reordering: Chance::percent(5),
        reordering_delay: Duration::from_millis(20),
        corruption: Chance::percent(2),
        ..link()
    };
    let (report, echoed, lines, digest) = echo(3, bad.clone(), 50_000);
    assert_eq!(echoed, 50_000);
    assert!(report.malformed > 0);
    assert!(lines.iter().any(|line| line.contains(": corrupted: wrong checksum")), "{}", lines.join("\n"));
    assert_eq!(echo(3, bad.clone(), 50_000).3, digest);
    assert_ne!(echo(4, bad, 50_000).3, digest);
}

#[test]
fn the_log_is_in_the_order_of_time_and_shows_every_segment() {
    let mut world = world(5, LinkConfig { loss: Chance::percent(20), ..link() });
    let host = listen(&mut world);
    world.add("server", host, |cx, input| {
        if let Input::Connected = input {
            cx.machine().follow = true;
        }
    });
    let host = connect(&mut world, Instant::ORIGIN, 49152);
    world.add("client", host, |cx, input| {
        if let Input::Connected = input {
            cx.machine().send.extend_from_slice(b"hello");
            cx.machine().finish = true;
        }
    });
    let mut log = Vec::new();
    world.run_with(|entry| log.push(entry)).unwrap();
    assert!(log.is_sorted_by_key(|entry| entry.at));
    let count = |is: fn(Fate) -> bool| {
        log.iter().filter(|entry| matches!(&entry.what, Happening::Packet(seen) if is(seen.fate))).count() as u64
    };
    let stats = [world.network().stats(CLIENT, SERVER), world.network().stats(SERVER, CLIENT)];
    let total = |of: fn(&drywire_sim::LinkStats) -> u64| stats.iter().map(of).sum::<u64>();
    assert_eq!(count(|fate| fate == Fate::Sent), total(|stats| stats.sent));
    assert_eq!(count(|fate| fate == Fate::Lost), total(|stats| stats.lost));
    assert_eq!(count(|fate| matches!(fate, Fate::Delivered { .. })), total(|stats| stats.delivered));
}

#[test]
fn a_machine_that_does_not_read_closes_the_window() {
    let mut got = 0;
    let mut world = world(6, link());
    let host = listen(&mut world);
    world.add("server", host, |cx, input| match input {
        Input::Connected => {
            cx.machine().paused = true;
            cx.machine().follow = true;
            cx.wake_at(cx.now() + Duration::from_secs(30));
        }
        Input::Woken => cx.machine().paused = false,
        Input::Event(bytes) => got += bytes.len(),
        _ => {}
    });
    let host = connect(&mut world, Instant::ORIGIN, 49152);
    world.add("client", host, |cx, input| {
        if let Input::Connected = input {
            cx.machine().send.push(vec![7; 1_000_000].into());
            cx.machine().finish = true;
        }
    });
    let mut shut_at = None;
    let mut delivered_while_shut = 0;
    world
        .run_with(|entry| {
            let Happening::Packet(seen) = &entry.what else { return };
            let Fate::Delivered { .. } = seen.fate else { return };
            let packet = &seen.packet;
            let segment = Segment::parse(&packet.bytes, packet.source, packet.destination).unwrap();
            if packet.source == SERVER && segment.header.window == 0 && shut_at.is_none() {
                shut_at = Some(entry.at);
            }
            if packet.source == CLIENT && shut_at.is_some() && entry.at < Instant::from_secs(30) {
                delivered_while_shut += segment.payload.len();
            }
        })
        .unwrap();
    drop(world);
    assert!(shut_at.unwrap() < Instant::from_secs(1));
    // Window probes, a byte each.
    assert!((1..20).contains(&delivered_while_shut), "{delivered_while_shut}");
    assert_eq!(got, 1_000_000);
}

#[test]
fn several_clients_share_a_server_address_and_wake_each_other() {
    // One client waits for what another publishes, as in a long poll.
    let published = Rc::new(RefCell::new(None));
    let mut heard = None;
    let mut world = world(7, link());
    for name in ["server 1", "server 2"] {
        let host = listen(&mut world);
        let published = published.clone();
        world.add(name, host, move |cx, input| {
            match input {
                Input::Connected => cx.machine().follow = true,
                Input::Event(bytes) if bytes == "wait" => {}
                Input::Event(bytes) => {
                    *published.borrow_mut() = Some(bytes);
                    cx.wake_others();
                }
                _ => {}
            }
            // Woken or not, there may be news for whoever waits.
            if let Some(bytes) = published.borrow().clone()
                && !cx.machine().peer_finished
                && !cx.machine().finish
            {
                cx.machine().send.push(bytes);
                cx.machine().finish = true;
            }
        });
    }
    let host = connect(&mut world, Instant::ORIGIN, 49152);
    world.add("waits", host, |cx, input| match input {
        Input::Connected => {
            cx.machine().send.extend_from_slice(b"wait");
            cx.machine().follow = true;
        }
        Input::Event(bytes) => heard = Some((cx.now(), bytes)),
        _ => {}
    });
    let host = connect(&mut world, Instant::from_secs(5), 49153);
    world.add("publishes", host, |cx, input| {
        if let Input::Connected = input {
            cx.machine().send.extend_from_slice(b"news");
            cx.machine().finish = true;
        }
    });
    let report = world.run().unwrap();
    drop(world);
    assert_eq!(report.hosts.len(), 4);
    assert!(report.hosts.iter().all(|(_, closed)| *closed == Some(CloseReason::Normal)), "{report:?}");
    // SYN, SYN-ACK, ACK with data, and on to the other client: four times 10 ms.
    assert_eq!(heard, Some((Instant::from_millis(5040), Bytes::from_static(b"news"))));
}

#[test]
fn addresses_may_be_ipv6() {
    let (client, server) = ("[fd00::1]:49152".parse().unwrap(), "[fd00::2]:80".parse().unwrap());
    let mut heard = Vec::new();
    let mut world = World::new(13);
    world.network().connect("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), link());
    let isn = world.isn();
    world.add("server", TcpHost::listen(server, isn, Config::default(), Raw::new()), |cx, input| match input {
        Input::Connected => cx.machine().follow = true,
        Input::Event(bytes) => heard.extend_from_slice(&bytes),
        _ => {}
    });
    let isn = world.isn();
    let host = TcpHost::connect(Instant::ORIGIN, client, server, isn, Config::default(), Raw::new());
    world.add("client", host, |cx, input| {
        if let Input::Connected = input {
            cx.machine().send.push(vec![6; 5000].into());
            cx.machine().finish = true;
        }
    });
    let mut largest = 0;
    world
        .run_with(|entry| {
            if let Happening::Packet(seen) = entry.what {
                largest = largest.max(seen.packet.size());
            }
        })
        .unwrap();
    drop(world);
    assert_eq!(heard, [6; 5000]);
    assert_eq!(largest, 1500);
}

#[test]
fn an_abort_is_a_reset_for_the_peer() {
    for by_machine in [false, true] {
        let mut world = world(8, link());
        let host = listen(&mut world);
        world.add("server", host, move |cx, input| {
            if let Input::Event(_) = input {
                // Comes too late, and the world does not wait for it.
                cx.wake_at(Instant::from_secs(1000));
                if by_machine {
                    cx.machine().abort = true;
                } else {
                    cx.abort();
                }
            }
        });
        let host = connect(&mut world, Instant::ORIGIN, 49152);
        world.add("client", host, |cx, input| {
            if let Input::Connected = input {
                cx.machine().send.extend_from_slice(b"?");
            }
        });
        let report = world.run().unwrap();
        let closed: Vec<_> = report.hosts.iter().map(|(_, closed)| *closed).collect();
        assert_eq!(closed, [Some(CloseReason::Aborted), Some(CloseReason::Reset)]);
        assert_eq!(report.ended, Instant::from_millis(40));
    }
}

#[test]
fn a_listener_to_whom_nobody_comes_does_not_keep_the_world_running() {
    let mut world = world(9, link());
    let host = listen(&mut world);
    world.add("server", host, |_, _| {});
    let report = world.run().unwrap();
    assert_eq!(report.hosts, [("server".into(), None)]);
}

#[test]
fn a_segment_for_nobody_is_counted() {
    let mut world = world(10, link());
    let host = connect(&mut world, Instant::ORIGIN, 49152);
    world.add("client", host, |_, _| {});
    let report = world.run().unwrap();
    assert_eq!(report.hosts, [("client".into(), Some(CloseReason::TimedOut))]);
    // The SYN and its six repetitions.
    assert_eq!(report.unclaimed, 7);
}

#[test]
fn a_world_that_stands_still_says_why() {
    let mut world = world(11, link());
    let host = listen(&mut world);
    world.add("server", host, |_, _| {});
    let host = connect(&mut world, Instant::ORIGIN, 49152);
    world.add("client", host, |_, _| {});
    let error = world.run().unwrap_err();
    assert!(error.to_string().starts_with("seed 11, at 0.0"), "{error}");
    let each = "is in ESTABLISHED and reads, with 0 bytes to send and 0 bytes received";
    assert_eq!(error.reason, RunFailure::Stuck(format!("server {each}; client {each}")));
}

#[test]
fn applications_in_circles_run_out_of_steps() {
    let mut world = world(12, link());
    world.set_max_steps(5000);
    let host = listen(&mut world);
    world.add("server", host, |cx, _| cx.wake_others());
    let host = connect(&mut world, Instant::ORIGIN, 49152);
    world.add("client", host, |cx, _| cx.wake_others());
    assert_eq!(world.run().unwrap_err().reason, RunFailure::OutOfSteps(5000));
}

#[test]
fn a_host_runs_without_a_world_too() {
    let mut out = BytesMut::new();
    let (now, isn) = (Instant::ORIGIN, SeqNumber::new(1));
    let mut client = TcpHost::connect(now, client_port(9), server_port(), isn, Config::default(), Raw::new());
    let mut server = TcpHost::listen(server_port(), isn, Config::default(), Raw::new());
    client.machine().send.extend_from_slice(b"early");
    client.machine().finish = true;
    let mut heard = Vec::new();
    loop {
        let mut moved = false;
        while client.poll_input(now).is_some() {}
        while client.poll_transmit(now, &mut out).is_some() {
            let bytes = out.split();
            server.handle_segment(now, CLIENT, &Segment::parse(&bytes, CLIENT, SERVER).unwrap());
            moved = true;
        }
        while let Some(input) = server.poll_input(now) {
            if let Input::Event(bytes) = input {
                heard.extend_from_slice(&bytes);
            }
        }
        while server.poll_transmit(now, &mut out).is_some() {
            let bytes = out.split();
            client.handle_segment(now, SERVER, &Segment::parse(&bytes, SERVER, CLIENT).unwrap());
            moved = true;
        }
        if !moved {
            break;
        }
    }
    assert_eq!(heard, b"early");
    assert_eq!((client.state(), server.state()), (State::FinWait2, State::CloseWait));
    assert!(client.is_connected() && !client.is_closed());
}
