//! WebSockets in memory: messages, halves, and who is held up by whom.

#[path = "shared/tasks.rs"]
mod tasks;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use drywire_core::{Instant, Rng, Seed, SendQueue};
use drywire_http::{PlainResponse, server};
use drywire_tokio::ws::{self, Accept, AcceptError, ConnectError, Error, Message, Offer, Policy, WebSocket, client};
use drywire_tokio::{Driver, ShutdownHandle, Transport, Turn};
use drywire_ws::{CloseCode, Config, Connection, Event, Role};
use futures_util::StreamExt as _;
use tasks::{Tasks, once};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::oneshot;

fn machine(role: Role) -> Connection {
    Connection::new(Instant::ORIGIN, role, Config::default(), &Seed::from(1), SendQueue::new(1024))
}

/// A WebSocket and a bare machine at the other end of a pipe of so many bytes.
fn pair(pipe: usize) -> (WebSocket<DuplexStream>, Driver<Connection, DuplexStream>) {
    let (near, far) = tokio::io::duplex(pipe);
    let socket = WebSocket::new(Driver::new(machine(Role::Server), near), None);
    (socket, Driver::new(machine(Role::Client), far))
}

/// Timers need a runtime; what runs here needs no time.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// A pipe that counts its writes.
struct Counting(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, room)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(piece)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Transport for Counting {}

#[tokio::test(start_paused = true)]
async fn both_ends_open_talk_and_close() {
    let (near, far) = tokio::io::duplex(64);
    let policy = Policy { protocols: vec!["chat".into()], ..Policy::default() };
    let server = tokio::spawn(async move {
        let (mut socket, request) = ws::accept(far, &Accept::new(policy)).await.unwrap();
        assert_eq!((request.target(), socket.protocol()), ("/room", Some("chat")));
        let mut heard = Vec::new();
        while let Some(message) = socket.next().await {
            heard.push(message.unwrap());
        }
        (heard, socket.connection().close_info())
    });
    let offer = Offer { protocols: vec!["chat".into()], ..Offer::new("example.org", "/room") };
    let (mut socket, opened) = ws::connect(near, offer, client::Config::default()).await.unwrap();
    assert_eq!((opened.protocol.as_deref(), opened.response.status()), (Some("chat"), 101));
    socket.send("one").await.unwrap();
    socket.feed(vec![b'x'; 5000]).await.unwrap();
    socket.close().await.unwrap();
    assert!(socket.next().await.is_none());
    assert!(matches!(socket.send("late").await, Err(Error::Closed)));
    let (heard, info) = server.await.unwrap();
    assert_eq!(heard, [Message::text("one"), Message::binary(vec![b'x'; 5000])]);
    assert!(info.clean && info.received.is_some_and(|frame| frame.code == CloseCode::NORMAL));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_comes_back_whole() {
    let (near, far) = tokio::io::duplex(64);
    let server = tokio::spawn(async move {
        let mut driver = Driver::new(server::Connection::new(Instant::ORIGIN, server::Config::default()), far);
        while let Some(event) = driver.next_event().await.unwrap() {
            if let server::Event::End(_) = event {
                let http = driver.machine_mut();
                let head = PlainResponse::new(401, &[("WWW-Authenticate", "Basic realm=\"a\"")]);
                http.respond(&head, drywire_http::Length::Known(4)).unwrap();
                http.send_content("who?".into()).unwrap();
                http.finish(None).unwrap();
            }
        }
    });
    let error = ws::connect(near, Offer::new("example.org", "/"), client::Config::default()).await.unwrap_err();
    let ConnectError::Refused(refusal) = error else { panic!("{error}") };
    assert_eq!((refusal.head.status(), &refusal.content[..]), (401, &b"who?"[..]));
    assert_eq!(refusal.head.field("www-authenticate"), Some(&b"Basic realm=\"a\""[..]));
    server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_none_for_a_websocket_is_answered() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut near, far) = tokio::io::duplex(4096);
    let server = tokio::spawn(async move { ws::accept(far, &Accept::default()).await.map(drop) });
    near.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    drop(near);
    assert!(matches!(server.await.unwrap(), Err(AcceptError::Rejected(_))));
}

#[tokio::test(start_paused = true)]
async fn fed_messages_leave_in_one_write() {
    let (near, far) = tokio::io::duplex(65_536);
    let writes = Arc::new(AtomicUsize::new(0));
    let mut socket = WebSocket::new(Driver::new(machine(Role::Server), Counting(near, writes.clone())), None);
    for number in 0..10 {
        socket.feed(format!("message {number}")).await.unwrap();
    }
    assert_eq!(writes.load(Ordering::Relaxed), 0);
    socket.flush().await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    let mut peer = Driver::new(machine(Role::Client), far);
    for number in 0..10 {
        let event = peer.next_event().await.unwrap();
        assert_eq!(event, Some(Event::Message(Message::text(format!("message {number}")))));
    }
}

/// Ten messages in one read: the answers are queued as `next` gives the messages, and leave when it waits.
#[tokio::test(start_paused = true)]
async fn what_one_read_brings_is_answered_in_one_write() {
    let (near, far) = tokio::io::duplex(65_536);
    let writes = Arc::new(AtomicUsize::new(0));
    let mut socket = WebSocket::new(Driver::new(machine(Role::Server), Counting(near, writes.clone())), None);
    let mut peer = Driver::new(machine(Role::Client), far);
    for number in 0..10 {
        peer.machine_mut().send(format!("message {number}")).unwrap();
    }
    assert_eq!(peer.next_turn().await.unwrap(), Turn::Flushed);
    let echo = async {
        while let Some(Ok(message)) = socket.next().await {
            socket.feed(message).await.unwrap();
        }
    };
    assert!(once(echo).is_pending());
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    for number in 0..10 {
        let event = peer.next_event().await.unwrap();
        assert_eq!(event, Some(Event::Message(Message::text(format!("message {number}")))));
    }
}

/// The peer asks for a sign of life, and only one half is polled, again and again.
#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_only_one_half_is_polled() {
    for reading in [true, false] {
        let (socket, mut peer) = pair(64);
        let (mut reader, mut writer) = socket.split();
        peer.machine_mut().ping("are you there?").unwrap();
        let half = async {
            if reading {
                assert!(reader.next().await.is_none());
            } else {
                // More than the pipe takes, so that the writer waits.
                while writer.send(vec![0; 1000]).await.is_ok() {}
            }
        };
        let peer = async {
            loop {
                if let Event::Pong(payload) = peer.next_event().await.unwrap().expect("it is open") {
                    assert_eq!(payload, "are you there?");
                    break;
                }
            }
        };
        futures_util::pin_mut!(half, peer);
        futures_util::future::select(half, peer).await;
    }
}

/// A message is in the way of the Ping, and nobody reads: it is kept, and the Ping is answered behind it.
#[tokio::test(start_paused = true)]
async fn a_writer_alone_keeps_messages_and_answers_pings_behind_them() {
    let (mut socket, mut peer) = pair(4096);
    peer.machine_mut().send("for later").unwrap();
    peer.machine_mut().ping("?").unwrap();
    peer.next_turn().await.unwrap();
    // Two flushes: the first one reads, and may be done before the answer is queued.
    socket.send("a").await.unwrap();
    socket.send("b").await.unwrap();
    let events = [peer.next_event().await.unwrap(), peer.next_event().await.unwrap(), peer.next_event().await.unwrap()];
    assert!(events.contains(&Some(Event::Pong("?".into()))), "{events:?}");
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("for later"));
}

/// The peer sends without end and nobody reads here: what is kept is bounded, and the writer still writes.
#[tokio::test(start_paused = true)]
async fn the_read_ahead_is_bounded_and_does_not_hold_the_writer_up() {
    let (mut socket, mut peer) = pair(1024);
    socket.set_read_ahead(4096);
    let flood = vec![7_u8; 1000];
    let mut accepted = 0;
    let mut heard = 0;
    for _ in 0..200 {
        // A task may only do so much before it yields.
        tokio::task::yield_now().await;
        while peer.machine_mut().send(flood.clone()).is_ok() {
            accepted += 1;
        }
        socket.feed("still writing").await.unwrap();
        let _ = once(socket.flush());
        while let Poll::Ready(turn) = once(peer.next_turn()) {
            if let Turn::Event(event) = turn.unwrap() {
                assert_eq!(event, Event::Message(Message::text("still writing")));
                heard += 1;
            }
        }
    }
    assert_eq!(heard, 200);
    // The read-ahead, one read, the pipe and the peer's queue.
    assert!(accepted < 4 + 16 + 1 + 3, "{accepted} messages went in");
    let reader = async {
        for _ in 0..accepted {
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary(flood.clone()));
        }
    };
    tokio::select! { () = reader => {}, event = peer.next_event() => panic!("{event:?}") }
}

#[tokio::test(start_paused = true)]
async fn without_its_reader_a_socket_drops_messages_and_answers_pings() {
    let (socket, mut peer) = pair(1024);
    let (reader, mut writer) = socket.split();
    drop(reader);
    let sender = async {
        for _ in 0..500 {
            while peer.machine_mut().send(vec![7_u8; 1000]).is_err() {
                peer.next_turn().await.unwrap();
            }
        }
        while peer.machine_mut().ping("?").is_err() {
            peer.next_turn().await.unwrap();
        }
        while peer.next_event().await.unwrap() != Some(Event::Pong("?".into())) {}
    };
    let writer = async { while writer.send(vec![0; 2000]).await.is_ok() {} };
    futures_util::pin_mut!(sender, writer);
    assert!(matches!(futures_util::future::select(sender, writer).await, futures_util::future::Either::Left(_)));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_with_1001() {
    let (socket, mut peer) = pair(1024);
    let shutdown = ShutdownHandle::new();
    let mut socket = socket.with_shutdown(shutdown.clone());
    let task = tokio::spawn(async move {
        assert!(socket.next().await.is_none());
        socket.connection().close_info()
    });
    tokio::task::yield_now().await;
    shutdown.shutdown();
    let Some(Event::Close(Some(frame))) = peer.next_event().await.unwrap() else { panic!("no Close frame") };
    assert_eq!(frame.code, CloseCode::GOING_AWAY);
    assert_eq!(peer.next_event().await.unwrap(), None);
    assert!(task.await.unwrap().clean);
}

/// The peer breaks a rule while only the writer waits: both halves hear of it, the reader once.
#[tokio::test(start_paused = true)]
async fn a_failure_reaches_both_halves() {
    use tokio::io::AsyncWriteExt as _;
    let (near, mut far) = tokio::io::duplex(64);
    let socket = WebSocket::new(Driver::new(machine(Role::Server), near), None);
    let (mut reader, mut writer) = socket.split();
    // A frame without a mask.
    far.write_all(&[0x82, 0]).await.unwrap();
    let task = tokio::spawn(async move {
        while writer.send(vec![0; 100]).await.is_ok() {}
        (writer.flush().await, writer)
    });
    let drain = tokio::spawn(async move { tokio::io::copy(&mut far, &mut tokio::io::sink()).await.map(drop) });
    let (flushed, writer) = task.await.unwrap();
    assert!(matches!(flushed, Err(Error::Connection(_))), "{flushed:?}");
    assert!(matches!(reader.next().await, Some(Err(Error::Connection(_)))));
    assert!(reader.next().await.is_none());
    drop((reader, writer));
    drain.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn halves_join_again_if_they_are_of_one_socket() {
    let (one, mut peer) = pair(1024);
    let (two, _other) = pair(1024);
    let (reader, writer) = one.split();
    let (foreign, _rest) = two.split();
    let ws::NotAPair(foreign, writer) = foreign.reunite(writer).unwrap_err();
    drop(foreign);
    peer.machine_mut().send("hello").unwrap();
    peer.next_turn().await.unwrap();
    let mut one = reader.reunite(writer).unwrap();
    assert_eq!(one.next().await.unwrap().unwrap(), Message::text("hello"));
}

/// `forward` and `split` of futures-util, which polls both halves from tasks of its own choosing.
#[tokio::test(start_paused = true)]
async fn the_combinators_of_futures_work() {
    let (socket, mut peer) = pair(32);
    let (sink, stream) = futures_util::StreamExt::split(socket);
    let echo = tokio::spawn(stream.forward(sink));
    let (mut sent, mut heard) = (0, 0);
    while heard < 50 {
        while sent < 50 && peer.machine_mut().send(format!("message {sent}")).is_ok() {
            sent += 1;
        }
        if let Turn::Event(Event::Message(message)) = peer.next_turn().await.unwrap() {
            assert_eq!(message, Message::text(format!("message {heard}")));
            heard += 1;
        }
    }
    peer.machine_mut().close(Instant::ORIGIN, None).unwrap();
    while peer.next_event().await.unwrap().is_some() {}
    echo.await.unwrap().unwrap();
}

/// Two sockets with both halves of each in a task of its own, over a pipe of a few bytes, every future cancelled at
/// every wait or none: whoever runs next, every message arrives in order, and nobody waits for ever.
#[test]
fn halves_in_two_tasks_do_not_wait_for_ever() {
    let runtime = runtime();
    let _entered = runtime.enter();
    for seed in 0..400 {
        let mut rng = Rng::new(&Seed::from(seed));
        let (near, far) = tokio::io::duplex(1 + rng.below(40) as usize);
        let cancels = rng.chance(1, 2);
        let mut tasks = Tasks::default();
        for (role, pipe, names) in [
            (Role::Server, near, ["server reads", "server writes"]),
            (Role::Client, far, ["client reads", "client writes"]),
        ] {
            let mut socket = WebSocket::new(Driver::new(machine(role), pipe), None);
            socket.set_read_ahead(rng.below(300) as usize);
            let (mut reader, mut writer) = socket.split();
            let lengths: Vec<usize> = (0..20).map(|_| 1 + rng.below(200) as usize).collect();
            let (heard_all, all) = oneshot::channel();
            tasks.add(names[0], async move {
                for number in 0..20 {
                    let message = if cancels { cancelled!(reader.next()) } else { reader.next().await };
                    assert_eq!(message.unwrap().unwrap().as_bytes()[0], number, "seed {seed}");
                }
                heard_all.send(()).unwrap();
                assert!(reader.next().await.is_none());
            });
            tasks.add(names[1], async move {
                for (number, length) in lengths.into_iter().enumerate() {
                    let message = vec![number as u8; length];
                    if cancels {
                        cancelled!(writer.feed(message.clone())).unwrap();
                        cancelled!(writer.flush()).unwrap();
                    } else {
                        writer.send(message).await.unwrap();
                    }
                }
                all.await.unwrap();
                if role == Role::Client {
                    if cancels { cancelled!(writer.close()).unwrap() } else { writer.close().await.unwrap() }
                }
            });
        }
        tasks.run(seed);
    }
}
