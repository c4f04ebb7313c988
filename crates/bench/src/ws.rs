//! WebSocket in memory: nanoseconds a message, of the codec and of a connection, received and sent.

use std::hint::black_box;

use drywire_core::{Bytes, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_ws::deflate::{Compression, Parameters, Pool};
use drywire_ws::{Config, Connection, Event, FrameHeader, Opcode, Role, mask};

use crate::summary::{Summary, cpu_time};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many times each work is measured.
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// Only the works whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// The work of one measurement, in percent; less for callgrind.
    #[arg(long, default_value_t = 100)]
    percent: usize,
}

/// Its name, how often it is done in one measurement, and what it is.
type Work = (&'static str, usize, fn(usize));

/// The bytes of a read.
const READ: usize = 64 * 1024;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const NOW: Instant = Instant::ORIGIN;

pub(crate) fn run(arguments: &Arguments) {
    println!("{:<34} {:>10} {:>10} {:>10}", "work", "median ns", "least", "most");
    let works: [Work; 12] = [
        ("codec, 20 B, masked", 2_000_000, codec),
        ("receive 20 B, reads of 64 KiB", 2_000_000, |n| receive(n, Opcode::Binary, &[7; 20], READ)),
        ("receive 26 B, one a read", 1_000_000, |n| receive(n, Opcode::Binary, &[7; 26], 0)),
        ("receive text 16 KiB, ASCII", 20_000, |n| receive(n, Opcode::Text, "x".repeat(16 << 10).as_bytes(), READ)),
        ("receive text 16 KiB, mixed", 10_000, |n| receive(n, Opcode::Text, mixed(16 << 10).as_bytes(), READ)),
        ("receive binary 1 MiB", 400, |n| receive(n, Opcode::Binary, &vec![7; 1 << 20], READ)),
        ("receive text 1 MiB, mixed", 200, |n| receive(n, Opcode::Text, mixed(1 << 20).as_bytes(), READ)),
        ("server sends 20 B", 2_000_000, |n| send(n, Role::Server, 20)),
        ("client sends 20 B", 2_000_000, |n| send(n, Role::Client, 20)),
        ("client sends 1 KiB", 500_000, |n| send(n, Role::Client, 1024)),
        ("JSON of 143 B, compressed", 200_000, deflate),
        ("JSON of 143 B, decompressed", 200_000, inflate),
    ];
    for (name, count, work) in works {
        if !name.contains(&arguments.only) {
            continue;
        }
        let count = (count * arguments.percent / 100).max(1);
        work(count.div_ceil(10));
        let measured = (0..arguments.runs).map(|_| {
            let began = cpu_time();
            work(count);
            cpu_time().saturating_sub(began).as_nanos() as f64 / count as f64
        });
        let Summary { median, least, most } = Summary::of(measured.collect());
        println!("{name:<34} {median:>10.1} {least:>10.1} {most:>10.1}");
    }
}

fn mixed(len: usize) -> String {
    let unit = "κόσμε € 日本語 plain 𐍈 ";
    unit.repeat(len / unit.len())
}

/// A frame as a client sends it.
fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let header =
        FrameHeader { fin: true, compressed: false, opcode, mask: Some(KEY), payload_len: payload.len() as u64 };
    let mut frame = header.encode().to_vec();
    let head = frame.len();
    frame.extend_from_slice(payload);
    mask(KEY, 0, &mut frame[head..]);
    frame
}

fn connection(role: Role) -> Connection {
    Connection::new(NOW, role, Config::default(), &Seed::from(1), SendQueue::new(1 << 20))
}

fn codec(count: usize) {
    let frame = masked(Opcode::Binary, &[7; 20]);
    let mut wire = frame.repeat(READ / frame.len());
    let mut left = count;
    while left > 0 {
        let mut at = 0;
        while let Ok(Some((header, len))) = FrameHeader::parse(&wire[at..]) {
            let end = at + len + header.payload_len as usize;
            if let Some(key) = header.mask {
                mask(key, 0, &mut wire[at + len..end]);
            }
            at = end;
            left = left.saturating_sub(1);
        }
        black_box(&wire);
    }
}

/// `count` messages in reads of `read` bytes; of one message each if that is zero.
fn receive(count: usize, opcode: Opcode, payload: &[u8], read: usize) {
    let frame = masked(opcode, payload);
    let frames = if read == 0 { 1 } else { (4 * READ).div_ceil(frame.len()) };
    let wire = frame.repeat(frames);
    let read = if read == 0 { frame.len() } else { read };
    let mut server = connection(Role::Server);
    let mut recv = RecvBuf::new();
    let mut left = count;
    while left > 0 {
        for piece in wire.chunks(read) {
            recv.extend_from_slice(piece);
            while let Ok(Some(Event::Message(message))) = server.poll_event(NOW, &mut recv) {
                black_box(message);
                left = left.saturating_sub(1);
            }
        }
    }
}

/// The payload is the caller's; what is queued leaves in writes of up to 64 KiB.
fn send(count: usize, role: Role, len: usize) {
    let payload = Bytes::from(vec![7; len]);
    let mut end = connection(role);
    for _ in 0..count {
        let _ = end.send_binary(payload.clone());
        if end.transmit().len() >= READ {
            black_box(end.transmit()).clear();
        }
    }
}

fn json(i: usize) -> String {
    format!(
        "{{\"id\":{:08},\"type\":\"trade\",\"symbol\":\"BTC-USD\",\"price\":{:08}.25,\"size\":0.{:06},\"side\":\"buy\",\
         \"time\":\"2026-01-01T00:00:{:02}.{:03}Z\",\"venue\":\"main\"}}",
        i,
        i * 7919 % 99_999_999,
        i * 104_729 % 1_000_000,
        i % 60,
        i % 1000,
    )
}

fn compressing(role: Role) -> Connection {
    let config = Config { compression: Compression::default(), ..Config::default() };
    Connection::new(NOW, role, config, &Seed::from(1), SendQueue::new(1 << 20))
        .with_deflate(Some(Parameters::default()), &Pool::default())
}

fn deflate(count: usize) {
    let messages: Vec<_> = (0..1000).map(|i| Bytes::from(json(i))).collect();
    let mut end = compressing(Role::Server);
    for message in messages.iter().cycle().take(count) {
        let _ = end.send_binary(message.clone());
        if end.transmit().len() >= READ {
            black_box(end.transmit()).clear();
        }
    }
}

fn inflate(count: usize) {
    let mut sender = compressing(Role::Server);
    for i in 0..1000 {
        let _ = sender.send_binary(json(i));
    }
    let mut wire = Vec::new();
    while !sender.transmit().is_empty() {
        wire.extend_from_slice(&sender.transmit().pop(usize::MAX));
    }
    let mut left = count;
    while left > 0 {
        let mut client = compressing(Role::Client);
        let mut recv = RecvBuf::new();
        recv.extend_from_slice(&wire);
        while let Ok(Some(Event::Message(message))) = client.poll_event(NOW, &mut recv) {
            black_box(message);
            left = left.saturating_sub(1);
        }
    }
}
