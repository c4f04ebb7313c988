//! The load: connections that send masked messages as raw bytes and wait for the answers, all on one thread.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use drywire_ws::{FrameHeader, Opcode, mask};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// What is sent.
pub(super) struct Load {
    pub(super) connections: usize,
    /// Messages that a connection sends at once.
    pub(super) burst: usize,
    /// Of a message, in bytes.
    pub(super) len: usize,
    pub(super) time: Duration,
}

/// What came back.
pub(super) struct Done {
    /// Messages in `wall`, and all messages.
    pub(super) counted: u64,
    pub(super) all: u64,
    pub(super) wall: Duration,
}

struct Peer {
    stream: TcpStream,
    /// How much of the answers to a burst has come.
    got: usize,
}

impl Load {
    /// Checks each byte that comes back. Ends after the time is up, with answers outstanding.
    pub(super) fn run(&self, address: SocketAddr) -> Done {
        let burst = self.frames(Some([0x37, 0xfa, 0x21, 0x3d]));
        let answer = self.frames(None);
        let mut poll = Poll::new().expect("a poll");
        let mut peers: Vec<_> = (0..self.connections)
            .map(|n| {
                let stream = std::net::TcpStream::connect(address).expect("the server listens");
                stream.set_nodelay(true).expect("a TCP socket");
                stream.set_nonblocking(true).expect("a socket");
                let mut stream = TcpStream::from_std(stream);
                poll.registry().register(&mut stream, Token(n), Interest::READABLE).expect("a poll");
                Peer { stream, got: 0 }
            })
            .collect();
        for peer in &mut peers {
            peer.send(&burst);
        }
        let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 64 * 1024]);
        let (mut bursts, mut before) = (0, 0);
        let began = Instant::now();
        let mut counting = None;
        loop {
            poll.poll(&mut events, Some(Duration::from_secs(5))).expect("a poll");
            assert!(!events.is_empty(), "no answer within 5 seconds");
            for event in &events {
                bursts += u64::from(peers[event.token().0].receive(&mut buffer, &answer, &burst));
            }
            let now = Instant::now();
            if counting.is_none() && now - began >= self.time / 5 {
                (counting, before) = (Some(now), bursts);
            }
            if now - began >= self.time {
                let wall = now - counting.unwrap_or(began);
                let burst = self.burst as u64;
                return Done { counted: (bursts - before) * burst, all: bursts * burst, wall };
            }
        }
    }

    fn frames(&self, key: Option<[u8; 4]>) -> Vec<u8> {
        let mut payload = vec![7; self.len];
        let payload_len = self.len as u64;
        let header = FrameHeader { fin: true, compressed: false, opcode: Opcode::Binary, mask: key, payload_len };
        if let Some(key) = key {
            mask(key, 0, &mut payload);
        }
        let frames = [&header.encode()[..], &payload].concat().repeat(self.burst);
        assert!(frames.len() <= 64 * 1024, "a burst is to fit the socket's buffer");
        frames
    }
}

impl Peer {
    fn send(&mut self, burst: &[u8]) {
        self.stream.write_all(burst).expect("everything before has been taken");
    }

    /// Reads what is there, and sends the next burst when the answers are complete; returns whether they were.
    fn receive(&mut self, buffer: &mut [u8], answer: &[u8], burst: &[u8]) -> bool {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => panic!("the server has closed"),
                Ok(n) => {
                    assert_eq!(&buffer[..n], &answer[self.got..self.got + n], "an echo");
                    self.got += n;
                    if self.got == answer.len() {
                        self.got = 0;
                        self.send(burst);
                        return true;
                    }
                    if n < buffer.len() {
                        return false;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("the server: {error}"),
            }
        }
    }
}
