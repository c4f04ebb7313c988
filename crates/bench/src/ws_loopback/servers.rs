//! The echo servers, each on one thread, of tokio but for `poll`. The opening handshake is left out on both ends: it is not what is measured.

use std::io::{self, Read as _};
use std::net::Ipv4Addr;

use drywire_core::{Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_tokio::{Driver, TcpTransport};
use drywire_ws::{Config, Connection, Error, Event, Message, Role, SendError};
use futures_util::StreamExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::unconstrained;

use super::Side;

/// Serves until standard input ends.
pub(super) fn run(side: Side) {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    if side == Side::Poll {
        return on_poll();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        println!("{}", listener.local_addr().expect("it is bound"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a TCP socket");
            // As fastwebsockets' own example does it; the others would only lose without.
            match side {
                Side::Drywire | Side::Poll => drop(tokio::spawn(unconstrained(drywire(stream)))),
                Side::Fastwebsockets => drop(tokio::spawn(unconstrained(fastwebsockets(stream)))),
                Side::TokioTungstenite => drop(tokio::spawn(unconstrained(tokio_tungstenite(stream)))),
            }
        }
    });
}

/// drywire on its readiness loop, which is one thread as well.
fn on_poll() {
    let server = drywire_std::poll::Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    println!("{}", server.local_addr());
    server.run(|incoming| Echo::new(incoming.now), |_, _| {}).expect("a poller");
}

async fn drywire(stream: TcpStream) {
    let transport = TcpTransport::new(stream);
    let mut driver = Driver::new(Echo::new(transport.now()), transport);
    while let Ok(Some(_)) = driver.next_event().await {}
}

/// A connection that sends messages back, and takes no further one while the queue is full.
struct Echo {
    ws: Connection,
    held: Option<Message>,
}

impl Echo {
    fn new(now: Instant) -> Self {
        let queue = SendQueue::new(64 * 1024);
        Self { ws: Connection::new(now, Role::Server, Config::default(), &Seed::from(0), queue), held: None }
    }

    /// Whether there is no message that waits.
    fn send_held(&mut self) -> bool {
        // Any other refusal means that the connection is closing, and `poll_event` tells that.
        if let Some(message) = self.held.take()
            && let Err(SendError::Full(back)) = self.ws.send(message)
        {
            self.held = Some(back);
        }
        self.held.is_none()
    }
}

impl StreamMachine for Echo {
    type Event = Event;
    type Error = Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        while self.send_held() {
            match self.ws.poll_event(now, recv)? {
                Some(Event::Message(message)) => self.held = Some(message),
                other => return Ok(other),
            }
        }
        Ok(None)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.ws.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.ws.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.ws.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        let mut demand = self.ws.demand();
        demand.read &= self.held.is_none();
        demand
    }
}

/// Its example `echo_server`.
async fn fastwebsockets(stream: TcpStream) {
    use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
    let mut ws = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
    while let Ok(frame) = ws.read_frame().await {
        match frame.opcode {
            OpCode::Close => return,
            OpCode::Text | OpCode::Binary => {
                if ws.write_frame(frame).await.is_err() {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// Its example `echo-server`.
async fn tokio_tungstenite(stream: TcpStream) {
    use tokio_tungstenite::WebSocketStream;
    use tungstenite::protocol::Role;
    let (write, read) = WebSocketStream::from_raw_socket(stream, Role::Server, None).await.split();
    // An end without a Close frame is an error, and how each connection ends here.
    let _ = read.forward(write).await;
}
