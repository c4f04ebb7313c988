//! A server whose every connection follows a script of its own.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

/// What one connection does.
pub type Script = Box<dyn FnOnce(Peer) + Send>;

pub fn script(script: impl FnOnce(Peer) + Send + 'static) -> Script {
    Box::new(script)
}

/// A server on loopback that takes as many connections as it has scripts, the first script for the first.
pub struct Server {
    pub address: SocketAddr,
    running: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new(scripts: Vec<Script>) -> Self {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), scripts)
    }

    pub fn on(listener: TcpListener, scripts: Vec<Script>) -> Self {
        let address = listener.local_addr().unwrap();
        let serve = move || {
            let serve = |script: Script| {
                let (stream, _) = listener.accept().unwrap();
                thread::spawn(move || script(Peer::new(stream)))
            };
            let connections: Vec<_> = scripts.into_iter().map(serve).collect();
            for connection in connections {
                connection.join().unwrap();
            }
        };
        Self { address, running: Some(thread::spawn(serve)) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every script was followed to its end.
    pub fn finish(mut self) {
        self.running.take().unwrap().join().unwrap();
    }
}

/// The server's end of a connection.
pub struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        // A test that goes wrong ends nevertheless.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// The head of a request: its lines, without the empty one.
    pub fn head(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.stream.read_line(&mut line).unwrap(), 0, "no head");
            match line.trim_end() {
                "" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// The first line of a request, which has this content.
    pub fn request(&mut self, content: &[u8]) -> String {
        let line = self.head().swap_remove(0);
        let mut read = vec![0; content.len()];
        self.stream.read_exact(&mut read).unwrap();
        assert!(read == content, "other content");
        line
    }

    /// The content of a request in chunks, and how many there were.
    pub fn chunks(&mut self) -> (Vec<u8>, usize) {
        let (mut content, mut count) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
            let start = content.len();
            content.resize(start + length, 0);
            self.stream.read_exact(&mut content[start..]).unwrap();
            self.stream.read_line(&mut line).unwrap();
            if length == 0 {
                return (content, count);
            }
            count += 1;
        }
    }

    pub fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// An answer with content.
    pub fn answer(&mut self, status: u16, fields: &str, content: &str) {
        self.send(&format!("HTTP/1.1 {status} \r\nContent-Length: {}\r\n{fields}\r\n{content}", content.len()));
    }

    /// Waits until the client closes, whatever it still sends.
    pub fn until_closed(&mut self) {
        while self.read_or_close() > 0 {}
    }

    /// The client closes, and says nothing before.
    pub fn closed(&mut self) {
        assert_eq!(self.read_or_close(), 0, "more was said");
    }

    /// How much came. A reset is a close too.
    fn read_or_close(&mut self) -> usize {
        match self.stream.read(&mut [0; 16 * 1024]) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("the client does not close: {error}"),
        }
    }

    /// The connection, for a server of another kind. What was read ahead would be lost, and there is nothing.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.stream.buffer().is_empty());
        self.stream.into_inner()
    }

    /// Ends with a reset when the script ends.
    pub fn reset(&mut self) {
        SockRef::from(self.stream.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// An address at which connections neither come about nor are refused: the queue of its listener is full.
pub struct DeadAddress {
    _listener: socket2::Socket,
    _queued: Vec<TcpStream>,
}

impl DeadAddress {
    pub fn at(address: SocketAddr) -> Self {
        let listener =
            socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let mut queued = Vec::new();
        // One more fits than the queue is long; that it is full shows in an attempt that does not come about.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue does not fill");
        }
        Self { _listener: listener, _queued: queued }
    }
}
