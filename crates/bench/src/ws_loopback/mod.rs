//! WebSocket echo servers over loopback: messages a second, the server's processor time and its system calls a message.

#![allow(clippy::disallowed_methods, reason = "what is measured is the kernel's time, on its clock")]

mod load;
mod servers;

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;

use self::load::Load;
use crate::summary::Summary;

#[derive(clap::Args)]
pub(crate) struct ServerArguments {
    /// Whose server.
    #[arg(long)]
    side: Side,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Connections at a time; several numbers are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "1,64,100,512")]
    connections: Vec<usize>,
    /// Messages that each connection sends at once, before it waits for the answers.
    #[arg(long, default_value_t = 1)]
    burst: usize,
    /// The length of a message, in bytes.
    #[arg(long, default_value_t = 20)]
    len: usize,
    /// How many times each side is measured, in turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How long one measurement takes, in milliseconds; the first fifth does not count.
    #[arg(long, default_value_t = 1000)]
    millis: u64,
    /// These sides only.
    #[arg(long, value_delimiter = ',')]
    side: Vec<Side>,
    /// Counts system calls with strace instead, which makes everything slow.
    #[arg(long)]
    system_calls: bool,
}

/// The implementations of an echo server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    /// drywire on tokio.
    Drywire,
    /// drywire on a readiness loop.
    Poll,
    Fastwebsockets,
    TokioTungstenite,
}

impl Side {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Serves until standard input ends.
pub(crate) fn serve(arguments: &ServerArguments) {
    servers::run(arguments.side);
}

pub(crate) fn run(arguments: &Arguments) {
    let sides = if arguments.side.is_empty() { Side::value_variants() } else { &arguments.side };
    println!("messages of {} B, {} at a time", arguments.len, arguments.burst);
    for &connections in &arguments.connections {
        let load = Load {
            connections,
            burst: arguments.burst,
            len: arguments.len,
            time: Duration::from_millis(arguments.millis),
        };
        if arguments.system_calls { count_system_calls(sides, &load) } else { measure(sides, &load, arguments.runs) }
    }
}

/// The sides take turns; a server that is not asked sleeps. The ratio is that of the medians: a side's messages a second to those
/// of the first, which is drywire.
fn measure(sides: &[Side], load: &Load, runs: usize) {
    let mut servers: Vec<_> = sides.iter().map(|&side| Server::start(side, None)).collect();
    let mut measured = vec![(Vec::new(), Vec::new()); servers.len()];
    for _ in 0..runs {
        for (server, (rates, costs)) in servers.iter_mut().zip(&mut measured) {
            let before = server.cpu();
            let done = load.run(server.address);
            let cpu = server.cpu().saturating_sub(before);
            rates.push(done.counted as f64 / done.wall.as_secs_f64());
            costs.push(cpu.as_nanos() as f64 / done.all as f64);
        }
    }
    println!(
        "{:>11}  {:<17} {:>11} {:>10} .. {:<10} {:>6} {:>15}",
        "connections", "side", "messages/s", "least", "most", "ratio", "CPU ns/message"
    );
    let mut first = None;
    for (side, (rates, costs)) in sides.iter().zip(measured) {
        let Summary { median, least, most } = Summary::of(rates);
        let ratio = median / *first.get_or_insert(median);
        println!(
            "{:>11}  {:<17} {median:>11.0} {least:>10.0} .. {most:<10.0} {ratio:>6.2} {:>15.0}",
            load.connections,
            side.name(),
            Summary::of(costs).median,
        );
    }
}

/// Each side once, below strace. The few calls of its start and end are in the count.
fn count_system_calls(sides: &[Side], load: &Load) {
    for &side in sides {
        let counts = std::env::temp_dir().join(format!("drywire-bench-{}-{}", std::process::id(), side.name()));
        let mut server = Server::start(side, Some(&counts));
        let done = load.run(server.address);
        server.stop();
        // The columns are the calls' number and name, below a heading and above a sum.
        let table = fs::read_to_string(&counts).unwrap_or_default();
        let _ = fs::remove_file(&counts);
        let mut calls: Vec<(f64, &str)> = table
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .filter_map(|(number, name)| Some((number.parse::<f64>().ok()? / done.all as f64, name.trim())))
            // Not the sum, and not the call that was under way at the end.
            .filter(|(_, name)| *name != "total" && !name.contains('?'))
            .collect();
        calls.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        let sum: f64 = calls.iter().map(|(number, _)| number).sum();
        let most: Vec<_> = calls.iter().take(4).map(|(number, name)| format!("{name} {number:.3}")).collect();
        println!(
            "{:>11} connections, {:<17} {sum:>7.3} system calls a message: {}",
            load.connections,
            side.name(),
            most.join(", ")
        );
    }
}

/// A server in a process of its own, which ends with this one.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(side: Side, counts: Option<&PathBuf>) -> Self {
        let program = std::env::current_exe().expect("a program has a path");
        let mut command = match counts {
            None => Command::new(program),
            Some(path) => {
                let mut strace = Command::new("strace");
                strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(path).arg(program);
                strace
            }
        };
        command.args(["ws-server", "--side", &side.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the server tells its address");
        let address = line.trim().parse().unwrap_or_else(|_| panic!("no address: {line:?}"));
        Self { process, address }
    }

    /// How long the process has run, in the steps of the kernel's clock ticks of 10 ms.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        // Behind the name, which is in parentheses, utime and stime are the twelfth and thirteenth field.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    fn stop(&mut self) {
        drop(self.process.stdin.take());
        let _: io::Result<_> = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
