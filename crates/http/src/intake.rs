//! What the receive paths of both sides keep between calls.

use drywire_core::RecvBuf;

use crate::Error;
use crate::content::decode::{self, Decoder, Step};
use crate::head::facts::Framing;
use crate::head::scan::{self, Kind, Scanner};

#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) scanner: Scanner,
    head_limits: scan::Limits,
    content_limits: decode::Limits,
    /// The content of the message that is arriving; `None` where it has none or all of it has come.
    pub(crate) decoder: Option<Decoder>,
    /// The end of a message without content is still to be told.
    pub(crate) end_is_due: bool,
    /// The last poll found nothing more to parse.
    starved: bool,
    /// Bytes that the last poll left in the receive buffer.
    buffered: usize,
    peer_ended: bool,
    /// Trailer fields that were dropped, in all messages so far.
    pub(crate) dropped_trailers: u64,
}

impl Intake {
    pub(crate) fn new(kind: Kind, head_limits: scan::Limits, content_limits: decode::Limits) -> Self {
        Self {
            scanner: Scanner::new(kind),
            head_limits,
            content_limits,
            decoder: None,
            end_is_due: false,
            starved: true,
            buffered: 0,
            peer_ended: false,
            dropped_trailers: 0,
        }
    }

    /// A poll begins.
    pub(crate) fn begin(&mut self) {
        self.starved = false;
    }

    /// A poll ends.
    pub(crate) fn end(&mut self, recv: &RecvBuf) {
        self.buffered = recv.len();
        self.peer_ended |= recv.is_end_of_stream();
    }

    /// Whether the peer has ended its direction.
    pub(crate) fn peer_ended(&self) -> bool {
        self.peer_ended
    }

    /// Whether the last poll left bytes that it did not parse.
    pub(crate) fn has_more(&self) -> bool {
        self.buffered > 0
    }

    /// Whether few enough bytes wait for the caller to make place for them.
    pub(crate) fn has_room(&self, high_water: usize) -> bool {
        self.buffered < high_water
    }

    /// Whether more input would be parsed, or at least has room.
    pub(crate) fn is_hungry(&self, high_water: usize) -> bool {
        self.starved || self.has_room(high_water)
    }

    /// Only input is missing.
    pub(crate) fn starve(&mut self) {
        self.starved = true;
    }

    /// Only input is missing inside a message: an error where there will be none (RFC 9112, 8).
    pub(crate) fn starve_inside<T>(&mut self, recv: &RecvBuf) -> Result<Option<T>, Error> {
        if recv.is_end_of_stream() {
            return Err(Error::UnexpectedEnd);
        }
        self.starve();
        Ok(None)
    }

    /// The short way for what drips in: a whole poll, where nothing but more of a field value has come. `false` where
    /// there is more to it, with nothing but the scanner's place changed.
    pub(crate) fn drips(&mut self, recv: &RecvBuf) -> bool {
        let drips = !recv.is_end_of_stream() && self.scanner.value_goes_on(recv);
        if drips {
            self.starved = true;
            self.buffered = recv.len();
        }
        drips
    }

    /// Goes on over the head that is arriving; `true` once it is complete.
    pub(crate) fn scan_head(&mut self, recv: &RecvBuf) -> Result<bool, Error> {
        self.scanner.scan(recv, &self.head_limits)
    }

    /// A head has announced content, or none.
    pub(crate) fn expect(&mut self, framing: Framing) -> Result<(), Error> {
        self.decoder = Decoder::new(framing, &self.content_limits)?;
        Ok(())
    }

    /// Takes the next piece of content.
    pub(crate) fn decode(&mut self, recv: &mut RecvBuf) -> Result<Step, Error> {
        let step = match &mut self.decoder {
            Some(decoder) => decoder.decode(recv, &self.content_limits)?,
            None => Step::end(),
        };
        if let Step::End { dropped, .. } = step {
            self.decoder = None;
            self.dropped_trailers += dropped as u64;
        }
        Ok(step)
    }
}
