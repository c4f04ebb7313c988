//! TCP as a pure state machine: segments and time in, segments, events and deadlines out.
//!
//! A [`Connection`] is one end of one connection as a value (RFC 9293). It opens no socket, reads no clock and draws no
//! random number: the caller hands in every segment with the time of its arrival and the initial sequence number, and
//! takes out what is to be sent. So it runs as well over a TUN device as in a test that delivers, drops and swaps every
//! segment by hand.
//!
//! ```text
//!                              CLOSED
//!                  listen │            │ connect, send SYN
//!                         ▼            ▼
//!                      LISTEN        SYN-SENT
//!      rcv SYN, send      │            │   │ rcv SYN, send SYN,ACK
//!         SYN,ACK         ▼            │   ▼
//!                    SYN-RECEIVED ◀────┼───┘
//!          rcv ACK of SYN │            │ rcv SYN,ACK, send ACK
//!                         ▼            ▼
//!                          ESTABLISHED
//!         shutdown, send FIN │      │ rcv FIN, send ACK
//!                            ▼      ▼
//!                   FIN-WAIT-1      CLOSE-WAIT
//!        rcv ACK of FIN │    │ rcv FIN      │ shutdown, send FIN
//!                       ▼    ▼              ▼
//!                FIN-WAIT-2  CLOSING      LAST-ACK
//!           rcv FIN │            │ rcv ACK    │ rcv ACK of FIN
//!                   ▼            ▼            ▼
//!                     TIME-WAIT ──────▶ CLOSED
//!                                 2MSL
//! ```
//!
//! # In scope
//!
//! - The segment codec: header, options and checksum over IPv4 and IPv6 ([`Segment`], [`Header`], [`Options`]).
//! - All eleven [`State`]s: active, passive and simultaneous open; four-way and simultaneous close, half-close; abort.
//! - The order of segment checks of RFC 9293 3.10.7.4, with the defences of RFC 5961.
//! - Retransmission (RFC 6298), congestion control (RFC 5681, RFC 6582), window scale and timestamps (RFC 7323), zero
//!   window probes, and the silly window avoidance of both sides.
//! - Nagle's algorithm, delayed acknowledgments, keep-alive, the user timeout, a receive buffer that grows with its use.
//! - Explicit congestion notification (RFC 3168).
//! - ICMP errors and the path MTU (RFC 1191, RFC 8201, RFC 5927); segmentation offload; [`Info`].
//!
//! - A [`Listener`] with a SYN queue and SYN cookies (RFC 4987), and a [`Stack`] of many connections behind IPv4 and IPv6
//!   packets ([`ip`]), with TIME-WAIT outside of the connections (RFC 6191), initial sequence numbers (RFC 6528),
//!   ephemeral ports (RFC 6056), datagrams (RFC 768) and echo replies.
//!
//! # Out of scope
//!
//! - Fragments, routing and neighbours: the stack sits behind one link that carries IP packets.
//! - Sending urgent data; `docs/design/tcp.md` lists what else is not there yet.
//!
//! # From the first segment to the last
//!
//! ```
//! use core::net::SocketAddr;
//! use drywire_core::{Bytes, BytesMut, Instant};
//! use drywire_tcp::{CloseReason, Config, Connection, Event, Segment, SeqNumber, State};
//!
//! let (a, b): (SocketAddr, SocketAddr) = ("192.0.2.1:49152".parse()?, "192.0.2.2:80".parse()?);
//! let mut now = Instant::ORIGIN;
//! let mut client = Connection::connect(now, a, b, SeqNumber::new(100), Config::default());
//! let mut server = Connection::listen(b, SeqNumber::new(900), Config::default());
//!
//! /// Carries segments both ways until neither side has any; returns how many there were.
//! fn exchange(now: Instant, client: &mut Connection, server: &mut Connection) -> usize {
//!     let mut segments = 0;
//!     loop {
//!         let before = segments;
//!         let mut wire = BytesMut::new();
//!         while let Some(transmit) = client.poll_transmit(now, &mut wire) {
//!             let (from, to) = (transmit.source.ip(), transmit.destination.ip());
//!             let bytes = wire.split();
//!             server.handle_segment(now, from, &Segment::parse(&bytes, from, to).unwrap());
//!             segments += 1;
//!         }
//!         while let Some(transmit) = server.poll_transmit(now, &mut wire) {
//!             let (from, to) = (transmit.source.ip(), transmit.destination.ip());
//!             let bytes = wire.split();
//!             client.handle_segment(now, from, &Segment::parse(&bytes, from, to).unwrap());
//!             segments += 1;
//!         }
//!         if segments == before {
//!             return segments;
//!         }
//!     }
//! }
//!
//! // SYN, SYN-ACK, ACK.
//! assert_eq!(exchange(now, &mut client, &mut server), 3);
//! assert_eq!(client.poll_event(), Some(Event::Established));
//! assert_eq!(server.poll_event(), Some(Event::Established));
//!
//! // A request that ends the client's direction, and its answer.
//! client.send(Bytes::from_static(b"time?"))?;
//! client.shutdown();
//! exchange(now, &mut client, &mut server);
//! assert_eq!(server.poll_event(), Some(Event::PeerFinished));
//! assert_eq!(server.recv().take(100), "time?");
//! assert!(server.recv().is_finished());
//!
//! server.send(Bytes::from_static(b"12:00"))?;
//! server.shutdown();
//! exchange(now, &mut client, &mut server);
//! assert_eq!(client.recv().take(100), "12:00");
//! assert_eq!(server.poll_event(), Some(Event::Closed(CloseReason::Normal)));
//!
//! // The side that closed first waits, in case its last acknowledgment was lost.
//! assert_eq!(client.state(), State::TimeWait);
//! now = client.poll_timeout().unwrap();
//! client.handle_timeout(now);
//! assert_eq!(client.poll_event(), Some(Event::PeerFinished));
//! assert_eq!(client.poll_event(), Some(Event::Closed(CloseReason::Normal)));
//! assert_eq!(client.poll_timeout(), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod assembler;
mod config;
mod congestion;
mod connection;
mod four_tuple;
mod icmp;
pub mod ip;
mod isn;
mod listener;
mod outbox;
mod recovery;
mod rtt;
mod sack;
mod segment;
mod send_buffer;
mod seq;
mod siphash;
mod slab;
mod stack;
mod state;
mod timer_heap;
mod udp;
mod work;

#[cfg(feature = "fault-injection")]
pub use config::Rule;
pub use config::{Config, EcnMode, KeepAlive, LateData};
pub use congestion::{Acked, Congestion, Controller, Cubic, Custom, NewReno};
#[cfg(feature = "explore")]
pub use connection::Sequence;
pub use connection::{Batch, CloseReason, Connection, Counters, Event, Info, Refusal, SendError, Transmit};
pub use icmp::{IcmpError, IcmpErrorKind};
pub use isn::{EphemeralPorts, IsnGenerator};
pub use listener::{Listener, ListenerConfig, ListenerStatistics};
pub use segment::{Flags, Header, Options, ParseError, SackBlocks, Segment, Timestamps};
pub use seq::SeqNumber;
pub use stack::{
    ConnectionHandle, DatagramError, ListenerHandle, OpenError, ReceivedDatagram, Stack, StackConfig, StackEvent,
    Statistics, UdpConfig, UdpHandle, UdpSendError,
};
pub use state::{Input, State};
#[cfg(feature = "count-work")]
pub use work::visits;
