//! Frames as drywire reads them beside tungstenite and tokio-websockets: the same events, the same end and the same answers,
//! or a known difference. The frames are good or bad as the input wants, or what one of the three writes, which all of
//! them must understand.

mod differences;
mod frames;
mod peers;
mod written;

pub use self::differences::{Case, DIFFERENCES, Difference, compare};
pub use self::frames::frames;
pub use self::peers::{MAX, Reading, Setup, drywire, tokio_websockets, tungstenite};

use drywire::ws::Role;

use super::input::Input;

/// What a reader tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As bytes: not every peer is sure to give UTF-8.
    Text(Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A code and a reason, or neither.
    Close(Option<(u16, String)>),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By the peer's Close frame.
    Closed,
    /// By the end of the stream without one.
    EndOfStream,
    /// By a rule or limit that the reader found broken.
    Failed,
}

/// What a reader sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close frame with the code, if there is one. Reasons are words for the log.
    Close(Option<u16>),
}

/// The first byte chooses what the rest is: frames by plan (0 to 3) or raw (4), or what drywire, tungstenite or
/// tokio-websockets is to write (5 to 7); further the reader's role (bit 3), whether it closes first (bit 4) and how many bytes
/// each of its reads gives (bits 5 and 6).
pub fn run(data: &[u8]) {
    if let Err(difference) = play(data) {
        panic!("{difference}");
    }
}

/// The same, with the names of the differences that were met.
pub fn play(data: &[u8]) -> Result<Vec<&'static str>, String> {
    let (&mode, rest) = data.split_first().unwrap_or((&0, &[]));
    let role = if mode & 8 == 0 { Role::Server } else { Role::Client };
    let step = [usize::MAX, 1, 7, 50][usize::from(mode >> 5 & 3)];
    let setup = Setup { role, step, closes: mode & 16 != 0 };
    let mut input = Input::new(rest);
    match mode & 7 {
        kind @ 5..=7 => {
            // Only drywire draws its masking keys from a seed, so only it writes as a client.
            let setup = Setup { closes: false, role: if kind == 5 { role } else { Role::Client }, ..setup };
            let (events, wire) = match kind {
                5 => written::by_drywire(&mut input, role),
                6 => written::by_tungstenite(&mut input),
                _ => written::by_tokio_websockets(&mut input),
            };
            understood(setup, &events, &wire).map(|()| Vec::new())
        }
        4 => read(setup, rest),
        _ => read(setup, &frames(&mut input, role)),
    }
}

/// Lets all three read `wire`, and compares.
pub fn read(setup: Setup, wire: &[u8]) -> Result<Vec<&'static str>, String> {
    let (ours, failure, left) = drywire(setup, wire);
    let mut met = Vec::new();
    for (peer, theirs) in [("tungstenite", tungstenite(setup, wire)), ("tokio-websockets", tokio_websockets(setup, wire))] {
        let case = Case { peer, setup, wire, ours: &ours, failure, left, theirs: &theirs };
        met.extend(compare(&case)?);
    }
    Ok(met)
}

/// What one of the three has written all of them read without a fault.
fn understood(setup: Setup, events: &[Seen], wire: &[u8]) -> Result<(), String> {
    let readings = [drywire(setup, wire).0, tungstenite(setup, wire), tokio_websockets(setup, wire)];
    for (reader, reading) in ["drywire", "tungstenite", "tokio-websockets"].into_iter().zip(readings) {
        if reading.seen != events || reading.end == End::Failed {
            return Err(format!("{reader} reads {reading:?} of what was written as {events:?}: {wire:02x?}"));
        }
    }
    Ok(())
}
