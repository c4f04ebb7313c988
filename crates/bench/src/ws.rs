//! WebSocket in memory: nanoseconds a message, of the codec and of a connection, received and sent, beside the peers.

use std::hint::black_box;

use drywire_core::{Bytes, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_ws::deflate::{Compression, Parameters, Pool};
use drywire_ws::{Config, Connection, Event, FrameHeader, Message, Opcode, Role, mask};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

use crate::summary::{Summary, cpu_time};
use crate::ws_memory::Memory;
use crate::ws_peers::PEERS;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many times each work is measured.
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// Only the works whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only the sides whose name contains this.
    #[arg(long, default_value = "")]
    side: String,
    /// The work of one measurement, in percent; less for callgrind.
    #[arg(long, default_value_t = 100)]
    percent: usize,
}

/// How a side does a work so many times.
type Side<'a> = (&'static str, Box<dyn Fn(usize) + 'a>);

/// The bytes of a read.
pub(crate) const READ: usize = 64 * 1024;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const NOW: Instant = Instant::ORIGIN;

/// Frames of one message each, as they come to a server, over and over.
pub(crate) struct Stream {
    payload: Vec<u8>,
    wire: Vec<u8>,
    read: usize,
}

impl Stream {
    /// In reads of `read` bytes; of one message each if that is zero.
    pub(crate) fn new(opcode: Opcode, payload: Vec<u8>, read: usize) -> Self {
        let frame = masked(opcode, &payload);
        let frames = if read == 0 { 1 } else { (4 * READ).div_ceil(frame.len()) };
        Self { payload, wire: frame.repeat(frames), read: if read == 0 { frame.len() } else { read } }
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::new(self.wire.clone(), self.read)
    }
}

/// Counts messages, and checks them: the first as a whole, of the others the length and the end.
pub(crate) struct Tally<'a> {
    payload: &'a [u8],
    count: usize,
    left: usize,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(stream: &'a Stream, count: usize) -> Self {
        Self { payload: &stream.payload, count, left: count }
    }

    pub(crate) fn lacks(&self) -> bool {
        self.left > 0
    }

    pub(crate) fn take(&mut self, message: &[u8]) {
        assert_eq!(message.len(), self.payload.len());
        assert_eq!(message.last_chunk::<8>(), self.payload.last_chunk());
        if self.left == self.count {
            assert_eq!(message, self.payload);
        }
        // Those behind the last one, of the same read, count for nothing.
        self.left = self.left.saturating_sub(1);
    }
}

pub(crate) fn run(arguments: &Arguments) {
    println!("{:<30} {:<16} {:>10} {:>10} {:>10} {:>7}", "work", "side", "median ns", "least", "most", "ratio");
    measure(arguments, "codec, 20 B, masked", 2_000_000, &[("drywire", Box::new(codec))]);
    for (name, count, opcode, payload, read) in [
        ("receive 20 B, reads of 64 KiB", 2_000_000, Opcode::Binary, vec![7; 20], READ),
        ("receive 26 B, one a read", 1_000_000, Opcode::Binary, vec![7; 26], 0),
        ("receive text 16 KiB, ASCII", 20_000, Opcode::Text, vec![b'x'; 16 << 10], READ),
        ("receive text 16 KiB, mixed", 10_000, Opcode::Text, mixed(16 << 10).into(), READ),
        ("receive binary 1 MiB", 400, Opcode::Binary, vec![7; 1 << 20], READ),
        ("receive text 1 MiB, mixed", 200, Opcode::Text, mixed(1 << 20).into(), READ),
    ] {
        let stream = &Stream::new(opcode, payload, read);
        let mut sides: Vec<Side<'_>> = vec![("drywire", Box::new(|n| receive(stream, n)))];
        sides.extend(PEERS.map(|peer| -> Side<'_> { (peer.name, Box::new(move |n| (peer.receive)(stream, n))) }));
        measure(arguments, name, count, &sides);
    }
    for (name, count, role, len) in [
        ("server sends 20 B", 2_000_000, Role::Server, 20),
        ("client sends 20 B", 2_000_000, Role::Client, 20),
        ("client sends 1 KiB", 500_000, Role::Client, 1024),
    ] {
        let payload = &Bytes::from(vec![7; len]);
        let mut sides: Vec<Side<'_>> = vec![("drywire", Box::new(move |n| send(role, payload, n)))];
        sides.extend(PEERS.map(|peer| -> Side<'_> { (peer.name, Box::new(move |n| (peer.send)(role, payload, n))) }));
        measure(arguments, name, count, &sides);
    }
    let deflate: [Side<'_>; 2] = [("drywire", Box::new(deflate)), ("bare zlib-rs", Box::new(bare_deflate))];
    measure(arguments, "JSON of 143 B, compressed", 200_000, &deflate);
    let inflate: [Side<'_>; 2] = [("drywire", Box::new(inflate)), ("bare zlib-rs", Box::new(bare_inflate))];
    measure(arguments, "JSON of 143 B, decompressed", 200_000, &inflate);
}

/// The sides take turns. The ratio is that of the medians: a side's time to that of the first, which is drywire.
fn measure(arguments: &Arguments, name: &str, count: usize, sides: &[Side<'_>]) {
    if !name.contains(&arguments.only) {
        return;
    }
    let sides: Vec<_> = sides.iter().filter(|(side, _)| side.contains(&arguments.side)).collect();
    let count = (count * arguments.percent / 100).max(1);
    let mut measured = vec![Vec::new(); sides.len()];
    for (_, work) in &sides {
        work(count.div_ceil(10));
    }
    for _ in 0..arguments.runs {
        for ((_, work), measured) in sides.iter().zip(&mut measured) {
            let began = cpu_time();
            work(count);
            measured.push(cpu_time().saturating_sub(began).as_nanos() as f64 / count as f64);
        }
    }
    let mut first = None;
    for ((side, _), measured) in sides.iter().zip(measured) {
        let Summary { median, least, most } = Summary::of(measured);
        let ratio = median / *first.get_or_insert(median);
        println!("{name:<30} {side:<16} {median:>10.1} {least:>10.1} {most:>10.1} {ratio:>7.2}");
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

fn receive(stream: &Stream, count: usize) {
    let mut server = connection(Role::Server);
    let mut recv = RecvBuf::new();
    let mut tally = Tally::new(stream, count);
    while tally.lacks() {
        for piece in stream.wire.chunks(stream.read) {
            recv.extend_from_slice(piece);
            while let Some(event) = server.poll_event(NOW, &mut recv).expect("no violation") {
                match event {
                    Event::Message(Message::Text(text)) => tally.take(text.as_bytes()),
                    Event::Message(Message::Binary(bytes)) => tally.take(&bytes),
                    _ => unreachable!("only messages are sent"),
                }
            }
        }
    }
}

/// The payload is the caller's; what is queued leaves in writes of up to 64 KiB.
fn send(role: Role, payload: &Bytes, count: usize) {
    let mut end = connection(role);
    for _ in 0..count {
        end.send_binary(payload.clone()).expect("queued");
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

/// The same messages with nothing around the compressor: level 1, one flush each, the context taken over.
fn bare_deflate(count: usize) {
    let messages: Vec<_> = (0..1000).map(json).collect();
    let mut deflate = Deflate::new(1, false, 15);
    let mut output = [0; 1024];
    for message in messages.iter().cycle().take(count) {
        deflate.compress(message.as_bytes(), &mut output, DeflateFlush::SyncFlush).expect("room enough");
        black_box(&output);
    }
}

fn bare_inflate(count: usize) {
    let mut deflate = Deflate::new(1, false, 15);
    let messages = (0..1000).map(|i| {
        let mut output = [0; 1024];
        let before = deflate.total_out();
        deflate.compress(json(i).as_bytes(), &mut output, DeflateFlush::SyncFlush).expect("room enough");
        output[..(deflate.total_out() - before) as usize].to_vec()
    });
    let messages: Vec<_> = messages.collect();
    let mut output = [0; 1024];
    let mut left = count;
    while left > 0 {
        let mut inflate = Inflate::new(false, 15);
        for message in &messages {
            inflate.decompress(message, &mut output, InflateFlush::NoFlush).expect("room enough");
            black_box(&output);
        }
        left = left.saturating_sub(messages.len());
    }
}
