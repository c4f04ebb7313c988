//! One connection under test, as its application sees it.

use drywire::tcp::{CloseReason, Connection, Event, SendError};

/// What an application has done with a connection, and was told by it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// How many bytes the application has written and read.
    written: u32,
    read: u32,
    pub(super) established: bool,
    pub(super) closed: Option<CloseReason>,
    /// Whether the application has heard of the error that ended the connection; it does so once.
    pub(super) error_told: bool,
}

impl Flow {
    /// Writes as much of `len` bytes as there is room for.
    pub(super) fn write(&mut self, connection: &mut Connection, len: usize) -> Result<usize, SendError> {
        let len = len.min(connection.send_room());
        let places = (0..len as u32).map(|at| self.written.wrapping_add(at));
        let bytes: Vec<u8> = places.map(|place| content(Side::Application, place)).collect();
        connection.send(bytes.into())?;
        self.written = self.written.wrapping_add(len as u32);
        Ok(len)
    }

    /// Reads up to `len` bytes that have arrived, and checks them.
    pub(super) fn take(&mut self, connection: &mut Connection, len: usize) -> Result<usize, String> {
        let bytes = connection.recv().take(len);
        for byte in &bytes {
            if *byte != content(Side::Peer, self.read) {
                return Err(format!("byte {} of the stream that arrives is not what was sent", self.read));
            }
            self.read = self.read.wrapping_add(1);
        }
        Ok(bytes.len())
    }

    /// Takes in what the connection tells.
    pub(super) fn observe(&mut self, connection: &mut Connection) {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Established => self.established = true,
                Event::Closed(reason) => self.closed = Some(reason),
                _ => {}
            }
        }
    }
}

/// Who a byte comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Application,
    Peer,
}

/// The byte at this place of a stream: scripts say how many there are, not which, so that a lost, doubled or swapped one
/// shows.
pub(super) const fn content(side: Side, place: u32) -> u8 {
    let salted = place.wrapping_add(match side {
        Side::Application => 0,
        Side::Peer => 0x1234_5678,
    });
    (salted.wrapping_mul(2_654_435_761) >> 24) as u8
}
