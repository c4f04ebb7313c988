//! wrk (Debian's package of that name) asks the sides in turn, again and again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::{env, fs, io};

use clap::ValueEnum as _;

use super::Side;
use crate::summary::Summary;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The sides, each compared with the first.
    #[arg(long, value_delimiter = ',', default_values = ["hyper", "drywire", "poll", "hyper-timer", "axum", "std"])]
    sides: Vec<Side>,
    /// How often each side is asked by each load.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How long, in seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// This load alone.
    #[arg(long)]
    load: Option<Load>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Load {
    /// One connection, one request at a time.
    One,
    /// 64 connections.
    Many,
    /// 512 connections.
    Crowd,
    /// 64 connections with 16 requests under way on each.
    Pipelined,
}

impl Load {
    fn connections(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Many | Self::Pipelined => 64,
            Self::Crowd => 512,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::One => "1 connection",
            Self::Many => "64 connections",
            Self::Crowd => "512 connections",
            Self::Pipelined => "64, 16 deep",
        }
    }
}

/// Sixteen requests in one write.
const PIPELINE: &str = r#"
local requests
init = function()
  local one = {}
  for n = 1, 16 do one[n] = wrk.format(nil, "/hello") end
  requests = table.concat(one)
end
request = function() return requests end
"#;

/// A server in a process of its own.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(side: Side) -> io::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .args(["http-server", "--side", &side.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim_end().strip_prefix("listening on ").unwrap_or_default().to_owned();
        Ok(Self { process, address })
    }

    /// The whole response, but for the date and with the names of fields in small letters.
    fn response(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let (mut response, mut room) = (Vec::new(), [0; 1024]);
        while !response.ends_with(super::CONTENT.as_bytes()) {
            let n = stream.read(&mut room)?;
            if n == 0 {
                break;
            }
            response.extend_from_slice(&room[..n]);
        }
        let response = String::from_utf8_lossy(&response).into_owned();
        Ok(response
            .split_inclusive("\r\n")
            .map(|line| match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("date") => {
                    format!("date: of {} bytes\r\n", value.len())
                }
                Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
                None => line.to_owned(),
            })
            .collect())
    }

    /// Requests a second.
    fn ask(&self, load: Load, seconds: u32, script: &str) -> f64 {
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", &format!("-c{}", load.connections()), &format!("-d{seconds}s")]);
        if load == Load::Pipelined {
            wrk.args(["-s", script]);
        }
        wrk.arg(format!("http://{}/hello", self.address));
        let output = wrk.output().expect("wrk is installed: Debian has a package of that name");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no rate: {text}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn run(arguments: &Arguments) {
    let servers: Vec<_> =
        arguments.sides.iter().map(|side| (*side, Server::start(*side).expect("a server on loopback"))).collect();
    let responses: Vec<_> = servers.iter().map(|(_, server)| server.response().expect("a response")).collect();
    assert!(responses.iter().all(|response| lines(response) == lines(&responses[0])), "{responses:#?}");

    let script = env::temp_dir().join(format!("drywire-bench-{}.lua", std::process::id()));
    fs::write(&script, PIPELINE).expect("a file for wrk");
    let path = script.to_string_lossy().into_owned();
    println!("{:>16} {:>12} {:>10}  {:>19}  of {}", "load", "side", "requests/s", "least .. most", arguments.sides[0]);
    for load in Load::value_variants().iter().filter(|load| arguments.load.is_none_or(|only| only == **load)) {
        let mut rates = vec![Vec::new(); servers.len()];
        for _ in 0..arguments.runs {
            for ((_, server), rates) in servers.iter().zip(&mut rates) {
                rates.push(server.ask(*load, arguments.seconds, &path));
            }
        }
        let summaries: Vec<_> = rates.into_iter().map(Summary::of).collect();
        for ((side, _), summary) in servers.iter().zip(&summaries) {
            println!(
                "{:>16} {side:>12} {:>10.0}  {:>19}  {:.2}",
                load.title(),
                summary.median,
                format!("{:.0} .. {:.0}", summary.least, summary.most),
                summary.median / summaries[0].median
            );
        }
    }
    let _ = fs::remove_file(script);
}

/// The lines of a response in an order of their own: fields may come in any.
fn lines(response: &str) -> Vec<&str> {
    let mut lines: Vec<_> = response.split("\r\n").collect();
    lines.sort_unstable();
    lines
}
