//! What a host needs of the link that carries its packets.

use std::io;
use std::task::Waker;

use drywire_core::Instant;
use drywire_tcp::Transmit;

/// A non-blocking link that carries IP packets, with a clock and a way to wait.
///
/// `Tun` is the one for Linux. Tests implement it in memory with virtual time.
pub trait Device {
    /// Hands every packet that has arrived to `handle`, up to a bound of its own. Returns whether more may wait: if not,
    /// [`park`](Self::park) returns at the next one.
    fn receive(&mut self, handle: &mut dyn FnMut(Received<'_>)) -> io::Result<bool>;

    /// Sends a packet. One that the link does not take now is dropped, as every link may: who needs it sends it again.
    ///
    /// `transmit` tells what is left to the link: to cut it, and to fill in the checksum. Both only happens with a stack
    /// that was told so ([`StackConfig::offload`](drywire_tcp::StackConfig::offload)); a link that cannot do it fails with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
    fn send(&mut self, packet: &[u8], transmit: &Transmit) -> io::Result<()>;

    /// Blocks until a packet arrives, `deadline` is reached, or a waker was woken. Returning early is allowed.
    fn park(&mut self, deadline: Option<Instant>) -> io::Result<()>;

    /// The time. It does not go backwards.
    fn now(&self) -> Instant;

    /// A waker that ends [`park`](Self::park), the running one or the next.
    fn waker(&self) -> Waker;
}

/// A packet that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// From its IP header on. It may be longer than the MTU, where the link has not cut it.
    pub packet: &'a [u8],
    /// Whether the link vouches for the checksum of its segment or datagram, which then may not even be filled in.
    pub verified: bool,
}
