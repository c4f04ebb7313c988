//! The system calls of a script, on connections instead of sockets.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use drywire::Instant;
use drywire::tcp::{CloseReason, Config, Connection, ListenerHandle, SendError, State};

use super::ast::{Call, Expression, TcpPacket};
use super::flow::Flow;
use super::host::{Engine, Host};
use super::settings::Settings;

/// Where the first socket finds itself, as a process does that has the three standard streams open.
const FIRST_DESCRIPTOR: i64 = 3;
/// The port of a bind to `...`, on either side.
const SERVER_PORT: u16 = 8080;
const CLIENT_PORT: u16 = 49152;

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done(i64),
    Failed(&'static str),
    /// Not yet: try again when something has happened.
    Blocked(Wait),
}

/// What a call that blocks waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Connect { socket: i64 },
    Accept { socket: i64 },
    Read { socket: i64, len: usize },
    Write { socket: i64, written: usize, left: usize },
}

#[derive(Debug)]
struct Socket {
    role: Role,
    nonblocking: bool,
    bound: Option<SocketAddr>,
    config: Config,
    /// SO_LINGER with a time of zero: closing resets.
    resets_on_close: bool,
}

#[derive(Debug)]
enum Role {
    Fresh,
    /// Of connections on their own.
    Door {
        /// The connection that is in LISTEN.
        open: usize,
        /// Connections that wait for `accept`.
        queue: VecDeque<usize>,
    },
    /// Of a stack.
    Listener(ListenerHandle),
    Stream {
        /// The number of the connection.
        flow: usize,
    },
}

/// The sockets of a script and their connections.
#[derive(Debug)]
pub(super) struct Sockets {
    settings: Settings,
    table: BTreeMap<i64, Socket>,
    next_descriptor: i64,
    /// One for each connection of the host.
    flows: Vec<Flow>,
    pub(super) host: Host,
}

impl Sockets {
    pub(super) fn new(settings: Settings, engine: Engine, local_isn: u32, remote_base: u32) -> Self {
        let (local, remote) =
            (address(&settings, End::Local, SERVER_PORT), address(&settings, End::Remote, CLIENT_PORT));
        let host = match engine {
            Engine::Connection => Host::alone(local_isn, remote_base),
            Engine::Stack => Host::stacked(local_isn, remote_base, local, remote),
        };
        Self { settings, table: BTreeMap::new(), next_descriptor: FIRST_DESCRIPTOR, flows: vec![], host }
    }

    /// A segment of the peer's arrives.
    pub(super) fn inject(&mut self, now: Instant, packet: &TcpPacket) -> Result<(), String> {
        let nobody = (self.address(End::Local, SERVER_PORT), self.address(End::Remote, CLIENT_PORT));
        self.host.inject(now, packet, nobody)
    }

    /// Takes in what the connections tell, and moves established ones into the queues of their listeners.
    pub(super) fn settle(&mut self) {
        for number in 0.. {
            let Some(connection) = self.host.connection(number) else { break };
            if self.flows.len() <= number {
                self.flows.push(Flow::default());
            }
            self.flows[number].observe(connection);
        }
        let descriptors: Vec<i64> = self.table.keys().copied().collect();
        for descriptor in descriptors {
            let Some(Socket { role: Role::Door { open, queue }, config, bound: Some(bound), .. }) =
                self.table.get_mut(&descriptor)
            else {
                continue;
            };
            let state = self.host.connection(*open).map(|connection| connection.state());
            if matches!(state, None | Some(State::Listen | State::SynReceived)) {
                continue;
            }
            queue.push_back(*open);
            let (bound, config) = (*bound, config.clone());
            let remote = address(&self.settings, End::Remote, CLIENT_PORT);
            *open = self.host.listen_alone(bound, remote, config);
        }
    }

    fn address(&self, end: End, port: u16) -> SocketAddr {
        address(&self.settings, end, port)
    }

    /// Begins a call. `Err` says what is wrong with the script.
    pub(super) fn call(&mut self, now: Instant, call: &Call) -> Result<Outcome, String> {
        use Expression::Integer;
        match (call.name.as_str(), call.arguments.as_slice()) {
            ("socket", [_, kind, _]) if is_word(kind, "SOCK_STREAM") => Ok(self.socket()),
            ("bind", [Integer(socket), address, _]) => self.bind(*socket, address),
            ("listen", [Integer(socket), Integer(backlog)]) => self.listen(*socket, *backlog),
            ("accept", [Integer(socket), _, _]) => self.accept(*socket),
            ("connect", [Integer(socket), address, _]) => self.connect(now, *socket, address),
            ("write" | "send", [Integer(socket), Expression::Ellipsis, Integer(len), ..]) => {
                let left = usize::try_from(*len).map_err(|_| "a negative length")?;
                self.write(*socket, 0, left)
            }
            ("read" | "recv", [Integer(socket), Expression::Ellipsis, Integer(len), ..]) => {
                self.read(*socket, usize::try_from(*len).map_err(|_| "a negative length")?)
            }
            ("shutdown", [Integer(socket), Expression::Words(how)]) => self.shutdown(*socket, how),
            ("close", [Integer(socket)]) => Ok(self.close(*socket)),
            ("fcntl", [Integer(_), command]) if is_word(command, "F_GETFL") => Ok(Outcome::Done(2)),
            ("fcntl", [Integer(socket), command, flags]) if is_word(command, "F_SETFL") => {
                self.get(*socket)?.nonblocking = is_word(flags, "O_NONBLOCK");
                Ok(Outcome::Done(0))
            }
            ("setsockopt", [Integer(socket), _, Expression::Words(name), value, _]) => {
                self.set_option(*socket, &name.join("|"), value)
            }
            ("getsockopt", [Integer(socket), _, name, Expression::Array(value), _]) if is_word(name, "SO_ERROR") => {
                self.pending_error(*socket, value)
            }
            (name, _) => Err(format!("there is no call `{name}` with such arguments")),
        }
    }

    /// Tries again what blocked.
    pub(super) fn retry(&mut self, wait: &Wait) -> Result<Outcome, String> {
        match *wait {
            Wait::Connect { socket } => self.finish_connect(socket),
            Wait::Accept { socket } => self.accept(socket),
            Wait::Read { socket, len } => self.read(socket, len),
            Wait::Write { socket, written, left } => self.write(socket, written, left),
        }
    }

    fn get(&mut self, descriptor: i64) -> Result<&mut Socket, String> {
        self.table.get_mut(&descriptor).ok_or_else(|| format!("there is no socket {descriptor}"))
    }

    /// The connection of a connected socket.
    fn stream(&mut self, descriptor: i64) -> Result<Option<(&mut Flow, &mut Connection)>, String> {
        let Role::Stream { flow } = self.get(descriptor)?.role else { return Ok(None) };
        Ok(self.flows.get_mut(flow).zip(self.host.connection(flow)))
    }

    fn open(&mut self, socket: Socket) -> i64 {
        let descriptor = self.next_descriptor;
        self.next_descriptor += 1;
        self.table.insert(descriptor, socket);
        descriptor
    }

    fn socket(&mut self) -> Outcome {
        let config = self.settings.config.clone();
        let socket = Socket { role: Role::Fresh, nonblocking: false, bound: None, config, resets_on_close: false };
        Outcome::Done(self.open(socket))
    }

    fn bind(&mut self, socket: i64, address: &Expression) -> Result<Outcome, String> {
        let address = self.socket_address(address, End::Local)?;
        self.get(socket)?.bound = Some(address);
        Ok(Outcome::Done(0))
    }

    fn listen(&mut self, descriptor: i64, backlog: i64) -> Result<Outcome, String> {
        let default = self.address(End::Local, SERVER_PORT);
        let remote = self.address(End::Remote, CLIENT_PORT);
        let socket = self.get(descriptor)?;
        let bound = *socket.bound.get_or_insert(default);
        let config = socket.config.clone();
        let role = if let Host::Alone { .. } = self.host {
            Role::Door { open: self.host.listen_alone(bound, remote, config), queue: VecDeque::new() }
        } else {
            let backlog = usize::try_from(backlog).unwrap_or(0);
            let config = Host::listener_config(&self.settings, backlog, config);
            Role::Listener(self.host.listen(bound, config)?)
        };
        self.get(descriptor)?.role = role;
        Ok(Outcome::Done(0))
    }

    fn accept(&mut self, descriptor: i64) -> Result<Outcome, String> {
        let Socket { role, nonblocking, config, bound, .. } = self.get(descriptor)?;
        let (nonblocking, bound, config) = (*nonblocking, *bound, config.clone());
        let waiting = match role {
            Role::Door { queue, .. } => queue.pop_front(),
            Role::Listener(handle) => {
                let handle = *handle;
                self.host.accept(handle)
            }
            _ => return Ok(Outcome::Failed("EINVAL")),
        };
        Ok(match waiting {
            Some(flow) => {
                self.settle();
                let role = Role::Stream { flow };
                Outcome::Done(self.open(Socket { role, nonblocking: false, bound, config, resets_on_close: false }))
            }
            None if nonblocking => Outcome::Failed("EAGAIN"),
            None => Outcome::Blocked(Wait::Accept { socket: descriptor }),
        })
    }

    fn connect(&mut self, now: Instant, descriptor: i64, address: &Expression) -> Result<Outcome, String> {
        if let Role::Stream { .. } = self.get(descriptor)?.role {
            // The second call tells how the first one went.
            return self.finish_connect(descriptor);
        }
        let remote = self.socket_address(address, End::Remote)?;
        let default = self.address(End::Local, CLIENT_PORT);
        let socket = self.get(descriptor)?;
        let local = *socket.bound.get_or_insert(default);
        let (nonblocking, config) = (socket.nonblocking, socket.config.clone());
        let flow = self.host.connect(now, local, remote, config)?;
        self.settle();
        self.get(descriptor)?.role = Role::Stream { flow };
        Ok(if nonblocking {
            Outcome::Failed("EINPROGRESS")
        } else {
            Outcome::Blocked(Wait::Connect { socket: descriptor })
        })
    }

    fn finish_connect(&mut self, descriptor: i64) -> Result<Outcome, String> {
        let nonblocking = self.get(descriptor)?.nonblocking;
        let Some((flow, _)) = self.stream(descriptor)? else { return Ok(Outcome::Failed("EINVAL")) };
        Ok(if let Some(error) = take_error(flow) {
            Outcome::Failed(error)
        } else if flow.established {
            Outcome::Done(0)
        } else if nonblocking {
            Outcome::Failed("EALREADY")
        } else {
            Outcome::Blocked(Wait::Connect { socket: descriptor })
        })
    }

    fn write(&mut self, descriptor: i64, written: usize, left: usize) -> Result<Outcome, String> {
        let nonblocking = self.get(descriptor)?.nonblocking;
        let Some((flow, connection)) = self.stream(descriptor)? else { return Ok(Outcome::Failed("ENOTCONN")) };
        let done = match flow.write(connection, left) {
            Ok(done) => done,
            Err(SendError::NotConnected(_)) => return Ok(Outcome::Failed("ENOTCONN")),
            Err(_) => return Ok(Outcome::Failed(take_error(flow).unwrap_or("EPIPE"))),
        };
        let (written, left) = (written + done, left - done);
        Ok(if left == 0 || (nonblocking && written > 0) {
            Outcome::Done(count(written))
        } else if nonblocking {
            Outcome::Failed("EAGAIN")
        } else {
            Outcome::Blocked(Wait::Write { socket: descriptor, written, left })
        })
    }

    fn read(&mut self, descriptor: i64, len: usize) -> Result<Outcome, String> {
        let nonblocking = self.get(descriptor)?.nonblocking;
        let Some((flow, connection)) = self.stream(descriptor)? else { return Ok(Outcome::Failed("ENOTCONN")) };
        Ok(match flow.take(connection, len)? {
            0 if connection.recv().is_finished() => Outcome::Done(0),
            0 => match take_error(flow) {
                Some(error) => Outcome::Failed(error),
                None if flow.closed.is_some() => Outcome::Done(0),
                None if nonblocking => Outcome::Failed("EAGAIN"),
                None => Outcome::Blocked(Wait::Read { socket: descriptor, len }),
            },
            taken => Outcome::Done(count(taken)),
        })
    }

    fn shutdown(&mut self, descriptor: i64, how: &[String]) -> Result<Outcome, String> {
        let Some((_, connection)) = self.stream(descriptor)? else { return Ok(Outcome::Failed("ENOTCONN")) };
        match how {
            [how] if how == "SHUT_WR" => connection.shutdown(),
            [how] if how == "SHUT_RD" => connection.shutdown_read(),
            [how] if how == "SHUT_RDWR" => {
                connection.shutdown();
                connection.shutdown_read();
            }
            _ => return Err(format!("there is no shutdown by {}", how.join("|"))),
        }
        Ok(Outcome::Done(0))
    }

    /// As Linux does, a connection with bytes that nobody has read is reset (RFC 2525 2.17).
    fn close(&mut self, descriptor: i64) -> Outcome {
        let Some(socket) = self.table.remove(&descriptor) else { return Outcome::Failed("EBADF") };
        match socket.role {
            Role::Fresh => {}
            Role::Door { open, queue } => {
                for number in queue.into_iter().chain([open]) {
                    if let Some(connection) = self.host.connection(number) {
                        connection.abort();
                    }
                }
            }
            Role::Listener(handle) => self.host.close_listener(handle),
            Role::Stream { flow } => {
                let Some(connection) = self.host.connection(flow) else { return Outcome::Done(0) };
                if socket.resets_on_close || !connection.recv().is_empty() {
                    connection.abort();
                } else {
                    connection.shutdown();
                    connection.shutdown_read();
                }
            }
        }
        Outcome::Done(0)
    }

    fn set_option(&mut self, descriptor: i64, name: &str, value: &Expression) -> Result<Outcome, String> {
        let number = match value {
            Expression::Array(values) => match values.as_slice() {
                [Expression::Integer(value)] => Some(*value),
                _ => None,
            },
            _ => None,
        };
        let socket = self.get(descriptor)?;
        let is_fresh = matches!(socket.role, Role::Fresh);
        let unsigned = number.and_then(|number| usize::try_from(number).ok());
        match (name, unsigned) {
            ("SO_REUSEADDR", _) => {}
            ("SO_LINGER", _) => socket.resets_on_close = lingers_for_nothing(value),
            ("SO_RCVBUF", Some(bytes)) if is_fresh => socket.config.recv_capacity = bytes,
            ("SO_SNDBUF", Some(bytes)) if is_fresh => socket.config.send_capacity = bytes,
            ("TCP_NODELAY", Some(on)) if is_fresh => socket.config.no_delay = on != 0,
            ("SO_KEEPALIVE", Some(0)) if is_fresh => socket.config.keep_alive = None,
            ("SO_KEEPALIVE", Some(_)) if is_fresh => {
                socket.config.keep_alive.get_or_insert_default();
            }
            ("TCP_KEEPIDLE", Some(secs)) if is_fresh => {
                socket.config.keep_alive.get_or_insert_default().idle = Duration::from_secs(secs as u64);
            }
            ("TCP_KEEPINTVL", Some(secs)) if is_fresh => {
                socket.config.keep_alive.get_or_insert_default().interval = Duration::from_secs(secs as u64);
            }
            ("TCP_KEEPCNT", Some(count)) if is_fresh => {
                socket.config.keep_alive.get_or_insert_default().count = u8::try_from(count).unwrap_or(u8::MAX);
            }
            ("TCP_USER_TIMEOUT", Some(millis)) if is_fresh => {
                socket.config.user_timeout = (millis > 0).then_some(Duration::from_millis(millis as u64));
            }
            ("TCP_SYNCNT", Some(count)) if is_fresh => {
                socket.config.syn_retries = u8::try_from(count).unwrap_or(u8::MAX);
            }
            ("TCP_MAXSEG", Some(mss)) if is_fresh => socket.config.mss = u16::try_from(mss).unwrap_or(u16::MAX),
            _ => return Err(format!("there is no option {name} with such a value here")),
        }
        Ok(Outcome::Done(0))
    }

    /// `getsockopt(.., SO_ERROR, [ECONNRESET], ..)`: zero stands for none.
    fn pending_error(&mut self, descriptor: i64, expected: &[Expression]) -> Result<Outcome, String> {
        let error = self.stream(descriptor)?.and_then(|(flow, _)| take_error(flow));
        let matches = match (expected, error) {
            ([Expression::Integer(0)], None) => true,
            ([word], Some(error)) => is_word(word, error),
            _ => false,
        };
        if matches { Ok(Outcome::Done(0)) } else { Err(format!("the pending error is {}", error.unwrap_or("0"))) }
    }

    fn socket_address(&self, address: &Expression, end: End) -> Result<SocketAddr, String> {
        let fields = match address {
            Expression::Ellipsis => return Ok(self.address(end, SERVER_PORT)),
            Expression::Struct(fields) => fields,
            _ => return Err("an address is `...` or a structure".to_owned()),
        };
        let mut found = self.address(end, SERVER_PORT);
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("sa_family", _) => {}
                ("sin_port", Expression::Apply(function, port)) if function == "htons" => match port.as_slice() {
                    [Expression::Integer(port)] => {
                        found.set_port(u16::try_from(*port).map_err(|_| format!("{port} is no port"))?);
                    }
                    _ => return Err("a port is one number".to_owned()),
                },
                ("sin_addr", Expression::Apply(function, ip)) if function == "inet_addr" => match ip.as_slice() {
                    [Expression::Text(ip)] => found.set_ip(ip.parse().map_err(|_| format!("`{ip}` is no address"))?),
                    _ => return Err("an address is one string".to_owned()),
                },
                _ => return Err(format!("an address has no field {name} of that kind")),
            }
        }
        Ok(found)
    }
}

/// Whose address.
#[derive(Clone, Copy)]
enum End {
    Local,
    Remote,
}

fn address(settings: &Settings, end: End, port: u16) -> SocketAddr {
    let last = match end {
        End::Local => 1,
        End::Remote => 2,
    };
    let ip = if settings.ipv6 {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
    } else {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last as u8))
    };
    SocketAddr::new(ip, port)
}

/// The result of a call that counts bytes.
fn count(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn is_word(expression: &Expression, word: &str) -> bool {
    matches!(expression, Expression::Words(words) if words.iter().any(|it| it == word))
}

fn lingers_for_nothing(value: &Expression) -> bool {
    let Expression::Struct(fields) = value else { return false };
    let is = |name: &str, wanted: i64| {
        fields.iter().any(|(field, value)| field == name && *value == Expression::Integer(wanted))
    };
    is("onoff", 1) && is("linger", 0)
}

/// The error that ended the connection, the first time that the application asks.
fn take_error(flow: &mut Flow) -> Option<&'static str> {
    let error = match flow.closed? {
        CloseReason::Reset => "ECONNRESET",
        CloseReason::Refused => "ECONNREFUSED",
        CloseReason::TimedOut | CloseReason::UserTimeout => "ETIMEDOUT",
        CloseReason::Unreachable => "EHOSTUNREACH",
        _ => return None,
    };
    (!std::mem::replace(&mut flow.error_told, true)).then_some(error)
}
