//! HTTP/1.1 in memory: bytes of requests in, bytes of responses out and checked, beside hyper and others.

mod drywire;
mod hyper;
mod others;
mod requests;
mod wire;

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::summary::{Summary, cpu_time};
use wire::{Sink, Source};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measures this alone.
    #[arg(long)]
    what: Option<What>,
    /// Runs one side alone.
    #[arg(long)]
    only: Option<Side>,
    /// Requests of this many bytes alone.
    #[arg(long)]
    size: Option<usize>,
    /// How often each side runs, in turns.
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// Requests in one run.
    #[arg(long, default_value_t = 50_000)]
    requests: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A request parsed, its response sent.
    Exchange,
    /// Content in small chunks.
    Chunked,
    /// A large head in one piece and byte by byte.
    Drip,
}

/// The implementations.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// The lazy head and a prepared response.
    Drywire,
    /// `http::Request` and `http::Response`.
    DrywireTypes,
    Hyper,
    UreqProto,
    /// Parses heads, and no more.
    Httparse,
    /// Parses heads, and no more.
    NtexHttparse,
}

impl Side {
    /// Those that take whole connections.
    const SERVERS: [Self; 2] = [Self::Drywire, Self::Hyper];

    /// Takes all of the source and answers each of its requests. How many bytes of content came.
    fn serve(self, source: Source, sink: &mut Sink) -> u64 {
        match self {
            Self::Drywire => drywire::serve(source, sink, &drywire::Prepared::new()),
            Self::DrywireTypes => drywire::serve(source, sink, &drywire::Types::default()),
            Self::Hyper => hyper::serve(source, sink),
            Self::UreqProto => others::ureq_proto(source, sink),
            Self::Httparse => others::httparse(source),
            Self::NtexHttparse => others::ntex_httparse(source),
        }
    }

    /// Whether it answers.
    fn is_whole(self) -> bool {
        !matches!(self, Self::Httparse | Self::NtexHttparse)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().expect("no side is hidden").get_name())
    }
}

pub(crate) fn run(arguments: &Arguments) {
    let wanted = |what| arguments.what.is_none_or(|only| only == what);
    if wanted(What::Exchange) {
        exchange(arguments);
    }
    if wanted(What::Chunked) {
        chunked(arguments);
    }
    if wanted(What::Drip) {
        drip(arguments);
    }
}

/// One row, measured.
struct Row {
    side: Side,
    nanos: Summary,
    allocations: usize,
}

/// Lets the sides take turns. Each of the results counts `units`, and all time is given for one unit.
fn measure(arguments: &Arguments, sides: &[Side], units: usize, source: impl Fn() -> Source, content: u64) -> Vec<Row> {
    let sides = sides.iter().filter(|side| arguments.only.is_none_or(|only| only == **side));
    let mut results: Vec<_> = sides.map(|side| (*side, Vec::new(), 0)).collect();
    for _ in 0..arguments.runs {
        for (side, nanos, allocations) in &mut results {
            let source = source();
            let (requests, mut sink) = (source.requests(), Sink::default());
            let region = Region::new(ALLOCATOR);
            let start = cpu_time();
            let received = side.serve(source, &mut sink);
            let cpu: Duration = cpu_time().saturating_sub(start);
            *allocations = region.change().allocations;
            if side.is_whole() {
                assert_eq!((sink.responses(), received), (requests, content), "{side} left something out");
            }
            nanos.push(cpu.as_nanos() as f64 / units as f64);
        }
    }
    let rows = results.into_iter();
    rows.map(|(side, nanos, allocations)| Row { side, nanos: Summary::of(nanos), allocations }).collect()
}

/// The row of hyper, where there is one.
fn reference(rows: &[Row]) -> Option<f64> {
    rows.iter().find(|row| row.side == Side::Hyper).map(|row| row.nanos.median)
}

fn exchange(arguments: &Arguments) {
    println!("a request parsed, a response sent; nanoseconds, {} requests a run", arguments.requests);
    println!(
        "{:>6} {:>14} {:>9} {:>18} {:>12} {:>9}",
        "bytes", "side", "ns", "least .. most", "allocations", "of hyper"
    );
    for request in requests::ALL.iter().filter(|request| arguments.size.is_none_or(|size| size == request.len())) {
        let source = || Source::repeat(request, arguments.requests, request.len());
        let rows = measure(arguments, Side::value_variants(), arguments.requests, source, 0);
        let hyper = reference(&rows);
        for Row { side, nanos, allocations } in &rows {
            let range = format!("{:.0} .. {:.0}", nanos.least, nanos.most);
            let share = hyper.map_or(String::new(), |hyper| format!("{:.2}", nanos.median / hyper));
            let allocations = if cfg!(feature = "count") {
                format!("{:.1}", *allocations as f64 / arguments.requests as f64)
            } else {
                "-".into()
            };
            println!("{:>6} {side:>14} {:>9.1} {range:>18} {allocations:>12} {share:>9}", request.len(), nanos.median);
        }
    }
}

/// Bytes of content in a request with chunks.
const CONTENT: usize = 1 << 20;

fn chunked(arguments: &Arguments) {
    println!("content in chunks, read in pieces of 16 KiB; a run is {} KiB", CONTENT >> 10);
    println!(
        "{:>6} {:>14} {:>9} {:>18} {:>9} {:>14}",
        "chunk", "side", "ns each", "least .. most", "MB/s", "times hyper's"
    );
    for size in [16, 256, 4096] {
        let request = requests::chunked(CONTENT, size);
        let source = || Source::repeat(&request, 1, 16 * 1024);
        let sides = [Side::Drywire, Side::Hyper, Side::UreqProto];
        let rows = measure(arguments, &sides, CONTENT / size, source, CONTENT as u64);
        let hyper = reference(&rows);
        for Row { side, nanos, .. } in &rows {
            let range = format!("{:.1} .. {:.1}", nanos.least, nanos.most);
            let times = hyper.map_or(String::new(), |hyper| format!("{:.1}", hyper / nanos.median));
            let speed = size as f64 * 1000.0 / nanos.median;
            println!("{size:>6} {side:>14} {:>9.1} {range:>18} {speed:>9.0} {times:>14}", nanos.median);
        }
    }
}

fn drip(arguments: &Arguments) {
    let request = requests::large_head();
    println!("a head of {} bytes; microseconds", request.len());
    println!("{:>14} {:>10} {:>18} {:>10}", "side", "read by", "least .. most", "median");
    let print = |name: &str, by: &str, nanos: &Summary| {
        let [least, most, median] = [nanos.least, nanos.most, nanos.median].map(|nanos| nanos / 1000.0);
        println!("{name:>14} {by:>10} {:>18} {median:>10.1}", format!("{least:.1} .. {most:.1}"));
    };
    let mut dripped = Vec::new();
    let mut whole = Vec::new();
    for (by, piece, rows) in [("64 KiB", 1 << 16, &mut whole), ("1 byte", 1, &mut dripped)] {
        *rows = measure(arguments, &Side::SERVERS, 1, || Source::repeat(&request, 1, piece), 0);
        for Row { side, nanos, .. } in rows.iter() {
            print(&side.to_string(), by, nanos);
        }
    }
    let calls = Summary::of((0..arguments.runs).map(|_| drywire::nanos_of_calls(&request)).collect());
    print("drywire", "calls", &calls);
    let median = |rows: &[Row], side| rows.iter().find(|row| row.side == side).map(|row| row.nanos.median);
    if let (Some(dripped), Some(whole)) = (median(&dripped, Side::Drywire), median(&whole, Side::Drywire)) {
        println!("byte by byte without the calls: {:.2} times what one piece takes", (dripped - calls.median) / whole);
    }
    if let (Some(ours), Some(hyper)) = (median(&dripped, Side::Drywire), reference(&dripped)) {
        println!("byte by byte: {:.2} of hyper's time", ours / hyper);
    }
}
