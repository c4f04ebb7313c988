//! Runs a machine over pieces of input with a fixed application, and records all that can be seen.

use bytes::Bytes;
use drywire_core::{Instant, RecvBuf, SendQueue, StreamMachine};
use drywire_http::{Error, Length, PlainRequest, PlainResponse, client, server};

/// All that can be seen of a run. Neighbouring pieces of content are one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) seen: Vec<String>,
    pub(crate) content: Vec<u8>,
    pub(crate) sent: Vec<u8>,
    pub(crate) error: Option<Error>,
    pub(crate) left: Vec<u8>,
}

impl Trace {
    fn see(&mut self, event: String) {
        if !self.content.is_empty() {
            let content = std::mem::take(&mut self.content);
            self.seen.push(format!("content {}", content.escape_ascii()));
        }
        self.seen.push(event);
    }

    fn drain(&mut self, queue: &mut SendQueue) {
        while !queue.is_empty() {
            self.sent.extend_from_slice(&queue.pop(usize::MAX));
        }
    }
}

/// What the application does; any number will do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode(pub(crate) u8);

impl Mode {
    fn has(self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }
}

/// Feeds the pieces, polling behind each; the end of the stream comes with the last one or by itself.
fn drive<M: StreamMachine<Error = Error>>(
    machine: &mut M,
    pieces: &[&[u8]],
    end_apart: bool,
    trace: &mut Trace,
    mut react: impl FnMut(&mut M, M::Event, &mut Trace),
) {
    let (mut recv, now) = (RecvBuf::new(), Instant::ORIGIN);
    let mut turns: Vec<(&[u8], bool)> = pieces.iter().map(|piece| (*piece, false)).collect();
    match turns.last_mut() {
        Some(last) if !end_apart => last.1 = true,
        _ => turns.push((&[], true)),
    }
    for (piece, end) in turns {
        recv.extend_from_slice(piece);
        if end {
            recv.finish();
        }
        loop {
            trace.drain(machine.transmit());
            let result = machine.poll_event(now, &mut recv);
            match result {
                Ok(Some(event)) => react(machine, event, trace),
                Ok(None) => break,
                Err(error) => {
                    trace.error = Some(error);
                    assert_eq!(machine.poll_event(now, &mut recv).err(), Some(error), "law 8");
                    break;
                }
            }
        }
        trace.drain(machine.transmit());
    }
    if let Some(deadline) = machine.poll_timeout() {
        machine.handle_timeout(deadline);
        assert!(machine.poll_timeout().is_none_or(|next| next > deadline), "law 6");
    }
    trace.see("end".to_owned());
    trace.left = recv.to_vec();
}

pub(crate) fn of_server(pieces: &[&[u8]], end_apart: bool, mode: Mode) -> Trace {
    let config = server::Config {
        drain_limit: 40,
        linger_limit: u64::MAX,
        max_head: 400,
        max_request_line: 100,
        max_chunk_line: 50,
        max_chunk_extensions: 60,
        max_trailers: 60,
        max_fields: 8,
        max_trailer_fields: 3,
        max_field_line: 90,
        max_content: 1000,
        send_high_water: 300,
        tell_ready: true,
        ..server::Config::default()
    };
    let mut machine = server::Connection::new(Instant::ORIGIN, config);
    let mut trace = Trace::default();
    let mut echo = false;
    drive(&mut machine, pieces, end_apart, &mut trace, |machine, event, trace| match event {
        server::Event::Request(head) => {
            trace.see(format!("{head:#} {}", head.keep_alive()));
            echo = false;
            if mode.has(0) && head.expects_continue() {
                // Whether it is sent shows how the input was cut: not where content has come.
                machine.send_continue().unwrap();
            }
            if mode.has(1) && head.upgrade_protocols().next().is_some() {
                let _ = machine.upgrade(&PlainResponse::new(101, &[("Upgrade", "x")]));
            } else if mode.has(2) {
                echo = mode.has(3) && head.content_length().is_some() && head.method() != "CONNECT";
                let length = match head.content_length() {
                    Some(length) if echo => Length::Known(length),
                    _ if mode.has(4) => Length::Unknown,
                    _ => Length::Known(0),
                };
                // 2xx to a CONNECT with content has to wait for its end.
                let _ = machine.respond(&PlainResponse::new(200, &[]), length);
                if mode.has(5) && !echo {
                    let _ = machine.finish(None);
                }
            }
        }
        server::Event::Content(content) => {
            assert!(!content.is_empty());
            trace.content.extend_from_slice(&content);
            if echo {
                machine.send_content(content).unwrap();
            }
        }
        server::Event::End(trailers) => {
            trace.see(format!("trailers {trailers}"));
            if machine.respond(&PlainResponse::new(200, &[]), Length::Unknown).is_ok() {
                let _ = machine.send_content(Bytes::from_static(b"content"));
            }
            let _ = machine.finish(None);
        }
        server::Event::PeerEnded => trace.see("peer ended".to_owned()),
        server::Event::Ready => trace.see("ready".to_owned()),
    });
    trace.see(format!("{:?}", machine.state()));
    let sent = String::from_utf8_lossy(&trace.sent).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    trace.sent = sent.into_bytes();
    trace
}

pub(crate) fn of_client(pieces: &[&[u8]], end_apart: bool, mode: Mode) -> Trace {
    let config = client::Config {
        max_head: 400,
        max_informational: 2,
        max_chunk_line: 50,
        max_chunk_extensions: 60,
        max_trailers: 60,
        max_fields: 8,
        max_content: 1000,
        ..client::Config::default()
    };
    let ask = |machine: &mut client::Connection| {
        let fields: &[_] = if mode.has(0) { &[("Host", "a"), ("Upgrade", "x")] } else { &[("Host", "a")] };
        let (method, target) = match (mode.has(1), mode.has(2)) {
            (false, false) => ("GET", "/"),
            (true, false) => ("HEAD", "/"),
            (false, true) => ("POST", "/"),
            (true, true) => ("CONNECT", "h:1"),
        };
        let length = Length::Known(if method == "POST" { 3 } else { 0 });
        if machine.send_request(&PlainRequest::new(method, target, fields), length).is_ok() {
            if method == "POST" && mode.has(3) {
                machine.send_content(Bytes::from_static(b"abc")).unwrap();
            }
            let _ = machine.finish(None);
        }
    };
    let mut machine = client::Connection::new(Instant::ORIGIN, config);
    let mut trace = Trace::default();
    ask(&mut machine);
    drive(&mut machine, pieces, end_apart, &mut trace, |machine, event, trace| match event {
        client::Event::Informational(head) => trace.see(format!("informational {head:#}")),
        client::Event::Response(head) => trace.see(format!("{head:#} {}", head.keep_alive())),
        client::Event::Content(content) => {
            assert!(!content.is_empty());
            trace.content.extend_from_slice(&content);
        }
        client::Event::End(trailers) => {
            trace.see(format!("trailers {trailers}"));
            ask(machine);
        }
        client::Event::Closed => trace.see("closed".to_owned()),
    });
    trace.see(format!("{:?}", machine.state()));
    trace
}
