//! Throughput to and from the kernel's TCP, through a TUN device.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the kernel has a clock and threads of its own"
)]

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as Wall};

use bytes::BytesMut;
use clap::ValueEnum;
use drywire_core::Seed;
use drywire_tcp::{ConnectionHandle, Stack, StackEvent};
use drywire_tun::{Device as _, Tun};
use smoltcp::iface::{self, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Medium, TunTapInterface};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as Micros;
use smoltcp::wire::{HardwareAddress, IpCidr};

use crate::drywire_host::config;
use crate::host::{Sink, Source};
use crate::smoltcp_host::socket;
use crate::summary::{Summary, cpu_time};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How much is sent, in MiB.
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// How often each side runs, in turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Each receive and send buffer of ours, in KiB.
    #[arg(long, default_value_t = 512)]
    buffer: usize,
    /// Runs one side alone.
    #[arg(long)]
    only: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    Drywire,
    DrywireOffload,
    Smoltcp,
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToKernel,
    FromKernel,
}

const DEVICE: &str = "drybench";
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

/// What one run has taken.
struct Run {
    wall: Duration,
    cpu: Duration,
    kernel_cpu: Duration,
}

pub(crate) fn run(arguments: &Arguments) {
    let (bytes, buffer) = (arguments.mib << 20, arguments.buffer << 10);
    let control = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    println!(
        "{} MiB through a TUN device, MTU 1500, our buffers of {} KiB; the kernel has {} and its usual buffers",
        arguments.mib,
        arguments.buffer,
        control.trim()
    );
    println!(
        "{:>13} {:>16} {:>8} {:>16} {:>17} {:>17}",
        "", "side", "Gbit/s", "least .. most", "our CPU s per GB", "its CPU s per GB"
    );
    for way in [Way::ToKernel, Way::FromKernel] {
        let mut runs = [Side::Drywire, Side::DrywireOffload, Side::Smoltcp].map(|side| (side, Vec::new()));
        for _ in 0..arguments.runs {
            for (side, results) in &mut runs {
                if arguments.only.is_none_or(|only| only == *side) {
                    results.push(match side {
                        Side::Drywire => transfer(|| DrywireEnd::new(false, buffer), way, bytes),
                        Side::DrywireOffload => transfer(|| DrywireEnd::new(true, buffer), way, bytes),
                        Side::Smoltcp => transfer(|| SmoltcpEnd::new(buffer), way, bytes),
                    });
                }
            }
        }
        for (side, results) in runs {
            let of = |figure: &dyn Fn(&Run) -> f64| Summary::of(results.iter().map(figure).collect());
            let speed = of(&|run| bytes as f64 * 8.0 / run.wall.as_nanos() as f64);
            let gigabytes = bytes as f64 / 1e9;
            let (cpu, kernel) =
                (of(&|run| run.cpu.as_secs_f64() / gigabytes), of(&|run| run.kernel_cpu.as_secs_f64() / gigabytes));
            if !results.is_empty() {
                println!(
                    "{:>13} {:>16} {:>8.2} {:>16} {:>17.3} {:>17.3}",
                    if way == Way::ToKernel { "to kernel" } else { "from kernel" },
                    match side {
                        Side::Drywire => "drywire",
                        Side::DrywireOffload => "drywire, offload",
                        Side::Smoltcp => "smoltcp",
                    },
                    speed.median,
                    format!("{:.2} .. {:.2}", speed.least, speed.most),
                    cpu.median,
                    kernel.median,
                );
            }
        }
    }
}

/// One end of a connection, on a device.
trait End {
    /// Opens the connection to this port of the kernel's.
    fn connect(&mut self, port: u16);

    /// Handles what has arrived, lets the application work, sends, and waits if there is nothing to do. Returns whether
    /// the application has reached its end: everything was received, or everything acknowledged.
    fn round(&mut self, application: &mut Application) -> bool;
}

enum Application {
    Sends(Source),
    Receives(Sink, u64),
}

impl Application {
    fn has_begun(&self, bytes: u64) -> bool {
        match self {
            Self::Sends(source) => source.left < bytes,
            Self::Receives(sink, _) => sink.received > 0,
        }
    }
}

/// Opens a device and a connection to a thread with a kernel's socket, and moves `bytes`.
fn transfer<E: End>(open: impl FnOnce() -> E, way: Way, bytes: u64) -> Run {
    let mut end = open();
    ip(&["address", "add", &format!("{KERNEL}/24"), "dev", DEVICE]);
    ip(&["link", "set", DEVICE, "up"]);
    let listener = TcpListener::bind((KERNEL, 0)).expect("the address is there");
    end.connect(listener.local_addr().expect("it is bound").port());
    let peer = peer(listener, way, bytes);
    let mut application = match way {
        Way::ToKernel => Application::Sends(Source::new(bytes)),
        Way::FromKernel => Application::Receives(Sink::new(1 << 20), bytes),
    };
    // A new device takes a moment until it works.
    while !application.has_begun(bytes) {
        end.round(&mut application);
    }
    let (wall, cpu) = (Wall::now(), cpu_time());
    while !end.round(&mut application) {}
    let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
    let kernel_cpu = peer.join().expect("the peer does not panic").expect("the peer's socket works");
    Run { wall, cpu, kernel_cpu }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("the program ip is there");
    assert!(status.success(), "ip {arguments:?}");
}

/// What a usual program does with a socket of the kernel. Returns its processor time.
fn peer(listener: TcpListener, way: Way, bytes: u64) -> JoinHandle<io::Result<Duration>> {
    thread::spawn(move || {
        let (mut socket, _) = listener.accept()?;
        let mut room = vec![0; 256 * 1024];
        match way {
            Way::ToKernel => {
                let mut left = bytes;
                while left > 0 {
                    left -= socket.read(&mut room)? as u64;
                }
            }
            Way::FromKernel => {
                let mut source = Source::new(bytes);
                while source.left > 0 {
                    let n = socket.write(&source.next(usize::MAX))?;
                    source.advance(n);
                }
            }
        }
        Ok(cpu_time())
    })
}

struct DrywireEnd {
    device: Tun,
    stack: Stack,
    buffer: usize,
    connection: Option<ConnectionHandle>,
    packet: BytesMut,
    more: bool,
}

impl DrywireEnd {
    fn new(offload: bool, buffer: usize) -> Self {
        let device = if offload { Tun::with_offload(DEVICE) } else { Tun::open(DEVICE) }.expect("root opens a device");
        let mut stack = Stack::new(device.stack_config(), &Seed::from(1));
        stack.add_address(IpAddr::V4(OURS));
        Self { device, stack, buffer, connection: None, packet: BytesMut::new(), more: false }
    }
}

impl End for DrywireEnd {
    fn connect(&mut self, port: u16) {
        let (now, remote) = (self.device.now(), SocketAddr::new(IpAddr::V4(KERNEL), port));
        self.connection = self.stack.connect(now, remote, config(self.buffer)).ok();
    }

    fn round(&mut self, application: &mut Application) -> bool {
        let Self { device, stack, connection, packet, more, .. } = self;
        let now = device.now();
        *more = device
            .receive(&mut |received| {
                if received.verified {
                    stack.handle_verified_packet(now, received.packet);
                } else {
                    stack.handle_packet(now, received.packet);
                }
            })
            .expect("the device works");
        if stack.poll_timeout().is_some_and(|due| due <= now) {
            stack.handle_timeout(now);
        }
        loop {
            let connection = connection.and_then(|handle| stack.connection_mut(handle)).expect("it is open");
            match application {
                Application::Sends(source) => loop {
                    let bytes = source.next(connection.send_room());
                    let len = bytes.len();
                    if !connection.state().is_synchronized() || len == 0 || connection.send(bytes).is_err() {
                        break;
                    }
                    source.advance(len);
                },
                Application::Receives(sink, _) => {
                    let recv = connection.recv();
                    sink.take(recv);
                    recv.skip(recv.len());
                }
            }
            let is_over = match application {
                Application::Sends(source) => source.left == 0 && connection.unacknowledged() == 0,
                Application::Receives(sink, bytes) => sink.received == *bytes,
            };
            while let Some(transmit) = stack.poll_transmit(now, packet) {
                device.send(packet, &transmit).expect("the device can do what the stack leaves to it");
                packet.clear();
            }
            if is_over {
                return true;
            }
            let mut news = false;
            while let Some(event) = stack.poll_event() {
                news |= matches!(event, StackEvent::Connection(_));
            }
            if !news {
                break;
            }
        }
        if !*more {
            device.park(stack.poll_timeout()).expect("waiting works");
        }
        false
    }
}

struct SmoltcpEnd {
    device: TunTapInterface,
    interface: Interface,
    sockets: SocketSet<'static>,
    buffer: usize,
    handle: Option<SocketHandle>,
}

impl SmoltcpEnd {
    fn new(buffer: usize) -> Self {
        let mut device = TunTapInterface::new(DEVICE, Medium::Ip).expect("root opens a device");
        let config = iface::Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut device, Micros::now());
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(OURS.into(), 24)).expect("it is the first"));
        Self { device, interface, sockets: SocketSet::new(Vec::new()), buffer, handle: None }
    }
}

impl End for SmoltcpEnd {
    fn connect(&mut self, port: u16) {
        let mut socket = socket(self.buffer);
        socket.connect(self.interface.context(), (KERNEL, port), 49152).expect("the socket is new");
        self.handle = Some(self.sockets.add(socket));
    }

    fn round(&mut self, application: &mut Application) -> bool {
        let Self { device, interface, sockets, handle, .. } = self;
        interface.poll(Micros::now(), device, sockets);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle.expect("it is open"));
        let is_over = match application {
            Application::Sends(source) => {
                while socket.can_send() {
                    let bytes = source.next(usize::MAX);
                    match socket.send_slice(&bytes) {
                        Ok(0) | Err(_) => break,
                        Ok(n) => source.advance(n),
                    }
                }
                source.left == 0 && socket.send_queue() == 0
            }
            Application::Receives(sink, bytes) => {
                while socket.can_recv() {
                    let taken = socket.recv(|bytes| {
                        sink.take(bytes);
                        (bytes.len(), ())
                    });
                    if taken.is_err() {
                        break;
                    }
                }
                sink.received == *bytes
            }
        };
        let now = Micros::now();
        let changed = interface.poll(now, device, sockets) == PollResult::SocketStateChanged;
        if !is_over && !changed {
            // As in smoltcp's examples, but only if the application has seen everything.
            let delay = interface.poll_delay(now, sockets);
            smoltcp::phy::wait(device.as_raw_fd(), delay).expect("waiting works");
        }
        is_over
    }
}
