//! The application that all echo examples share: it answers each request with the request's own content.

use drywire::http::server::{Config, Connection, Event};
use drywire::http::{CommandError, Length, PlainResponse};
use drywire::{BytesMut, Instant};

/// One connection's application. There is nothing of any runtime in here.
#[derive(Default)]
pub(crate) struct Echo {
    content: BytesMut,
}

impl Echo {
    /// The machine, which refuses more content than this application is willing to hold.
    pub(crate) fn machine(now: Instant) -> Connection {
        Connection::new(now, Config { max_content: 1 << 20, ..Config::default() })
    }

    /// Handles one event. A refused command means that the connection failed or is closing: the driver tells why.
    pub(crate) fn handle(&mut self, http: &mut Connection, event: Event) -> Result<(), CommandError> {
        match event {
            Event::Request(_) => self.content.clear(),
            Event::Content(content) => self.content.extend_from_slice(&content),
            Event::End(_) => {
                let content = self.content.split().freeze();
                let head = PlainResponse::new(200, &[("Content-Type", "application/octet-stream")]);
                http.respond(&head, Length::Known(content.len() as u64))?;
                http.send_content(content)?;
                http.finish(None)?;
            }
            // The response has been queued by then.
            Event::PeerEnded | Event::Ready => {}
        }
        Ok(())
    }
}
