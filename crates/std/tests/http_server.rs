//! HTTP handlers that block, on real sockets.

#![allow(clippy::disallowed_methods, reason = "threads are what is tested")]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};

use drywire_http::{Length, PlainResponse};
use drywire_std::http::{self, Config, Exchange};
use drywire_std::{Server, ShutdownHandle, Stopped, TcpTransport};

struct Running {
    address: SocketAddr,
    shutdown: ShutdownHandle,
    thread: JoinHandle<io::Result<Stopped>>,
}

impl Running {
    fn start(handler: impl Fn(&mut Exchange<'_, TcpTransport>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
        let config = Config { date: false, ..Config::default() };
        Self { address, shutdown, thread: thread::spawn(move || http::serve(server, config, handler)) }
    }

    fn client(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(self.address).unwrap())
    }

    fn stop(self) -> Stopped {
        self.shutdown.shutdown();
        self.thread.join().expect("the server does not panic").expect("the server ends in order")
    }
}

fn send(client: &mut BufReader<TcpStream>, bytes: &str) {
    client.get_mut().write_all(bytes.as_bytes()).unwrap();
}

/// Reads up to the empty line.
fn head(client: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(client.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head
}

fn rest(client: &mut BufReader<TcpStream>) -> String {
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    rest
}

/// Answers with the content, while it comes, and its trailers.
fn echo(exchange: &mut Exchange<'_, TcpTransport>) -> io::Result<()> {
    let length = exchange.head().content_length().map_or(Length::Unknown, Length::Known);
    exchange.respond(&PlainResponse::new(200, &[]), length)?;
    while let Some(piece) = exchange.chunk()? {
        exchange.send(piece)?;
        exchange.flush()?;
    }
    let trailers = exchange.trailers().cloned().unwrap_or_default();
    Ok(exchange.finish(Some(&trailers).filter(|trailers| !trailers.is_empty()))?)
}

#[test]
fn both_directions_flow_at_once_and_trailers_follow() {
    let server = Running::start(echo);
    let mut client = server.client();
    send(
        &mut client,
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for number in 0..10 {
        send(&mut client, &format!("1\r\n{number}\r\n"));
        if number == 0 {
            assert!(head(&mut client).contains("Transfer-Encoding: chunked"));
        }
        let mut chunk = [0; 6];
        client.read_exact(&mut chunk).unwrap();
        assert_eq!(chunk, *format!("1\r\n{number}\r\n").as_bytes());
    }
    send(&mut client, "0\r\nX-Sum: 10\r\n\r\n");
    assert_eq!(head(&mut client), "0\r\nX-Sum: 10\r\n\r\n");
    drop(client);
    assert_eq!(server.stop().aborted, 0);
}

/// `Read` and `Write`, with far more in both directions than the buffers take.
#[test]
fn megabytes_are_copied_from_the_reader_to_the_writer() {
    let server = Running::start(|exchange| {
        let mut content = Vec::new();
        exchange.read_to_end(&mut content)?;
        exchange.respond(&PlainResponse::new(200, &[]), Length::Known(content.len() as u64))?;
        exchange.write_all(&content)?;
        Ok(exchange.finish(None)?)
    });
    let mut client = server.client();
    let content = "0123456789".repeat(400_000);
    send(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4000000\r\n\r\n");
    send(&mut client, &content);
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    assert!(rest(&mut client) == content);
    assert_eq!(server.stop().aborted, 0);
}

/// RFC 9110, 10.1.1: 100 (Continue) when the content is asked for, and none where it is not.
#[test]
fn rfc9110_10_1_1_content_is_called_for_when_it_is_read() {
    let server = Running::start(|exchange| {
        if exchange.head().path() == "/read" {
            let mut text = String::new();
            exchange.read_to_string(&mut text)?;
        }
        exchange.respond(&PlainResponse::new(200, &[]), Length::Known(0))?;
        Ok(exchange.finish(None)?)
    });
    let mut client = server.client();
    send(&mut client, "POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(head(&mut client), "HTTP/1.1 100 Continue\r\n\r\n");
    send(&mut client, "hello");
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    send(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = head(&mut client);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("Connection: close"), "{answer}");
    drop(client);
    server.stop();
}

#[test]
fn a_handler_that_fails_or_forgets_does_not_leave_a_response_that_looks_whole() {
    let server = Running::start(|exchange| match exchange.head().path() {
        "/nothing" => Ok(()),
        "/fail" => Err(io::Error::other("as asked")),
        "/unfinished" => Ok(exchange.respond(&PlainResponse::new(200, &[]), Length::Known(0))?),
        _ => {
            exchange.respond(&PlainResponse::new(200, &[]), Length::Known(9))?;
            exchange.write_all(b"part")?;
            exchange.flush()
        }
    });
    let mut client = server.client();
    send(&mut client, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\nGET /unfinished HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head(&mut client).starts_with("HTTP/1.1 500 "));
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    send(&mut client, "GET /fail HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = rest(&mut client);
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("Connection: close"), "{answer}");
    let mut client = server.client();
    send(&mut client, "GET /part HTTP/1.1\r\nHost: a\r\n\r\n");
    head(&mut client);
    let mut part = Vec::new();
    assert_eq!(client.read_to_end(&mut part).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    drop(client);
    server.stop();
}

#[test]
fn a_shutdown_ends_the_running_exchange_in_order() {
    let server = Running::start(echo);
    let mut client = server.client();
    send(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1");
    head(&mut client);
    server.shutdown.shutdown();
    send(&mut client, "2");
    assert_eq!(rest(&mut client), "12");
    drop(client);
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn a_response_has_a_date_unless_it_is_not_wanted() {
    for (date, count) in [(true, 1), (false, 0)] {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
        let config = Config { date, ..Config::default() };
        let thread = thread::spawn(move || http::serve(server, config, echo));
        let mut client = BufReader::new(TcpStream::connect(address).unwrap());
        send(&mut client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let head = head(&mut client);
        assert_eq!(head.lines().filter(|line| line.starts_with("date: ")).count(), count, "{head}");
        drop(client);
        shutdown.shutdown();
        thread.join().unwrap().unwrap();
    }
}
