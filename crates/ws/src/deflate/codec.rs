//! Messages in and out of DEFLATE (RFC 1951), as RFC 7692 frames them.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use zlib_rs::{Deflate, DeflateError, DeflateFlush, Inflate, InflateError, InflateFlush, Status};

use super::{Compression, Corrupt, Parameters, Pool, WindowBits};
use crate::Role;

/// What a sync flush ends with, and a message leaves out (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The receiving half.
pub(crate) struct Inflater {
    takeover: bool,
    pool: Pool,
    /// From the first compressed byte on; without context takeover to the end of its message.
    current: Option<Box<Decompressor>>,
}

impl Inflater {
    pub(crate) fn new(role: Role, parameters: Parameters, pool: Pool) -> Self {
        let alone = match role {
            Role::Server => parameters.client_no_context_takeover,
            Role::Client => parameters.server_no_context_takeover,
        };
        Self { takeover: !alone, pool, current: None }
    }

    /// Decompresses up to `max` bytes, or fewer: what one step gives. `None`: the input gives no more.
    ///
    /// Whatever the input is cut into, the same bytes come out before the same error.
    pub(crate) fn step(&mut self, input: &mut &[u8], max: usize) -> Result<Option<&[u8]>, Corrupt> {
        if input.is_empty() && !self.is_pending() {
            return Ok(None);
        }
        self.decompressor().step(input, max, InflateFlush::NoFlush)
    }

    /// Whether there is more to come from input that was taken.
    fn is_pending(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.pending)
    }

    /// Ends a message whose input has been taken to its end.
    pub(crate) fn finish(&mut self) -> Result<(), Corrupt> {
        self.decompressor().finish()?;
        if !self.takeover
            && let Some(mut current) = self.current.take()
        {
            current.reset();
            self.pool.give_decompressor(current);
        }
        Ok(())
    }

    fn decompressor(&mut self) -> &mut Decompressor {
        // What is kept for good is not the pool's.
        let pool = Some(&self.pool).filter(|_| !self.takeover);
        self.current.get_or_insert_with(|| pool.and_then(Pool::take_decompressor).unwrap_or_default())
    }
}

/// zlib's inflate with a window of 32 KiB, which reads every smaller one, and room for what one step gives.
pub(super) struct Decompressor {
    inflate: Inflate,
    output: Box<[u8]>,
    /// Whether the last step may have left something: it filled the room, or stopped at an error.
    pending: bool,
    /// Whether the input so far ended with a final block.
    ended: bool,
}

impl Default for Box<Decompressor> {
    fn default() -> Self {
        Box::new(Decompressor {
            inflate: Inflate::new(false, WindowBits::MAX.bits()),
            output: vec![0; Decompressor::STEP].into(),
            pending: false,
            ended: false,
        })
    }
}

impl Decompressor {
    /// How much one step gives at most.
    const STEP: usize = 8 * 1024;

    fn step(&mut self, input: &mut &[u8], max: usize, flush: InflateFlush) -> Result<Option<&[u8]>, Corrupt> {
        let room = max.min(self.output.len());
        let mut written = 0;
        loop {
            let (taken_before, given_before) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress(input, &mut self.output[written..room], flush);
            let taken = (self.inflate.total_in() - taken_before) as usize;
            *input = input.get(taken..).unwrap_or_default();
            written += (self.inflate.total_out() - given_before) as usize;
            self.ended &= taken == 0;
            match result {
                // 7.2.3.4: a final block may end anywhere in a message. What follows is a new stream, whose window is
                // empty.
                Ok(Status::StreamEnd) => {
                    self.reset();
                    self.ended = true;
                    if input.is_empty() {
                        break;
                    }
                }
                Ok(Status::Ok | Status::BufError) => {
                    self.pending = written == room;
                    break;
                }
                // What came before the error goes first.
                Err(_) if written > 0 => {
                    self.pending = true;
                    break;
                }
                Err(
                    InflateError::DataError
                    | InflateError::NeedDict { .. }
                    | InflateError::StreamError
                    | InflateError::MemError,
                ) => return Err(Corrupt),
            }
        }
        Ok(self.output.get(..written).filter(|output| !output.is_empty()))
    }

    /// 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message."
    ///
    /// With them the data must end between two blocks: what ends elsewhere has lost something, and would turn the
    /// front of the next message into the rest of this one.
    fn finish(&mut self) -> Result<(), Corrupt> {
        // Behind a final block the empty one that 7.2.1 asks for is missing, and missed by nobody.
        if mem::take(&mut self.ended) {
            return Ok(());
        }
        // This flush mode stops between two blocks, and so leaves the byte behind the tail where the tail was the end of
        // the empty block.
        let [a, b, c, d] = TAIL;
        let mut tail = &[a, b, c, d, 0][..];
        match self.step(&mut tail, usize::MAX, InflateFlush::Block)? {
            None if tail.len() == 1 => Ok(()),
            _ => Err(Corrupt),
        }
    }

    fn reset(&mut self) {
        self.inflate.reset(false);
        (self.pending, self.ended) = (false, false);
    }
}

/// What decides how a compressor works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    level: u8,
    window: WindowBits,
}

/// The sending half.
pub(crate) struct Deflater {
    settings: Settings,
    threshold: usize,
    takeover: bool,
    pool: Pool,
    /// From the first compressed message on; without context takeover to its end.
    current: Option<Box<Compressor>>,
}

impl Deflater {
    pub(crate) fn new(role: Role, parameters: Parameters, compression: Compression, pool: Pool) -> Self {
        let (alone, window) = match role {
            Role::Server => (parameters.server_no_context_takeover, parameters.server_max_window_bits),
            Role::Client => (parameters.client_no_context_takeover, parameters.client_max_window_bits),
        };
        let settings = Settings { level: compression.level.min(9), window };
        Self { settings, threshold: compression.threshold, takeover: !alone, pool, current: None }
    }

    /// Whether a message of this length is worth it.
    pub(crate) fn wants(&self, len: usize) -> bool {
        len >= self.threshold
    }

    /// The window that the peer reads with.
    pub(crate) fn window(&self) -> WindowBits {
        self.settings.window
    }

    /// Compresses a fragment, the last one of its message or not, and hands it to `send`, which may take it away.
    pub(crate) fn compress(&mut self, payload: &[u8], last: bool, send: impl FnOnce(&mut Vec<u8>)) {
        let settings = self.settings;
        let pool = Some(&self.pool).filter(|_| !self.takeover);
        let current = self.current.get_or_insert_with(|| {
            pool.and_then(|pool| pool.take_compressor(settings)).unwrap_or_else(|| Compressor::new(settings))
        });
        current.compress(payload, last);
        send(&mut current.output);
        if last
            && !self.takeover
            && let Some(mut current) = self.current.take()
        {
            current.reset();
            self.pool.give_compressor(current);
        }
    }

    /// Forgets what was sent, after a message that was compressed elsewhere: the peer's window now holds what ours
    /// does not.
    pub(crate) fn forget(&mut self) {
        if let Some(current) = &mut self.current {
            current.reset();
        }
    }
}

/// zlib's deflate and the buffer that it writes to.
pub(super) struct Compressor {
    deflate: Deflate,
    settings: Settings,
    output: Vec<u8>,
}

impl Compressor {
    /// A longer output than this is not kept as a buffer.
    const KEPT: usize = 4 * 1024;

    pub(super) fn new(settings: Settings) -> Box<Self> {
        // 7.1.2.1 knows windows of 8 bits, zlib's compressor does not, and refuses them or makes 9 of them in silence.
        // Here 9 serve for 8 on purpose: zlib refers back by at most the window less 262 bytes, which is 250.
        let window = settings.window.bits().max(9);
        Box::new(Self { deflate: Deflate::new(i32::from(settings.level), false, window), settings, output: Vec::new() })
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    /// 7.2.1, for one fragment (7.2.3.3: every fragment but the last keeps the tail of its flush).
    fn compress(&mut self, mut payload: &[u8], last: bool) {
        self.output.clear();
        if !payload.is_empty() {
            loop {
                let written = self.output.len();
                self.output.resize(written + payload.len() + payload.len() / 8 + 64, 0);
                let (taken, given) = (self.deflate.total_in(), self.deflate.total_out());
                let result = self.deflate.compress(payload, &mut self.output[written..], DeflateFlush::SyncFlush);
                payload = payload.get((self.deflate.total_in() - taken) as usize..).unwrap_or_default();
                let filled = written + (self.deflate.total_out() - given) as usize;
                let full = filled == self.output.len();
                self.output.truncate(filled);
                match result {
                    Ok(Status::Ok | Status::BufError | Status::StreamEnd) if full => {}
                    Ok(_) => break,
                    // They tell of a state that this interface cannot bring about.
                    Err(DeflateError::StreamError | DeflateError::DataError | DeflateError::MemError) => break,
                }
            }
        }
        if last {
            if self.output.ends_with(&TAIL) {
                self.output.truncate(self.output.len() - TAIL.len());
            } else {
                // 7.2.3.6: without a payload the empty block is all there is.
                self.output.push(0x00);
            }
        }
    }

    pub(super) fn reset(&mut self) {
        self.deflate.reset();
        if self.output.capacity() > Self::KEPT {
            self.output = Vec::new();
        }
    }
}

/// One message compressed by itself, for any number of receivers whose window is at least this.
pub(crate) fn compress_alone(payload: &[u8], compression: Compression, window: WindowBits) -> Vec<u8> {
    let mut compressor = Compressor::new(Settings { level: compression.level.min(9), window });
    compressor.compress(payload, true);
    compressor.output
}
