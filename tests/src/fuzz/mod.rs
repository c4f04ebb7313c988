//! The bodies of the fuzz targets, one module a target.
//!
//! Each `run` takes the fuzzer's bytes and panics if a law is broken. [`TARGETS`] lists them for the replay test.

pub mod input;

use drywire::http::Lenient;

/// A fuzz body: panics when a law is broken by this input.
pub type Body = fn(&[u8]);

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*

        /// Every target's name, which is also its folder below `fuzz/corpus` and `fuzz/regressions`, and its body.
        pub const TARGETS: &[(&str, Body)] = &[$((stringify!($name), $name::run)),*];
    };
}

targets! {
    http_client,
    http_differential_head,
    http_differential_hyper,
    http_round_trip,
    http_server,
    http_sse,
    tcp_connection,
    tcp_differential,
    tcp_pair,
    tcp_segment,
    tcp_stack,
    ws_connection,
    ws_deflate,
    ws_differential,
    ws_handshake,
}

/// Every switch of HTTP's lenient profile.
fn everything_overlooked() -> Lenient {
    Lenient::BARE_LF
        | Lenient::OBS_FOLD
        | Lenient::SPACE_BEFORE_COLON
        | Lenient::CONTROLS_IN_VALUES
        | Lenient::STRAY_PERCENT
        | Lenient::MISSING_HOST
        | Lenient::BOTH_FRAMINGS
        | Lenient::SPACE_AFTER_CHUNK_SIZE
        | Lenient::ANY_CHUNK_EXTENSION
}

/// Cuts an input into pieces at points that the input itself chooses.
///
/// The first byte says how many length bytes follow; the lengths (0 counts as 256) are used in turn, again from the
/// first when they run out, over the payload that comes behind them. Without lengths the payload is one piece.
#[derive(Clone, Debug)]
pub struct Splits<'a> {
    lengths: &'a [u8],
    /// What is cut.
    pub payload: &'a [u8],
}

impl<'a> Splits<'a> {
    /// Reads the lengths off the front of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        let (&count, rest) = data.split_first().unwrap_or((&0, &[]));
        let (lengths, payload) = rest.split_at(usize::from(count % 16).min(rest.len()));
        Self { lengths, payload }
    }

    /// The pieces, in order; together they are the payload.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut lengths = self.lengths.iter().cycle();
        let mut rest = self.payload;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let n = match lengths.next() {
                None => rest.len(),
                Some(0) => 256,
                Some(&n) => usize::from(n),
            };
            let (piece, behind) = rest.split_at(n.min(rest.len()));
            rest = behind;
            Some(piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_payload() {
        let data = [3, 1, 2, 0, b'a', b'b', b'c', b'd', b'e'];
        let splits = Splits::new(&data);
        let pieces: Vec<_> = splits.pieces().collect();
        assert_eq!(pieces, [&b"a"[..], b"bc", b"de"]);
        assert_eq!(pieces.concat(), splits.payload);
        assert_eq!(Splits::new(&[]).pieces().count(), 0);
        assert_eq!(Splits::new(&[200]).pieces().count(), 0);
    }
}
